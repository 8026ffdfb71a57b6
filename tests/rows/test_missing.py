"""Lists that point to rows which are gone: possible where a list does not mind deletes, or nobody told of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from everfresh.events import Outcome
from everfresh.exceptions import EverfreshError, RowsMissing
from everfresh.queries.families import family_of
from everfresh.signals import rows_missing
from everfresh.stores import current_store
from tests.conftest import Configure
from tests.library.models import Author, Book
from tests.protocol.schedule import truth
from tests.rows.conftest import Costs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("library")]


@pytest.fixture
def told() -> Iterator[list[tuple[Any, Any]]]:
    """What the signal says."""
    told: list[tuple[Any, Any]] = []

    def note(sender: Any, keys: Any, **_: Any) -> None:
        told.append((sender, keys))

    rows_missing.connect(note)
    yield told
    rows_missing.disconnect(note)


def lasting() -> list[Book]:
    """A list that does not mind deletes."""
    return list(Book.objects.filter(author_id=1).order_by("-pk").cache(rows=True, expire_on=["create", "update"]))


def delete(*keys: int) -> None:
    """Delete books as one does."""
    Book.objects.filter(pk__in=keys).delete()


@pytest.mark.seeds("OC-12")
def test_the_list_is_asked_for_again(costs: Costs, told: list[Any], outcomes: list[Outcome]) -> None:
    """By default whoever meets the gap is told of it by a signal, and the list is asked for again, once."""
    assert [10, 8, 6, 4, 2] == [book.pk for book in lasting()]
    delete(4, 8)

    # One query for the rows that are missing, one for the list.
    assert 2 == costs(lasting)[1]
    assert [10, 6, 2] == [book.pk for book in costs.result]
    assert [(Book, (8, 4))] == told

    assert (["read_many"] * 2, 0) == costs(lasting)
    assert [10, 6, 2] == [book.pk for book in costs.result]
    assert 1 == len(told)
    assert [Outcome.FILL, Outcome.FILL, Outcome.HIT] == outcomes


@pytest.mark.seeds("OC-12")
def test_skipped(configure: Configure, costs: Costs, told: list[Any]) -> None:
    """With ``"skip"`` the rows are left out, and the list stays as it is."""
    configure(MODELS={"library.Book": {"on_missing": "skip"}})
    lasting()
    delete(4)

    assert [10, 8, 6, 2] == [book.pk for book in lasting()]
    # That row 4 is gone has an entry too.
    assert (["read_many"] * 2, 0) == costs(lasting)
    assert [10, 8, 6, 2] == [book.pk for book in costs.result]
    assert [(Book, (4,))] * 2 == told


@pytest.mark.seeds("OC-7", "OC-12")
def test_raised(configure: Configure, told: list[Any]) -> None:
    """With ``"raise"`` it is an error, which names model and keys."""
    configure(MODELS={"*": {"on_missing": "raise"}})
    lasting()
    delete(4, 6)

    with pytest.raises(RowsMissing, match=r"^2 rows of Book are gone from the database: 6, 4\.$") as caught:
        lasting()

    assert (Book, (6, 4)) == (caught.value.model, caught.value.keys)
    assert isinstance(caught.value, EverfreshError)
    assert [(Book, (6, 4))] == told


@pytest.mark.seeds("OC-12")
def test_annotations_and_duplicates_stay_with_their_rows(configure: Configure) -> None:
    """What is left out takes what the list holds of it along."""
    configure(MODELS={"library.Author": {"on_missing": "skip"}})
    Book.objects.get(pk=1).coauthors.set([1, 2, 3])
    Book.objects.get(pk=2).coauthors.set([2, 3])
    read = lambda: [  # noqa: E731
        (author.pk, author.book)
        for author in Author.objects.cache(rows=True, expire_on=["create"])
        .filter(cowritten__in=[1, 2])
        .annotate(book=F("cowritten__title"))
        .order_by("cowritten", "pk")
    ]
    assert [(1, "1"), (2, "1"), (3, "1"), (2, "2"), (3, "2")] == read()
    lose(Author, 3, "DELETE FROM library_book_coauthors WHERE author_id = 3")

    assert [(1, "1"), (2, "1"), (2, "2")] == read()


def lose(model: Any, key: int, *before: str) -> None:
    """Delete a row behind Everfresh's back, and its entry."""
    with connection.cursor() as cursor:
        for statement in (*before, f"DELETE FROM {model._meta.db_table} WHERE id = {key}"):
            # The driver's own cursor.
            cursor.cursor.execute(statement)
    current_store().drop([family_of(model, "default").wanted(key, None).key])


@pytest.mark.seeds("OC-12")
def test_a_delete_nobody_told_of(told: list[Any]) -> None:
    """A row that another program deleted is noticed once its entry is lost, also by lists that mind deletes."""
    read = lambda: [book.pk for book in Book.objects.filter(author_id=1).cache(rows=True)]  # noqa: E731
    read()
    lose(Book, 4)

    assert truth(read) == read() == [2, 6, 8, 10]
    assert [(Book, (4,))] == told
    read()
    assert 1 == len(told)


def test_a_delete_that_the_list_minds_is_no_gap(told: list[Any]) -> None:
    """A list that minds deletes is asked for again because it is stale, and nobody is told of anything."""
    read = lambda: [book.pk for book in Book.objects.filter(author_id=1).cache(rows=True)]  # noqa: E731
    read()
    delete(4)

    assert [2, 6, 8, 10] == read()
    assert [] == told


def test_rows_by_key_point_to_nothing(told: list[Any]) -> None:
    """Who asks for a row by its key is not told that it is gone: he asked whether it is there."""
    Book.objects.cache(rows=True).get(pk=4)
    delete(4)

    assert None is Book.objects.cache(rows=True).filter(pk=4).first()
    assert [] == told
