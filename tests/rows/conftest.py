"""A small library, and counts of what reading it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management.color import no_style
from django.db import connection

from tests.conftest import Configure
from tests.counting import Counts, counting
from tests.library.models import Author, Book, Publisher
from tests.protocol.schedule import observed

__all__ = ["Costs"]


class Costs:
    """What one read costs, and what it gives."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __call__(self, read: Callable[[], Any]) -> tuple[list[str], int]:
        """The round trips that *read* takes, and its SELECTs."""
        self._counts.clear()
        self.result = read()
        return list(self._counts.trips), self._counts.verbs.get("SELECT", 0)

    @property
    def statements(self) -> list[str]:
        """The statements of the latest read."""
        return self._counts.statements

    @property
    def exchanges(self) -> int:
        """The exchanges with the store of the latest read."""
        return self._counts.exchanges


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Costs:
    """Counts what reads cost."""
    return Costs(counting(monkeypatch))


@pytest.fixture
def library(transactional_db: None) -> None:
    """Two publishers, three authors (the third without a publisher), ten books of the first two authors."""
    Publisher.objects.bulk_create([Publisher(id=1, name="P"), Publisher(id=2, name="Q")])
    Author.objects.bulk_create(
        [
            Author(id=1, name="A", publisher_id=1),
            Author(id=2, name="B", publisher_id=2, mentor_id=1),
            Author(id=3, name="C", mentor_id=2),
        ]
    )
    Book.objects.bulk_create([Book(id=at, author_id=1 + at % 2, title=f"{at}") for at in range(1, 11)])
    # Keys that the database makes come after these.
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Publisher, Author, Book]):
            cursor.execute(statement)


@pytest.fixture
def related_rows(configure: Configure) -> None:
    """Following a foreign key to an author, a publisher or a profile is served from their rows."""
    configure(
        MODELS={
            f"library.{name}": {"ops": ["get"], "rows": True} for name in ("Author", "Publisher", "Profile", "Review")
        }
    )


@pytest.fixture
def outcomes() -> Iterator[list[Any]]:
    """The outcomes of this thread's reads."""
    with observed() as seen:
        yield seen
