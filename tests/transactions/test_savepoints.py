"""The journal by savepoint, and the private answers of a transaction."""

from __future__ import annotations

import contextlib

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from everfresh.events import Outcome
from everfresh.journal import journal_of
from tests.conftest import Elsewhere
from tests.library.models import Author, Book
from tests.protocol.schedule import observed, truth
from tests.transactions.rows import rename, rename_by_sql, sql, titles

pytestmark = pytest.mark.usefixtures("book")


def test_released_savepoint_belongs_to_the_block_around(elsewhere: Elsewhere) -> None:
    """A write in an inner block that ended well is announced by the outer COMMIT."""
    assert ["old"] == titles()
    with transaction.atomic():
        with transaction.atomic():
            with transaction.atomic():
                rename()
            assert ["old"] == elsewhere(titles)
        assert ["new"] == titles()
        assert ["old"] == elsewhere(titles)

    assert ["new"] == titles() == elsewhere(titles)


def test_release_inside_a_rolled_back_savepoint(elsewhere: Elsewhere) -> None:
    """What was released into a block that is rolled back never happened."""
    assert ["old"] == titles()
    with transaction.atomic():
        with contextlib.suppress(LookupError), transaction.atomic():
            with transaction.atomic():
                rename()
            raise LookupError
        assert journal_of(connection).is_empty
        assert ["old"] == titles()

    with observed() as outcomes:
        assert ["old"] == titles()
    assert [Outcome.HIT] == outcomes


def test_write_before_a_savepoint_outlives_its_rollback(elsewhere: Elsewhere) -> None:
    """Only what was written since the savepoint is taken back."""
    Author.objects.create(id=2, name="B")
    second = Author.objects.filter(id=2).cache()
    assert (["old"], "B") == (titles(), second.all().get().name)
    with transaction.atomic():
        rename()
        with contextlib.suppress(LookupError), transaction.atomic():
            rename("never")
            Author.objects.filter(id=2).update(name="never")
            assert (["never"], "never") == (titles(), second.all().get().name)
            raise LookupError
        assert (["new"], "B") == (titles(), second.all().get().name)

    assert (["new"], "B") == (titles(), second.all().get().name)


def test_savepoints_by_hand() -> None:
    """Savepoints without a block are followed as blocks are."""
    assert ["old"] == titles()
    with transaction.atomic():
        first = connection.savepoint()
        rename("one")
        second = connection.savepoint()
        rename("two")
        assert ["two"] == titles()
        transaction.savepoint_rollback(second)
        assert ["one"] == titles()
        rename("three")
        transaction.savepoint_commit(second)
        assert ["three"] == titles()
        transaction.savepoint_rollback(first)
        assert ["old"] == titles()
        # Rolled back to, a savepoint is still there.
        rename("four")
        transaction.savepoint_rollback(first)
        assert ["old"] == titles()
        transaction.savepoint_commit(first)

    with observed() as outcomes:
        assert ["old"] == titles()
    assert [Outcome.HIT] == outcomes


def test_clean_savepoints() -> None:
    """Savepoints of one name after another, as Django numbers them anew: none is taken for another."""
    with transaction.atomic():
        connection.savepoint()
        rename()
        transaction.clean_savepoints()
        again = connection.savepoint()
        rename("never")
        transaction.savepoint_rollback(again)
        assert ["new"] == titles()

    assert ["new"] == titles()


def test_savepoints_by_raw_sql(elsewhere: Elsewhere) -> None:
    """Rolled back by raw SQL, a write is no private answer any more, and is invalidated in vain at worst."""
    assert ["old"] == titles()
    with transaction.atomic():
        sql("SAVEPOINT mine")
        rename()
        assert ["new"] == titles() == titles()
        sql("ROLLBACK TO SAVEPOINT mine")
        assert ["old"] == titles() == titles()
        rename("newer")
        sql("RELEASE SAVEPOINT mine")
        assert ["newer"] == titles()

    assert ["newer"] == titles() == elsewhere(titles)


def test_needs_rollback_serves_nothing() -> None:
    """In a block that can only roll back, a read raises as Django's does, though the answer is at hand."""
    assert ["old"] == titles()
    with transaction.atomic():
        assert ["old"] == titles() == titles()
        with contextlib.suppress(LookupError), transaction.atomic(savepoint=False):
            raise LookupError
        with pytest.raises(transaction.TransactionManagementError):
            titles()
        with pytest.raises(transaction.TransactionManagementError):
            rename()
        transaction.set_rollback(False)
        assert ["old"] == titles()


# The overlay


def test_second_read_after_own_write_takes_no_sql(elsewhere: Elsewhere) -> None:
    """A transaction pays once for what it reads after its own write."""
    titles()
    with transaction.atomic():
        rename()
        with observed() as outcomes:
            assert ["new"] == titles()
            with CaptureQueriesContext(connection) as queries:
                assert ["new"] == titles() == titles()
        assert [Outcome.FILL, Outcome.HIT, Outcome.HIT] == outcomes
        assert 0 == len(queries)
        assert ["old"] == elsewhere(titles)

    assert ["new"] == titles()


def test_each_write_drops_the_private_answers_it_touches(db_kind: str) -> None:
    """By tag, as in the shared store: the list of another author stays."""
    Book.objects.create(id=2, author=Author.objects.create(id=2, name="B"), title="other")

    def other() -> list[str]:
        return list(Book.objects.filter(author_id=2).cache().values_list("title", flat=True))

    with transaction.atomic():
        rename("one")
        Book.objects.filter(id=2).update(title="changed")
        assert (["one"], ["changed"]) == (titles(), other())
        rename("two")
        with observed() as outcomes:
            assert (["two"], ["changed"]) == (titles(), other())
        assert [Outcome.FILL, Outcome.HIT] == outcomes
        rename_by_sql("three")
        with observed() as outcomes:
            assert (["three"], ["changed"]) == (titles(), other())
        assert [Outcome.FILL, Outcome.FILL] == outcomes


@pytest.mark.parametrize("commits", [True, False])
def test_overlay_dies_with_its_transaction(elsewhere: Elsewhere, commits: bool) -> None:
    """The next transaction of the connection begins with nothing of its own."""
    with contextlib.suppress(LookupError), transaction.atomic():
        rename("mine")
        assert ["mine"] == titles()
        if not commits:
            raise LookupError
    elsewhere(lambda: rename("theirs"))

    with transaction.atomic():
        assert ["theirs"] == titles()
    assert not journal_of(connection)._overlays


def test_create_and_delete_within_a_transaction() -> None:
    """Counts and empty answers of the overlay follow each write."""
    mine = Book.objects.filter(author_id=1).cache()
    with transaction.atomic():
        found = [mine.count()]
        new = Book.objects.create(id=2, author_id=1, title="second")
        found += [mine.count(), mine.count()]
        new.delete()
        found += [mine.count()]
        Book.objects.all().delete()
        found += [mine.count(), mine.all().exists()]

    assert [1, 2, 2, 1, 0, False] == found
    assert 0 == mine.count() == truth(mine.count)
