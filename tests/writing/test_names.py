"""The names of tags: equal in every process and every version that shares a store, and never two for one."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from everfresh.tags import Table, named, stem

T = Table("default:library", "library_book")
FIRST = "[A-Za-z0-9_-]{22}"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((5,), "5"),
        ((-5,), "-5"),
        ((2**63,), "~[^ ]{22}"),
        ((True,), "T"),
        ((None,), "N"),
        ((UUID(int=1),), "u00000000000000000000000000000001"),
        ((date(2026, 1, 2),), "d2026-01-02"),
        ((datetime(2026, 1, 2, tzinfo=UTC),), r"m2026-01-02T00:00:00\+00:00"),
        (("1",), "~[^ ]{22}"),
        (("a, b{c}",), "~[^ ]{22}"),
        ((Decimal("1.50"),), "~[^ ]{22}"),
        ((1, None, False), "1,N,F"),
        (tuple(range(100)), "~~[^ ]{22}"),
    ],
)
def test_value(values: tuple[object, ...], text: str) -> None:
    """Short values stand in clear, in characters that every store takes; of others there is a digest."""
    name = T.value(tuple("abc"[: len(values)]), values).name

    assert re.fullmatch(f"{FIRST}={text}", name)
    assert re.fullmatch(r"[!-z|~]{24,120}", name)


def test_no_two_are_one() -> None:
    """Values of two types, of two columns, of two tables and of other kinds have names of their own."""
    values: list[object] = [1, "1", True, "T", None, "N", date(2026, 1, 2), "d2026-01-02", Decimal(1), UUID(int=1)]
    tags = [T.value(("a",), (value,)) for value in values]
    tags += [T.value(("b",), (1,)), Table("default:library", "other").value(("a",), (1,)), T.column("a"), T.any]
    tags += [T.value(("a", "b"), pair) for pair in ((1, 2), (12, None), ("1,2", None), (1, "2"))]
    tags += [T.epoch, T.created, T.deleted, named("a"), named("1")]

    assert len(tags) == len({tag.name for tag in tags})


def test_golden() -> None:
    """Whoever changes a name makes writers of one version invalidate nothing that readers of another one look at."""
    assert "Oz2JATvDwKYkOHmXgRAuYQ=7" == T.value(("id",), (7,)).name
    assert stem(*T, T.any.kind) == T.any.name
