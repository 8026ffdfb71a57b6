"""A connection's transactions, followed step by step: the journal marks before COMMIT and is done after it.

Each function stands around one method of Django's ``BaseDatabaseWrapper``. That is the one place where every commit
passes: the end of an ``atomic()`` block, ``transaction.commit()`` and ``set_autocommit(True)``, for there is no public
hook before COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh.exceptions import InvalidationNotSent
from everfresh.journal import has_begun, journal_of

__all__ = [
    "around_close",
    "around_commit",
    "around_connect",
    "around_rollback",
    "around_savepoint",
    "around_savepoint_commit",
    "around_savepoint_rollback",
    "around_set_autocommit",
]

T = TypeVar("T")


def around_commit(connection: BaseDatabaseWrapper, run: Callable[[], None]) -> None:
    """``commit()``: what was recorded is pending before it, and invalid before any ``on_commit`` hook runs."""
    try:
        with journal_of(connection).committing():
            run()
    except InvalidationNotSent:
        # Nothing was committed; what cannot be announced must not become visible either.
        connection.rollback()
        raise


def around_set_autocommit(connection: BaseDatabaseWrapper, autocommit: bool, run: Callable[[], None]) -> None:
    """``set_autocommit()``: switching it on commits what is open, switching it off begins."""
    journal = journal_of(connection)
    if not autocommit:
        journal.begins_itself = True
        try:
            run()
        finally:
            journal.begins_itself = False
    elif journal.is_empty:
        run()
    else:
        # on_commit hooks of an earlier commit() run in here; they are to find this one done.
        has_hooks, connection.run_commit_hooks_on_set_autocommit_on = (
            connection.run_commit_hooks_on_set_autocommit_on,
            False,
        )
        with journal.committing():
            run()
        if has_hooks or connection.run_on_commit:
            connection.run_and_clear_commit_hooks()


def around_rollback(connection: BaseDatabaseWrapper, run: Callable[[], None]) -> None:
    """``rollback()``: nothing was marked, so there is nothing to take back."""
    journal = journal_of(connection)
    if _has_committed_itself(connection) and not journal.is_empty:
        with journal.committing():
            run()
    else:
        run()
        journal.forget()


def _has_committed_itself(connection: BaseDatabaseWrapper) -> bool:
    # SQLite's executescript() commits what is open, and what follows it commits by itself: Django's block goes on
    # without a transaction.
    return connection.vendor == "sqlite" and not has_begun(connection)


def around_connect(connection: BaseDatabaseWrapper, run: Callable[[], None]) -> None:
    """``connect()``: Django sets the isolation level by SQL of its own, as its OPTIONS say."""
    run()
    journal_of(connection).connected()


def around_close(connection: BaseDatabaseWrapper, run: Callable[[], None]) -> None:
    """``close()``: the database rolls back whatever was open."""
    run()
    journal_of(connection).reconnected()


def around_savepoint(connection: BaseDatabaseWrapper, run: Callable[[], T]) -> T:
    """``savepoint()``: gives the savepoint's id, or nothing where there are no savepoints."""
    # With autocommit off, SQLite has not begun before the first write. A savepoint made until then is its transaction.
    begins = connection.vendor == "sqlite" and not has_begun(connection)
    savepoint: Any = run()
    if savepoint is not None:
        journal_of(connection).savepoint(savepoint, is_transaction=begins)
    return savepoint  # type: ignore[no-any-return]


def around_savepoint_commit(connection: BaseDatabaseWrapper, savepoint: str, run: Callable[[], None]) -> None:
    """``savepoint_commit()``, which is a COMMIT where the savepoint is all there is of a transaction."""
    journal = journal_of(connection)
    if journal.commits(savepoint):
        with journal.committing():
            run()
    else:
        run()
        journal.release(savepoint)


def around_savepoint_rollback(connection: BaseDatabaseWrapper, savepoint: str, run: Callable[[], None]) -> None:
    """``savepoint_rollback()``."""
    run()
    journal_of(connection).rollback_to(savepoint)
