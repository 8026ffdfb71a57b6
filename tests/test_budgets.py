"""The budgets: round trips to the store and statements to the database, counted where they leave the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

import everfresh
from everfresh.stores import current_store
from tests.counting import Counts, counting
from tests.library.models import Author, Book, Tagging
from tests.library.models import Tag as Label

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Counts:
    """Nothing counted yet."""
    return counting(monkeypatch)


@pytest.fixture
def rows(counts: Counts) -> Counts:
    """Two authors, ten books, and warm connections; nothing counted yet."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=at, author_id=1 + at % 2, title=f"{at}") for at in range(1, 11)])
    Label.objects.create(id=90_001, name="one")
    Tagging.objects.create(id=1, book_id=1, tag_id=90_001, weight=1)
    list(Author.objects.cache())
    with transaction.atomic():
        list(Author.objects.cache())
    # The first time, Redis is told its scripts.
    current_store().mark([], "nobody", 1, ["nothing"])
    current_store().done([], "nobody", {"nothing": ["anything"]})
    counts.clear()
    return counts


def _mine() -> list[Book]:
    return list(Book.objects.filter(author_id=1).cache())


# Reads


@pytest.mark.parametrize(
    "read",
    [
        _mine,
        lambda: Book.objects.cache().get(id=2),
        lambda: Book.objects.filter(author_id=1).cache().count(),
        lambda: Book.objects.filter(author_id=1).cache().exists(),
        lambda: Book.objects.cache().first(),
        lambda: list(Book.objects.cache().select_related("author").values_list("author__name", "title")),
        lambda: list(Book.objects.filter(author_id=99).cache()),
    ],
    ids=["list", "get", "count", "exists", "first", "join", "empty"],
)
def test_miss_and_hit(rows: Counts, read: Callable[[], Any]) -> None:
    """A miss is 2 trips, what is posted and 1 SELECT, a hit 1 trip and none."""
    missed = read()

    # 1 the entry and its tags, 2 versions and lease; posted: the entry and the lease back
    assert ["read", "begin_fill", "fill"] == rows.trips
    assert rows.waited_for(2, of=3)
    assert {"SELECT": 1} == rows.verbs
    rows.clear()

    assert missed == read()
    # 1 the entry and its tags
    assert ["read"] == rows.trips
    assert 1 == rows.exchanges
    assert [] == rows.statements


def test_miss_that_is_not_stored(rows: Counts) -> None:
    """An answer with ``timeout=0`` takes its lease back to the store."""
    list(Book.objects.filter(author_id=1).cache(timeout=0))

    assert ["read", "begin_fill", "release"] == rows.trips
    assert {"SELECT": 1} == rows.verbs


def test_read_after_own_write(rows: Counts, db_kind: str) -> None:
    """In a snapshot the overlay costs no trip at all; under READ COMMITTED one look at the shared versions."""
    with transaction.atomic():
        Book.objects.filter(id=2).update(title="new")
        _mine()
        rows.clear()
        _mine()

        assert ([] if db_kind == "sqlite" else ["read"]) == rows.trips
        assert [] == rows.statements


# Writes


def _statements(rows: Counts, write: Callable[[], Any]) -> dict[str, int]:
    """The statements by verb, and exactly one mark and one done."""
    rows.clear()
    write()
    # 1 the marks before COMMIT; posted: done after it
    assert ["mark", "done"] == rows.trips
    assert rows.waited_for(1, of=2)
    return rows.verbs


def _with_lock(db_kind: str, verbs: dict[str, int]) -> dict[str, int]:
    """On SQLite, one empty DELETE in each transaction takes the write lock before old rows are read."""
    if db_kind == "sqlite":
        verbs = {**verbs, "DELETE": verbs.get("DELETE", 0) + 1}
    return verbs


def test_insert(rows: Counts) -> None:
    """An INSERT needs no SELECT."""
    assert {"INSERT": 1} == _statements(rows, lambda: Book.objects.create(id=50, author_id=1, title="new"))


def test_bulk_create_of_a_thousand(rows: Counts) -> None:
    """``bulk_create(1000)``: no SELECT, however many statements the database wants for it."""
    verbs = _statements(
        rows, lambda: Book.objects.bulk_create([Book(id=100 + at, author_id=1, title="new") for at in range(1000)])
    )

    assert {"INSERT"} == verbs.keys() - {"SAVEPOINT", "RELEASE"}


def test_bulk_create_without_keys(rows: Counts) -> None:
    """The same where the database makes the keys."""
    verbs = _statements(rows, lambda: Label.objects.bulk_create([Label(name=f"new {at}") for at in range(1000)]))

    assert {"INSERT"} == verbs.keys() - {"SAVEPOINT", "RELEASE"}


def test_save(rows: Counts, db_kind: str) -> None:
    """``save()`` of a row that is there: its UPDATE and one SELECT of the old image."""
    book = Book.objects.get(id=1)
    book.title = "new"

    assert _with_lock(db_kind, {"SELECT": 1, "UPDATE": 1}) == _statements(rows, book.save)
    if db_kind == "postgresql":
        # BEGIN, SELECT and UPDATE in one round trip; COMMIT is the other one.
        assert 1 == rows.texts


def test_update(rows: Counts, db_kind: str) -> None:
    """``update()`` of many rows to a plain value: one SELECT for all of them."""
    write = lambda: Book.objects.filter(author_id=1).update(status=5)  # noqa: E731

    assert _with_lock(db_kind, {"SELECT": 1, "UPDATE": 1}) == _statements(rows, write)
    if db_kind == "postgresql":
        assert 1 == rows.texts


def test_update_by_expression(rows: Counts, db_kind: str) -> None:
    """What the database computes is read again afterwards, where it decides a tag."""
    write = lambda: Book.objects.filter(author_id=1).update(status=F("status") + 1)  # noqa: E731

    assert _with_lock(db_kind, {"SELECT": 2, "UPDATE": 1}) == _statements(rows, write)


def test_delete(rows: Counts, db_kind: str) -> None:
    """A fast delete: its DELETE and one SELECT."""
    write = lambda: Tagging.objects.filter(book_id=1).delete()  # noqa: E731

    assert _with_lock(db_kind, {"SELECT": 1, "DELETE": 1}) == _statements(rows, write)
    if db_kind == "postgresql":
        assert 1 == rows.texts


def test_raw_sql(rows: Counts) -> None:
    """Raw SQL in autocommit: the statement and nothing else."""

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE library_book SET views = 1")

    assert {"UPDATE": 1} == _statements(rows, write)


def test_transaction_of_many_statements(rows: Counts, db_kind: str) -> None:
    """Whatever a transaction writes, it is marked at once and done at once."""

    def write() -> None:
        with transaction.atomic():
            for at in range(20):
                Label.objects.create(id=90_100 + at, name=f"{at}")
            for at in range(1, 6):
                Book.objects.filter(id=at).update(title="new")
            Tagging.objects.filter(id=1).delete()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE library_author SET active = %s", [False])

    # One SELECT for each update and delete, none for inserts and raw SQL.
    assert _with_lock(db_kind, {"INSERT": 20, "SELECT": 6, "UPDATE": 6, "DELETE": 1}) == _statements(rows, write)


def test_rollback_is_free(rows: Counts) -> None:
    """A transaction that is rolled back sends nothing."""
    with pytest.raises(LookupError), transaction.atomic():
        Book.objects.create(id=50, author_id=1, title="never")
        raise LookupError

    assert [] == rows.trips


def test_save_of_an_unchanged_row_is_free(rows: Counts) -> None:
    """Nothing moved, so nothing is sent and every entry stays."""
    tagging = Tagging.objects.get(id=1)
    rows.clear()
    tagging.save()
    Book.objects.filter(id=1).update(views=0)
    Book.objects.filter(id=999).update(views=7)
    Book.objects.filter(id=999).delete()

    assert [] == rows.trips


def test_disabled(rows: Counts) -> None:
    """Switched off: reads do without the store, writes announce themselves all the same."""
    with everfresh.disabled():
        _mine()
        assert [] == rows.trips
        assert {"SELECT": 1} == rows.verbs
        _statements(rows, lambda: Book.objects.create(id=50, author_id=1, title="new"))


def test_uncached_reads_are_free(rows: Counts) -> None:
    """A queryset nobody wants cached costs no trip."""
    list(Book.objects.all())
    Book.objects.filter(author_id=1).count()
    list(Book.objects.cache().iterator())
    with transaction.atomic():
        list(Book.objects.cache().select_for_update())

    assert [] == rows.trips
