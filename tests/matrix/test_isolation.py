"""Two readers share nothing, and what comes from the cache has the types that come from the database."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Max, QuerySet, Sum
from django.utils import timezone

import everfresh
from tests.library import models as library
from tests.library.models import Author, Book, Everything, Node, Tag
from tests.matrix import data as d
from tests.matrix.reading import plain, watching
from tests.settings import DB

pytestmark = pytest.mark.django_db(databases="__all__")

Read = Callable[[], Any]


def undisturbed(read: Read, disturb: Callable[[Any], object]) -> None:
    """Whatever readers do to their answers, the next one reads what the database holds.

    The first answer is stored, the second comes from the store, and the third, and what is left, from a near copy.
    """
    with everfresh.disabled():
        truth = plain(read())
    for _ in range(3):
        found = read()
        assert plain(found) == truth
        disturb(found)
        assert plain(found) != truth
    with watching() as seen:
        assert plain(read()) == truth
    assert seen.only_hits, str(seen)


def test_json_of_an_instance() -> None:
    """A JSON value belongs to the instance it came with."""
    undisturbed(lambda: Book.objects.get(pk=d.B0), lambda book: book.data["deep"]["k"].append(3))


def test_json_of_values() -> None:
    """Or to the dict."""
    undisturbed(lambda: list(Book.objects.values("data")), lambda rows: rows[0]["data"]["deep"].clear())


def test_json_of_values_list() -> None:
    """Or to the list."""
    undisturbed(lambda: list(Book.objects.values_list("data", flat=True)), lambda rows: rows[0].update(a=9))


def test_json_list() -> None:
    """Deep inside, too."""
    undisturbed(lambda: Everything.objects.get(pk=d.E0), lambda row: row.json["list"][3].update(x="z"))


def test_the_list_itself() -> None:
    """The list of results is the reader's own."""
    undisturbed(lambda: list(Book.objects.values_list("title", flat=True)), lambda rows: rows.pop())


def test_the_result_cache_of_a_queryset() -> None:
    """So is the one inside a queryset."""

    def read() -> QuerySet[Any]:
        found = Tag.objects.order_by("id")
        len(found)
        return found

    undisturbed(read, lambda found: found._result_cache.clear())


def test_dicts() -> None:
    """A dict of `values()` may be changed and grown."""
    undisturbed(lambda: list(Author.objects.values()), lambda rows: rows[0].update(extra=1, name="x"))


def test_fields_of_instances() -> None:
    """An instance may be changed and not saved."""
    undisturbed(lambda: list(Author.objects.all()), lambda rows: setattr(rows[0], "name", "x"))


def test_attributes_of_instances() -> None:
    """And be hung with things."""
    undisturbed(lambda: Author.objects.get(pk=d.ADA), lambda author: setattr(author, "anything", 1))


def test_state_of_instances() -> None:
    """Its state is its own."""
    undisturbed(lambda: Author.objects.get(pk=d.ADA), lambda author: setattr(author._state, "db", "other"))


def test_related_instances() -> None:
    """So is the row that `select_related` brought."""
    undisturbed(
        lambda: list(Book.objects.select_related("author")), lambda books: setattr(books[0].author, "name", "x")
    )


def test_instances_are_not_shared_within_a_list() -> None:
    """Two books of an author have two authors, as Django gives them."""
    list(Book.objects.select_related("author"))
    first, second, *_ = Book.objects.select_related("author")
    assert first.author == second.author
    assert first.author is not second.author


def test_prefetched_lists() -> None:
    """What `prefetch_related` brought is the reader's own."""
    undisturbed(
        lambda: list(Author.objects.prefetch_related("books")),
        lambda authors: authors[0]._prefetched_objects_cache["books"]._result_cache.pop(),
    )


def test_prefetched_instances() -> None:
    """With the instances in it."""
    undisturbed(
        lambda: list(Author.objects.prefetch_related("books")),
        lambda authors: setattr(authors[0].books.all()[0], "title", "x"),
    )


def test_in_bulk() -> None:
    """The dict of `in_bulk()` too."""
    undisturbed(lambda: Tag.objects.in_bulk([d.RED, d.BLUE]), lambda found: found.pop(d.RED))


def test_aggregates() -> None:
    """And the one of `aggregate()`."""
    undisturbed(lambda: Book.objects.aggregate(pages=Sum("pages")), lambda found: found.update(pages=0))


def test_within_a_transaction() -> None:
    """The answers of a transaction's own cache are no different."""
    with transaction.atomic():
        Book.objects.filter(pk=d.B0).update(data={"deep": {"k": [1]}})
        undisturbed(lambda: Book.objects.get(pk=d.B0), lambda book: book.data["deep"]["k"].append(3))


def test_saving_what_came_from_the_cache() -> None:
    """An instance from the cache is saved as one from the database is: as an update, on its database."""
    Author.objects.get(pk=d.ADA)
    author = Author.objects.get(pk=d.ADA)
    assert author._state.adding is False
    assert author._state.db == "default"
    author.bio = "saved"
    author.save()
    assert Author.objects.get(pk=d.ADA).bio == "saved"
    assert Author.objects.count() == 4


# Types

T = timedelta(days=1, microseconds=5)

EXACT: dict[str, object] = {
    "big": 2**62,
    "boolean": True,
    "char": "chär",
    "date": date(2020, 2, 29),
    "moment": d.T0,
    "decimal": Decimal("1234.5000"),
    "duration": T,
    "float": 0.1,
    "ip": "2001:db8::1",
    "json": {"list": [1, 2.5, None, {"x": "y"}], "big": 2**53},
    "small": -5,
    "text": "line\nbreak",
    "time": time(23, 59, 59, 999999),
    "uuid": uuid.UUID(int=7),
    "shouted": "HEY!",
}


@pytest.mark.parametrize("name", EXACT)
def test_type_of(name: str) -> None:
    """A column's value from the cache is the database's, of the same type."""
    list(Everything.objects.filter(pk=d.E0))
    with watching() as seen:
        (row,) = Everything.objects.filter(pk=d.E0)
    assert seen.only_hits
    found, wanted = getattr(row, name), EXACT[name]
    assert found == wanted
    assert type(found) is type(wanted)
    with everfresh.disabled():
        assert plain(getattr(Everything.objects.get(pk=d.E0), name)) == plain(found)


def test_type_of_binary() -> None:
    """Bytes are of the class that the driver gives them."""
    with everfresh.disabled():
        wanted = Everything.objects.get(pk=d.E0).binary
    Everything.objects.get(pk=d.E0)
    found = Everything.objects.get(pk=d.E0).binary
    assert type(found) is type(wanted)
    assert bytes(found) == b"\x00\xff\x80"


def test_scale_of_decimals() -> None:
    """A decimal keeps its scale, in rows and in sums."""
    for read in (
        lambda: Book.objects.values_list("price", flat=True)[0],
        lambda: Book.objects.aggregate(most=Max("price"))["most"],
    ):
        with everfresh.disabled():
            wanted = str(read())
        assert [str(read()), str(read())] == [wanted, wanted]


def test_zone_of_datetimes() -> None:
    """A datetime is aware, and of the same zone object as Django's."""
    with everfresh.disabled():
        wanted = Book.objects.get(pk=d.B0).published
    Book.objects.get(pk=d.B0)
    found = Book.objects.get(pk=d.B0).published
    assert found is not None
    assert wanted is not None
    assert found.tzinfo is wanted.tzinfo is UTC


def test_zone_in_force() -> None:
    """Dates cut from moments follow the zone in force, each zone with an entry of its own."""
    if not connection.features.has_zoneinfo_database:
        pytest.skip("the database has no tables of time zones")

    def read() -> list[datetime]:
        return list(Book.objects.exclude(published=None).datetimes("published", "day"))

    for zone in ("Asia/Tokyo", "America/New_York", "Asia/Tokyo"):
        with timezone.override(zone):
            with everfresh.disabled():
                truth = plain(read())
            assert plain(read()) == truth
            assert plain(read()) == truth


def test_uuid_keys() -> None:
    """UUIDs are UUIDs, as keys and as foreign keys, whatever the database stores."""
    Node.objects.get(pk=d.LEAF)
    node = Node.objects.get(pk=d.LEAF)
    assert (type(node.pk), type(node.parent_id)) == (uuid.UUID, uuid.UUID)


def test_nulls() -> None:
    """Every column that is NULL is `None`."""
    list(Everything.objects.filter(pk=d.E1))
    (row,) = Everything.objects.filter(pk=d.E1)
    assert {row.boolean, row.date, row.decimal, row.json, row.uuid, row.duration} == {None}


@pytest.mark.skipif(DB != "postgresql", reason="only PostgreSQL has arrays and ranges")
def test_arrays_and_ranges() -> None:
    """Arrays are lists of the reader's own; ranges are psycopg's, with bounds and zone."""
    undisturbed(lambda: library.Measured.objects.get(pk=d.BASE), lambda row: row.numbers.append(4))
    with everfresh.disabled():
        true = library.Measured.objects.get(pk=d.BASE)
    found = library.Measured.objects.get(pk=d.BASE)
    assert (found.span, found.when) == (true.span, true.when)
    assert (type(found.span), type(found.when)) == (type(true.span), type(true.when))
    assert type(found.when.lower) is datetime
    assert found.when.lower.tzinfo is not None
