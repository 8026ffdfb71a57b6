"""What other people's tests found in the core, each in its smallest form (`provers.applications`)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.db.models.query import ModelIterable
from django.test.utils import CaptureQueriesContext

from everfresh import tables
from tests.library.models import Author, Book, Node, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)


class Day(date):
    """A date of somebody's own, as pendulum and freezegun have them."""


class Moment(datetime):
    """A moment of somebody's own."""


class Key(UUID):
    """A key of somebody's own."""


def test_dates_of_ones_own() -> None:
    """A write of a value without a name is a write of unknown rows, never an error."""
    born = Author.objects.cache().filter(born=date(2020, 1, 1))
    assert 0 == len(born.all())
    Author.objects.create(name="a", born=Day(2020, 1, 1))
    assert 1 == len(born.all())
    Author.objects.filter(name="a").update(born=Day(2021, 1, 1))

    assert 0 == len(born.all())


def test_keys_of_ones_own() -> None:
    """The same of UUIDs."""
    node = Node.objects.cache().filter(id=UUID(int=1))
    assert 0 == len(node.all())
    Node.objects.create(id=Key(int=1))

    assert 1 == len(node.all())


def test_time_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freezegun puts its own class in the place of ``datetime`` in every module, ours among them."""
    noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
    author = Author.objects.create(name="a")
    published = Book.objects.cache().filter(published=noon)
    assert 0 == len(published.all())
    monkeypatch.setattr(tables, "datetime", Moment)
    Book.objects.create(author=author, published=Moment(2020, 1, 1, 12, tzinfo=UTC))

    assert 1 == len(published.all())


class AsksByItself(ModelIterable):  # type: ignore[type-arg]
    """Makes its results of other queries, as wagtail's ``specific()`` does."""

    def __iter__(self) -> Iterator[Any]:
        queryset: Any = self.queryset
        for (key,) in queryset.model.objects.values_list("pk"):
            yield queryset.model.objects.get(pk=key)


def test_iterable_that_asks_by_itself() -> None:
    """A query whose rows nobody wants is not asked."""
    Tag.objects.create(name="a")
    tags: QuerySet[Tag] = Tag.objects.cache()
    tags._iterable_class = AsksByItself  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as queries:
        assert ["a"] == [tag.name for tag in tags.all()]

    assert 2 == len(queries)
