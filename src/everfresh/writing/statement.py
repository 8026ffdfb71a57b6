"""One captured statement: the transaction it runs in, the SQL that is its own, and what it makes known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from everfresh.events import Invalidated, emit, is_heard
from everfresh.journal import journal_of
from everfresh.naming import tag_names
from everfresh.signals import rows_writing, rows_written
from everfresh.tables import Facts, is_watched, table, table_of
from everfresh.writing.images import Image, name_of_value, whole_table
from everfresh.writing.preludes import Prelude, Question, leads_statements

__all__ = ["Statement", "announce", "keys_of"]


def announce(
    connection: BaseDatabaseWrapper,
    name: str,
    moved: Collection[str],
    keys: Callable[[], set[object] | None] | None = None,
) -> tuple[str, ...]:
    """The store's names of the tags that one statement on the table called *name* moves.

    Args:
        connection: that runs it.
        name: of the table.
        moved: the names of the tags.
        keys: gives the primary keys of the rows; left out: of any rows of the table.
    """
    if not moved:
        return ()
    if is_heard():
        emit(Invalidated(name, len(moved), whole=keys is None))
    # Nobody reads by a connection that no alias leads to, as the one by which Django drops test databases.
    if (rows_written.receivers or rows_writing.receivers) and connection.alias in connections.settings:
        journal_of(connection).note_rows(name, keys() if keys is not None else None)
    return tag_names(moved)


def keys_of(facts: Facts, columns: Sequence[str], images: Iterable[Image]) -> Callable[[], set[object] | None]:
    """What tells the primary keys of the rows of *images*, where they are among *columns* and tagged."""

    def keys() -> set[object] | None:
        column = facts.models[0]._meta.pk.column
        if column not in facts.tag_columns:
            return None
        at = columns.index(column)
        return {name_of_value(facts, column, image[at]) for image in images}

    return keys


class Statement:
    """One INSERT, UPDATE or DELETE on one table."""

    def __init__(self, compiler: SQLInsertCompiler | SQLUpdateCompiler | SQLDeleteCompiler, vendor: str) -> None:
        self.compiler = compiler
        self.connection: BaseDatabaseWrapper = compiler.connection
        self.journal = journal_of(self.connection)
        query: Any = compiler.query
        self.query = query
        self.model: type[Model] = query.model
        self.name = self.model._meta.db_table
        self.place = table(self.connection.alias, self.name)
        self.facts = table_of(self.model, vendor)
        self.prelude: Prelude | None = None

    @property
    def is_watched(self) -> bool:
        """Can any entry depend on this table?"""
        return is_watched(self.name, self.connection.vendor)

    def record(self, moved: Collection[str], columns: Sequence[str], images: Iterable[Image]) -> None:
        """Note the tags of the written rows of *images*, which hold *columns*."""
        if self.journal.in_transaction and self.facts is not None:
            keys = keys_of(self.facts, columns, images)
            epoch, every = tag_names([self.place.epoch.name, self.place.any.name])
            self.journal.record(announce(self.connection, self.name, moved, keys), epoch)
            if moved:
                # An answer that any write ends looks at nothing else of the table: the epoch cannot stand for that one.
                self.journal.record([every])

    def record_whole_table(self) -> None:
        """Note that any row of the table may have been written."""
        if self.journal.in_transaction:
            self.journal.record(announce(self.connection, self.name, whole_table(self.place)))

    @contextmanager
    def asking(self, question: Question) -> Iterator[None]:
        """While the statement runs: *question* goes ahead of it, in the same text where that can be."""
        if not leads_statements(self.connection):
            self.take_write_lock()
            question.ask()
            yield
            return
        prelude = self.prelude = self.prelude or Prelude(self.connection, begins=False)
        prelude.question = question
        yield

    @contextmanager
    def under_way(self, others: Iterable[str] = ()) -> Iterator[None]:
        """In a transaction, and with its own SQL known to the cursor as captured.

        Args:
            others: tables whose rows the database itself changes along with those of this one.
        """
        with self._in_transaction(others), self._known_sql():
            if self.journal.in_transaction:
                self.journal.record(self._announce_whole(others))
            try:
                yield
            except BaseException:
                # It may have been executed before something raised, and somebody may catch that and commit.
                self.record_whole_table()
                raise

    def _announce_whole(self, names: Iterable[str]) -> list[str]:
        alias = self.connection.alias
        return [tag for name in names for tag in announce(self.connection, name, whole_table(table(alias, name)))]

    @contextmanager
    def _known_sql(self) -> Iterator[None]:
        """Tell the cursor which statements are this compiler's own.

        Not all that run in the meantime are: a field's ``pre_save()`` or an execute wrapper may run raw SQL.
        """
        compiler: Any = self.compiler
        journal = self.journal
        known = journal.own_sql
        at, before = len(known), journal.ahead

        def as_sql(*args: Any, **kwargs: Any) -> Any:
            made = type(compiler).as_sql(compiler, *args, **kwargs)
            texts = [sql for sql, _ in (made if isinstance(made, list) else [made])]
            known.extend(texts)
            if self.prelude is not None:
                self.prelude.sql = texts[0]
                journal.ahead = self.prelude
            return made

        compiler.as_sql = as_sql
        try:
            yield
        finally:
            journal.ahead = before
            compiler.__dict__.pop("as_sql", None)
            del known[at:]

    @contextmanager
    def _in_transaction(self, others: Iterable[str]) -> Iterator[None]:
        connection = self.connection
        if self.journal.in_transaction:
            yield
        elif connection.alias not in connections.settings or connections[connection.alias] is not connection:
            # A copy of a connection, which atomic() cannot find by its alias: the statement is its own COMMIT.
            with self.journal.writing(self._announce_whole([self.name, *others])):
                yield
        else:
            if leads_statements(connection):
                self.prelude = Prelude(connection, begins=True)
            block = transaction.atomic(using=connection.alias, savepoint=False)
            with _unlogged(connection):
                block.__enter__()
            try:
                yield
            except BaseException as error:
                with _unlogged(connection):
                    block.__exit__(type(error), error, error.__traceback__)
                raise
            with _unlogged(connection):
                block.__exit__(None, None, None)

    def take_write_lock(self) -> None:
        """On SQLite: become the writer before reading old rows.

        A transaction that has read a snapshot cannot write once another has written: reading first would turn
        a write that had waited for its turn into "database is locked".
        """
        if self.connection.vendor == "sqlite" and not self.journal.write_locked:
            quoted = self.connection.ops.quote_name(self.name)
            with self.connection.wrap_database_errors:
                self.connection.ensure_connection()
                self.connection.create_cursor().execute(f"DELETE FROM {quoted} WHERE 0").close()  # noqa: S608  a table's own name
            self.journal.write_locked = True


@contextmanager
def _unlogged(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Keep our own BEGIN and COMMIT out of ``connection.queries``: the application wrote one statement."""
    log = connection.queries_log
    connection.queries_log = deque(maxlen=1)
    try:
        yield
    finally:
        connection.queries_log = log
