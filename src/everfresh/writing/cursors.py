"""Raw SQL: statements that reach the database through Django's cursor without passing a compiler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from types import TracebackType
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh.journal import Journal, has_begun, journal_of
from everfresh.recording import note_untracked
from everfresh.tables import describe, is_watched, table, tables_by_name
from everfresh.writing.capture import changed_by_database
from everfresh.writing.images import whole_table
from everfresh.writing.statement import announce
from everfresh.writing.statements import Control, Effect, effect_of

__all__ = ["UNPARSED", "run_statement", "wrap_unparsed", "written"]

T = TypeVar("T")

UNPARSED = frozenset({"copy", "copy_expert", "copy_from", "executescript", "stream"})
"""Ways of a driver's own cursor to run SQL that Django passes through untouched."""


def run_statement(connection: BaseDatabaseWrapper, sql: Any, run: Callable[[], T]) -> T:
    """Run one statement of raw SQL and invalidate the tables it may write.

    Args:
        connection: whose cursor runs it.
        sql: a string, bytes, or a composed statement of psycopg.
        run: executes it.
    """
    journal = journal_of(connection)
    if journal.begins_itself or any(sql is own for own in journal.own_sql):
        return run()
    text = _text(connection, sql)
    effect = effect_of(text, connection.vendor)
    if effect.control is None:
        note_untracked(lambda: f"raw SQL: {text[:80]}")
    else:
        return _run_control(connection, text, effect, run)
    if effect.tables is not None and not effect.tables:
        return run()
    with written(connection, effect.tables):
        return run()


def _run_control(connection: BaseDatabaseWrapper, text: str, effect: Effect, run: Callable[[], T]) -> T:
    journal, control = journal_of(connection), effect.control
    with written(connection, effect.tables):
        try:
            # MySQL commits what is open before it begins anew.
            if control in (Control.COMMIT, Control.MAY_COMMIT) or (
                control is Control.BEGIN and connection.vendor == "mysql"
            ):
                with journal.committing():
                    return run()
            if control is Control.RELEASE and connection.vendor == "sqlite" and not connection.in_atomic_block:
                return _release_by_hand(connection, run)
            if control is Control.ISOLATION:
                journal.isolate_by_hand()
            result = run()
            if control is Control.ROLLBACK and journal.begun_by_hand:
                journal.forget()
            elif control in (Control.ROLLBACK, Control.ROLLBACK_TO):
                # Django's own and the user's. What the latter leaves in the journal is invalidated in vain, at worst.
                journal.discard_answers()
            return result
        finally:
            journal.begun_by_hand = _is_begun(connection, text, effect, journal)


def _release_by_hand(connection: BaseDatabaseWrapper, run: Callable[[], T]) -> T:
    """``RELEASE`` on SQLite, which is a COMMIT where the transaction began with that savepoint."""
    journal = journal_of(connection)
    with journal.publishing():
        result = run()
    if not has_begun(connection):
        journal.forget()
    return result


_BEGINS = re.compile(r"(?:^|;)\s*(?:begin|start\s+transaction)\b|\band\s+chain\b", re.IGNORECASE)


def _is_begun(connection: BaseDatabaseWrapper, text: str, effect: Effect, journal: Journal) -> bool:
    """Is a transaction open that Django knows nothing of, now that *text* was run?"""
    driver: Any = connection.connection
    if driver is None or connection.in_atomic_block or not connection.autocommit:
        return False
    match connection.vendor:
        case "sqlite":
            return bool(driver.in_transaction)
        case "postgresql":
            return bool(driver.info.transaction_status)  # 0: idle
    # The driver does not know: the last word on it is that of the text.
    if effect.control in (Control.COMMIT, Control.ROLLBACK, Control.MAY_COMMIT, Control.ISOLATION):
        stays = journal.begun_by_hand and effect.control is Control.ISOLATION
        return stays or _BEGINS.search(text) is not None
    return journal.begun_by_hand or effect.control is Control.BEGIN


@contextmanager
def written(connection: BaseDatabaseWrapper, names: Iterable[str] | None) -> Iterator[None]:
    """Around SQL that writes the tables called *names* (casefolded; ``None``: any table), rows unknown."""
    journal = journal_of(connection)
    known = tables_by_name()
    if names is None:
        found = {name for same in known.values() for name in same}
    else:
        # Of a table that is excluded, too, the database may cascade to one that is not.
        found = _with_cascades({name for given in names for name in known.get(given, ())}, connection.vendor)
    watched = [name for name in sorted(found) if is_watched(name, connection.vendor)]
    moved = [announce(connection, name, whole_table(table(connection.alias, name))) for name in watched]
    with journal.writing(chain.from_iterable(moved)):
        yield


def _with_cascades(names: set[str], vendor: str) -> set[str]:
    """These tables, and those whose rows the database itself changes when rows of these go."""
    described = [facts for name in names if (facts := describe(name, vendor)) is not None]
    return names.union(*(changed_by_database(model) for facts in described for model in facts.models))


def _text(connection: BaseDatabaseWrapper, sql: Any) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    if hasattr(sql, "as_string"):
        connection.ensure_connection()
        return str(sql.as_string(connection.connection))
    return str(sql)


def wrap_unparsed(connection: BaseDatabaseWrapper, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* of a driver's cursor, run as what it is: SQL in its first argument, or a table's name."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if name in ("copy", "stream"):
            effect = effect_of(_text(connection, args[0] if args else kwargs.get("statement", "")), connection.vendor)
            names = effect.tables
            if names is not None and not names:
                return function(*args, **kwargs)
            return (
                _Spanning(written(connection, names), function(*args, **kwargs))
                if name == "copy"
                else _all_of(connection, names, function, args, kwargs)
            )
        with written(connection, None):
            if name == "executescript" and journal_of(connection).in_transaction:
                # SQLite's driver commits what is open before it runs a script.
                with journal_of(connection).committing():
                    return function(*args, **kwargs)
            return function(*args, **kwargs)

    return run


def _all_of(
    connection: BaseDatabaseWrapper,
    names: Iterable[str] | None,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Iterator[Any]:
    with written(connection, names):
        yield from function(*args, **kwargs)


class _Spanning:
    """``with cursor.copy(…) as copy``: the write is over when the block is."""

    def __init__(self, around: AbstractContextManager[None], copy: AbstractContextManager[Any]) -> None:
        self._around = around
        self._copy = copy

    def __enter__(self) -> Any:
        self._around.__enter__()
        try:
            return self._copy.__enter__()
        except BaseException as error:
            self._around.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return self._copy.__exit__(kind, error, traceback)
        finally:
            self._around.__exit__(None, None, None)
