"""Readers of lists and rows that writers overlap, step by step: what is read was so at one moment, and stays true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from everfresh.events import Outcome
from everfresh.queries.families import family_of
from everfresh.stores import current_store
from tests.library.models import Author, Book
from tests.protocol.schedule import Schedule, observed, scheduled, truth
from tests.rows.conftest import Costs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("library")]


@pytest.fixture
def schedule(library: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedule]:
    """Actors over the combination's own store and database."""
    with scheduled(monkeypatch) as schedule:
        yield schedule


def shown() -> list[tuple[str, str]]:
    """Author 1's books, each with the author's name: three looks, where all is there."""
    books = Book.objects.filter(author_id=1).cache(rows=True).select_related("author")
    return [(book.title, book.author.name) for book in books]


def move() -> None:
    """A row ceases to match, and changes."""
    Book.objects.filter(pk=2).update(title="moved", author_id=2)


def rename() -> None:
    """A row changes where the list does not."""
    Book.objects.filter(pk=2).update(title="new")


def rename_both() -> None:
    """Rows of two models change, at one moment."""
    with transaction.atomic():
        Author.objects.filter(pk=1).update(name="new")
        Book.objects.filter(pk=2).update(title="new")


def remove() -> None:
    """A row goes."""
    Book.objects.filter(pk=2).delete()


def add() -> None:
    """A row comes."""
    Book.objects.create(id=50, author_id=1, title="new")


def nothing_stored() -> None:
    """Nobody has asked before."""


def all_stored() -> None:
    """Everything is there."""
    shown()


def some_stored() -> None:
    """A book and the author were evicted."""
    shown()
    current_store().drop(
        [family_of(model, "default").wanted(key, None).key for model, key in ((Book, 2), (Book, 4), (Author, 1))]
    )


@pytest.mark.seeds("OC-8", "OC-10")
@pytest.mark.parametrize(
    ("before", "steps"),
    [
        (before, at)
        for before, most in ((nothing_stored, 6), (some_stored, 8), (all_stored, 3))
        for at in range(1, most + 1)
    ],
)
@pytest.mark.parametrize(
    ("write", "writer_at"),
    [
        *((write, at) for write in (move, rename, rename_both, remove, add) for at in ("commit", "end")),
        (move, "done"),
        (rename_both, "done"),
    ],
)
def test_reader_overlaps_writer(
    schedule: Schedule, before: Callable[[], None], write: Callable[[], None], writer_at: str, steps: int
) -> None:
    """Wherever a reader and a writer stop for each other, what is shown is the state before or after."""
    before()
    old = truth(shown)
    reader, writer = schedule.reader(shown), schedule.writer(write)
    for _ in range(steps):
        if reader.next() == "end":
            pytest.skip("the reader takes fewer steps")
    if writer_at == "end":
        writer.finish()
    else:
        writer.to(writer_at)

    seen = reader.finish()

    committed = truth(shown)
    assert seen in (old, committed)
    assert committed == shown() == shown()
    if writer_at != "end":
        writer.finish()
    assert truth(shown) == shown() == shown()
    with observed() as outcomes:
        shown()
    assert [Outcome.HIT] == outcomes


def test_a_row_deleted_between_two_looks(schedule: Schedule) -> None:
    """The list is looked at anew, not shown with a gap, and nobody is told of missing rows."""
    shown()
    reader = schedule.reader(shown).to("read").to("read")
    schedule.writer(remove).finish()

    assert ["4", "6", "8", "10"] == [title for title, _ in reader.finish()]
    assert 2 <= reader.passed.count("read")


def test_rows_read_before_a_write_are_not_stored(schedule: Schedule) -> None:
    """A first reader learns which rows there are from the database: what moved since is not stored as theirs."""
    reader = schedule.reader(shown).to("compute").to("begin_fill")
    schedule.writer(rename).finish()
    reader.finish()

    assert "new" == Book.objects.cache(rows=True).get(pk=2).title
    assert truth(shown) == shown()


def test_a_pending_writer_keeps_rows_from_being_stored(schedule: Schedule) -> None:
    """While a writer stands between mark and done, its row is asked for at the database, and others are still hits."""
    shown()
    writer = schedule.writer(rename).to("commit")

    for _ in range(2):
        with observed() as outcomes:
            assert truth(shown) == shown()
        assert [Outcome.MISS] == outcomes
    with observed() as outcomes:
        assert "4" == Book.objects.cache(rows=True).get(pk=4).title
    assert [Outcome.HIT] == outcomes
    writer.to("done")
    assert "new" == Book.objects.cache(rows=True).get(pk=2).title == shown()[0][0]
    writer.finish()
    assert "new" == shown()[0][0]


def test_nothing_is_stored_that_nobody_could_read(schedule: Schedule) -> None:
    """What is read while a writer is about to commit matches no version ever: to store it would be a trip in vain."""
    writer = schedule.writer(rename).to("commit")
    reader = schedule.reader(lambda: Book.objects.cache(rows=True).filter(pk=2)[0].title)

    assert "2" == reader.finish()
    assert ["read", "begin_fill", "compute"] == reader.passed
    writer.finish()


def test_two_writers_of_two_models(schedule: Schedule) -> None:
    """A reader that sees a book after its write does not show it with an author from before that write."""
    shown()
    reader = schedule.reader(shown).to("read").to("read").to("read")
    schedule.writer(lambda: Author.objects.filter(pk=1).update(name="first")).finish()
    schedule.writer(rename).finish()

    # The books were read before both writes, the author after them: so all of it is read again.
    assert [("new", "first"), ("4", "first")] == reader.finish()[:2]


# Inside transactions


def test_inside_a_transaction(costs: Costs) -> None:
    """What a transaction wrote it sees at once, and others only after the COMMIT."""
    shown()
    with transaction.atomic():
        rename_both()
        assert truth(shown) == shown()
        assert 0 == costs(shown)[1]
        assert ("new", "new") == costs.result[0]
        move()
        add()
        assert truth(shown) == shown() == shown()

    assert truth(shown) == shown() == shown()


def test_after_a_rollback(costs: Costs) -> None:
    """After a rollback everything is as it was; after that of a savepoint too."""
    before = shown()
    with pytest.raises(LookupError), transaction.atomic():
        rename_both()
        inside = shown()
        with pytest.raises(LookupError), transaction.atomic():
            remove()
            assert truth(shown) == shown() != inside
            raise LookupError
        assert truth(shown) == shown() == inside
        raise LookupError

    assert (["read_many"] * 3, 0) == costs(shown)
    assert before == costs.result == truth(shown)


def test_in_a_broken_transaction() -> None:
    """A transaction that has to be rolled back refuses queries, and an answer from the cache would hide that."""
    shown()
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            shown()


@pytest.mark.parametrize("kind", ["entry", "version"])
def test_evictions(schedule: Schedule, kind: str) -> None:
    """Whatever the store loses costs a query, and nothing else."""
    expected: Any = shown()
    schedule.evict(kind)

    assert expected == shown() == shown()
    rename()
    schedule.evict(kind)
    assert truth(shown) == shown()
