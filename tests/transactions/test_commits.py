"""COMMIT: done before the user's hooks, whatever the hooks do and however the COMMIT ends."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from everfresh.events import Outcome
from everfresh.journal import journal_of
from everfresh.stores import current_store
from tests.conftest import Elsewhere
from tests.library.models import Author, Book, Tagging
from tests.protocol.schedule import observed, truth
from tests.transactions.rows import rename, rename_by_sql, titles

pytestmark = pytest.mark.usefixtures("book")


def test_hooks_see_fresh_and_shared_data(elsewhere: Elsewhere) -> None:
    """An on_commit hook comes after done: what it reads is new, is stored, and is everybody's hit."""
    assert ["old"] == titles()
    seen: list[Any] = []

    def hook() -> None:
        with observed() as outcomes:
            seen.extend([titles(), titles()])
        seen.extend(outcomes)

    with transaction.atomic():
        transaction.on_commit(hook)  # registered before anything is written
        rename()

    assert [["new"], ["new"], Outcome.FILL, Outcome.HIT] == seen


@pytest.mark.parametrize("write", [rename, rename_by_sql])
def test_hooks_that_write(write: Any) -> None:
    """A hook's own writes are seen, raw SQL too."""
    assert ["old"] == titles()

    def hook() -> None:
        assert ["first"] == titles()
        write("second")
        assert ["second"] == titles()

    with transaction.atomic():
        rename("first")
        transaction.on_commit(hook)

    assert ["second"] == titles()


@pytest.mark.parametrize("robust", [True, False])
def test_hooks_that_raise(robust: bool) -> None:
    """Committed is committed: a hook that raises leaves nothing pending and nothing stale."""
    assert ["old"] == titles()

    def hook() -> None:
        raise LookupError("of the hook")

    expected = contextlib.nullcontext() if robust else pytest.raises(LookupError)
    with expected, transaction.atomic():
        rename()
        transaction.on_commit(hook, robust=robust)

    assert ["new"] == titles()
    with observed() as outcomes:
        titles()
    assert [Outcome.HIT] == outcomes
    assert journal_of(connection).is_empty


def test_hook_of_a_rolled_back_savepoint_takes_no_done_along(elsewhere: Elsewhere) -> None:
    """Hooks are dropped with their savepoint; ours is no such hook."""
    assert ["old"] == titles()
    with transaction.atomic():
        rename()
        with contextlib.suppress(LookupError), transaction.atomic():
            transaction.on_commit(lambda: None)
            rename("never")
            raise LookupError

    assert ["new"] == titles()


def test_durable() -> None:
    """``atomic(durable=True)`` works, and refuses to be nested, as ever."""
    assert ["old"] == titles()
    with transaction.atomic(durable=True):
        rename()
    assert ["new"] == titles()
    with pytest.raises(RuntimeError), transaction.atomic(), transaction.atomic(durable=True):
        pass


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_several_databases_in_one_block(elsewhere: Elsewhere) -> None:
    """Each connection has a journal of its own: each announces at its own COMMIT, and only what was its own."""
    Book.objects.using("other").create(id=1, author=Author.objects.using("other").create(id=1, name="B"), title="old")
    assert ["old"] == titles() == titles("other")

    with transaction.atomic(), transaction.atomic(using="other"):
        rename("here")
        rename("there", "other")
        assert (["here"], ["there"]) == (titles(), titles("other"))
        assert (["old"], ["old"]) == elsewhere(lambda: (titles(), titles("other")))
    assert (["here"], ["there"]) == (titles(), titles("other"))

    with transaction.atomic(), contextlib.suppress(LookupError), transaction.atomic(using="other"):
        rename("newer")
        rename("never", "other")
        raise LookupError
    assert (["newer"], ["there"]) == (titles(), titles("other"))


# Autocommit


def test_lone_write_is_one_query() -> None:
    """Our BEGIN, COMMIT and SELECT are in nobody's query log."""
    book = Book.objects.get(id=1)
    book.title = "new"
    with CaptureQueriesContext(connection) as queries:
        book.save()
    assert 1 == len(queries), queries.captured_queries
    with CaptureQueriesContext(connection) as queries:
        Book.objects.filter(id=1).update(title="newer")
    assert 1 == len(queries), queries.captured_queries
    with CaptureQueriesContext(connection) as queries:
        Tagging.objects.all()._raw_delete("default")
    assert 1 == len(queries), queries.captured_queries
    assert connection.get_autocommit()
    assert not connection.in_atomic_block


def test_lone_write_that_fails_is_rolled_back() -> None:
    """An error of the statement ends our small transaction: autocommit is on, and nothing was invalidated."""
    Author.objects.filter(id=1).update(email="a@example.org")
    authors = Author.objects.cache()
    assert 1 == len(authors.all())
    with pytest.raises(IntegrityError):
        Author.objects.create(id=2, name="B", email="a@example.org")

    assert connection.get_autocommit()
    with observed() as outcomes:
        assert 1 == len(authors.all())
    assert [Outcome.HIT] == outcomes


# COMMITs of which nobody knows the end


@pytest.mark.parametrize(("error", "happened"), [(DatabaseError, True), (DatabaseError, False), (OSError, True)])
def test_commit_that_raises_counts_as_committed(
    monkeypatch: pytest.MonkeyPatch, happened: bool, error: type[Exception]
) -> None:
    """A COMMIT whose answer was lost may have happened: what it wrote is invalid either way."""
    assert ["old"] == titles()
    original = BaseDatabaseWrapper._commit

    def _commit(self: BaseDatabaseWrapper) -> None:
        if happened:
            original(self)
        raise error("the line is dead")

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", _commit)
    with pytest.raises(error), transaction.atomic():
        rename()
        assert ["new"] == titles()
    monkeypatch.undo()

    with observed() as outcomes:
        assert truth(titles) == titles()
    assert [Outcome.HIT] != outcomes
    assert truth(titles) == titles()


def test_deferred_constraint_that_fails_at_commit(db_kind: str) -> None:
    """A COMMIT that the database refuses: nothing was written, nothing stale, nothing stays pending."""
    if db_kind == "mariadb":
        pytest.skip("MariaDB checks foreign keys at once")
    assert ["old"] == titles()
    with pytest.raises(IntegrityError), transaction.atomic():
        Book.objects.filter(id=1).update(title="new", author_id=999)
        assert ["new"] == list(Book.objects.filter(author_id=999).cache().values_list("title", flat=True))

    assert ["old"] == titles()
    with observed() as outcomes:
        assert ["old"] == titles()
    assert [Outcome.HIT] == outcomes
    assert [] == list(Book.objects.filter(author_id=999).cache())
    assert not current_store().unsent


def test_connection_closed_in_a_transaction() -> None:
    """What was not committed is gone with the connection: not announced, and no private answer survives."""
    assert ["old"] == titles()
    with contextlib.suppress(DatabaseError), transaction.atomic():
        rename()
        assert ["new"] == titles()
        connection.close()
        # As Django's own query does; the driver of MariaDB has an error of its own for that.
        with pytest.raises((transaction.TransactionManagementError, connection.Database.OperationalError)):
            titles()

    with transaction.atomic():
        assert ["old"] == titles()
    with observed() as outcomes:
        assert ["old"] == titles()
    assert [Outcome.HIT] == outcomes
    rename()
    assert ["new"] == titles()


def test_connection_lost_by_the_server(db_kind: str) -> None:
    """The server ends the session in the middle: rolled back, and the connection opened next starts afresh."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has no server")
    assert ["old"] == titles()
    kill, me = ("SELECT pg_terminate_backend(%s)", "SELECT pg_backend_pid()")
    if db_kind == "mariadb":
        kill, me = "KILL %s", "SELECT CONNECTION_ID()"
    with pytest.raises(DatabaseError), transaction.atomic():
        rename()
        assert ["new"] == titles()
        with connection.cursor() as cursor:
            cursor.execute(me)
            (number,) = cursor.fetchone()
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute(kill, [number])
        other.close()
        truth(titles)
    connection.close()

    assert ["old"] == titles()
    rename()
    assert ["new"] == titles()
