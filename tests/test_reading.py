"""The read path by itself: when the versions are taken, and what may be stored (DESIGN section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from everfresh.events import Outcome
from everfresh.queries.bodies import ROWS
from everfresh.queries.plan import plan
from everfresh.queries.replay import query_rows
from everfresh.reading import Answer, read
from everfresh.stores import GuardedStore
from tests.library.models import Tag
from tests.protocol.schedule import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


def tags() -> list[str]:
    """A cached list."""
    return list(Tag.objects.cache().order_by("name").values_list("name", flat=True))


def while_it_computes(meanwhile: Callable[[], Any]) -> Answer[Any]:
    """Read the list, with something that happens after the rows were found and before they are stored."""
    queryset = Tag.objects.order_by("name").values_list("name", flat=True)

    def compute() -> Any:
        rows = query_rows(queryset)
        meanwhile()
        return rows

    return read(plan(queryset.query, "default", "rows", None).wanted, connection, compute, ROWS)


def test_write_after_the_rows_were_found() -> None:
    """The versions of an entry are from before its query: what was committed since shows that it is stale."""
    Tag.objects.create(name="a")

    def meanwhile() -> None:
        Tag.objects.update(name="b")
        # A reader makes new versions of the same tags; those are of the new row.
        tags()

    answer = while_it_computes(meanwhile)

    assert (Outcome.FILL, [("a",)]) == (answer.outcome, answer.value)
    assert ["b"] == tags()


def test_nothing_happens_meanwhile() -> None:
    """What `while_it_computes` stores is what `tags` finds."""
    Tag.objects.create(name="a")
    while_it_computes(lambda: None)
    with observed() as outcomes:
        assert ["a"] == tags()

    assert [Outcome.HIT] == outcomes


def test_lifetime(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry lives as long as the queryset said: seconds, or for ever."""
    configure(JITTER=0)
    fill, given = GuardedStore.fill, []

    def note(store: GuardedStore, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        given.append(timeout)
        fill(store, key, entry, lease, timeout)

    monkeypatch.setattr(GuardedStore, "fill", note)
    list(Tag.objects.cache(timeout=30))
    list(Tag.objects.cache(timeout=None).filter(name="a"))

    assert [30, None] == given


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ({"ROWS": 3}, Outcome.FILL),
        ({"ROWS": 2}, Outcome.MISS),
        ({"SIZE": 1000}, Outcome.FILL),
        ({"SIZE": 20}, Outcome.MISS),
    ],
)
def test_limits(configure: Configure, limits: dict[str, int], outcome: Outcome) -> None:
    """An answer of more rows or bytes than the limit is given, and not stored."""
    configure(LIMITS=limits)
    Tag.objects.bulk_create([Tag(name=name) for name in "abc"])
    with observed() as outcomes:
        assert ["a", "b", "c"] == tags()

    assert [outcome] == outcomes
