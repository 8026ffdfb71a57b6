"""Capturing the ORM's writes where all of them pass: the compilers of INSERT, UPDATE and DELETE.

Each write runs in a transaction, the user's or a small one of its own, so that what it changed is known and marked
before anyone can see it. Where the rows cannot be known for certain, the whole table is invalidated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Field, Model
from django.db.models.constants import OnConflict
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from everfresh.conf import settings
from everfresh.events import Invalidated, emit
from everfresh.journal import journal_of
from everfresh.naming import tag_names
from everfresh.signals import rows_writing, rows_written
from everfresh.tables import Facts, Uncertain, canonical, describe, is_watched, table, table_of
from everfresh.tags import Kind, Tag
from everfresh.writing.images import (
    Image,
    Key,
    deleted,
    images_by_key,
    inserted,
    is_plain,
    select_images,
    updated,
    whole_table,
)

__all__ = ["announce", "capture_delete", "capture_insert", "capture_update", "changed_by_database"]

T = TypeVar("T")


def announce(connection: BaseDatabaseWrapper, name: str, moved: Iterable[Tag]) -> tuple[str, ...]:
    """The store's names of the tags that one statement on the table called *name* moves."""
    moved = list(moved)
    if not moved:
        return ()
    whole = any(tag.kind is Kind.EPOCH for tag in moved)
    emit(Invalidated(name, len(moved), whole=whole))
    # Nobody reads by a connection that no alias leads to, as the one by which Django drops test databases.
    if (rows_written.receivers or rows_writing.receivers) and connection.alias in connections.settings:
        journal_of(connection).note_rows(name, None if whole else _keys(connection, name, moved))
    return tag_names(tag.name for tag in moved)


def _keys(connection: BaseDatabaseWrapper, name: str, moved: Iterable[Tag]) -> set[object] | None:
    """The primary keys of the rows that these tags are of; ``None`` where they are not known."""
    facts = describe(name, connection.vendor)
    column = facts.models[0]._meta.pk.column if facts else None
    if facts is None or column not in facts.tag_columns:
        return None
    return {tag.values[0] for tag in moved if tag.kind is Kind.VALUE and tag.columns == (column,)}


class _Statement:
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

    @property
    def is_watched(self) -> bool:
        """Can any entry depend on this table?"""
        return is_watched(self.name, self.connection.vendor)

    def record(self, moved: Iterable[Tag]) -> None:
        if self.journal.in_transaction:
            self.journal.record(announce(self.connection, self.name, moved))

    def record_whole_table(self) -> None:
        self.record(whole_table(self.place))

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
        known = self.journal.own_sql
        at = len(known)

        def as_sql(*args: Any, **kwargs: Any) -> Any:
            made = type(compiler).as_sql(compiler, *args, **kwargs)
            known.extend(sql for sql, _ in (made if isinstance(made, list) else [made]))
            return made

        compiler.as_sql = as_sql
        try:
            yield
        finally:
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


# INSERT


def capture_insert(compiler: SQLInsertCompiler, run: Callable[[], list[Any]]) -> list[Any]:
    """Run an INSERT and record the rows that came to be."""
    statement = _Statement(compiler, compiler.connection.vendor)
    if not statement.is_watched:
        return run()
    with statement.under_way():
        rows = run()
        facts = statement.facts
        if facts is None or len(compiler.query.objs) > settings().limits.written_rows:
            statement.record_whole_table()
            return rows
        try:
            images = list(_inserted_images(compiler, facts, rows))
        except Uncertain:
            statement.record_whole_table()
        else:
            statement.record(inserted(statement.place, facts, images))
    return rows


def _inserted_images(compiler: SQLInsertCompiler, facts: Facts, rows: list[Any]) -> Iterator[Image]:
    query: Any = compiler.query
    if query.on_conflict == OnConflict.UPDATE:
        raise Uncertain("rows that were there before may have changed")
    given = {field.column: field for field in query.fields}
    returned = [field.column for field in compiler.returning_fields or ()]
    columns = facts.tagged()
    for at, instance in enumerate(query.objs):
        known = dict(zip(returned, rows[at], strict=True)) if at < len(rows) else {}
        image: dict[str, object] = {}
        for column in columns:
            if column in known:
                value = known[column]
            elif column in given:
                # After the statement ran: pre_save() has put what it wrote on the instance.
                value = getattr(instance, given[column].attname)
                if value is None and isinstance(given[column], AutoField):
                    raise Uncertain("a key that only the database knows")
            else:
                raise Uncertain(f"the column {column} is left to the database")
            image[column] = canonical(facts.fields[column], value)
        yield image


# UPDATE


def capture_update(compiler: SQLUpdateCompiler, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
    """Run an UPDATE and record the rows that changed: what they were and what they are.

    Args:
        compiler: of the update.
        run: executes it.
        count: the number of rows it matched, from what *run* gave.
    """
    statement = _Statement(compiler, compiler.connection.vendor)
    if not statement.query.values or not statement.is_watched:
        # No values: only the tables of parents are updated, each by a statement of its own.
        return run()
    if compiler.__dict__.get("_everfresh_captured"):
        # Django's "update returning" falls back on a plain update of the same compiler: one statement, captured once.
        return run()
    compiler.__dict__["_everfresh_captured"] = True
    with statement.under_way():
        if statement.facts is None:
            statement.record_whole_table()
            return run()
        return _Update(statement, statement.facts, compiler).run(run, count)


class _Update:
    def __init__(self, statement: _Statement, facts: Facts, compiler: SQLUpdateCompiler) -> None:
        self.statement = statement
        self.facts = facts
        self.compiler = compiler
        self.assigned: dict[str, Any] = {field.column: value for field, _, value in statement.query.values}
        self.known: dict[str, object] = {}
        """New values that are the same for all rows, by column."""
        for column in self.assigned.keys() & facts.readable:
            with suppress(Uncertain):
                field = facts.fields[column]
                self.known[column] = canonical(field, _plain_value(field, self.assigned[column]))
        self.unknown = self.assigned.keys() & set(facts.tagged()) - self.known.keys()
        """Tag columns whose new values must be read; other columns of unknown values count as changed."""
        self.columns = list(dict.fromkeys([*facts.tagged(), *sorted(self.known)]))

    def run(self, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
        old = self._old_images()
        result = run()
        if old is None or count(result) != len(old):
            # More rows than the limit, values without a name, or rows that came to match after they were read.
            self.statement.record_whole_table()
            return result
        if not old:
            return result
        try:
            new = self._new_images(old)
        except Uncertain:
            self.statement.record_whole_table()
            return result
        if changed := self._changed(old, new):
            images = [*old.values(), *new.values()]
            self.statement.record(updated(self.statement.place, self.facts, images, changed))
        return result

    def _old_images(self) -> dict[Key, Image] | None:
        statement, query = self.statement, self.compiler.query
        statement.take_write_lock()
        key_columns = {field.column for field in query.get_meta().pk_fields}
        lock = "update" if key_columns & self.assigned.keys() else "no key update"
        try:
            old = select_images(statement.connection, query, self.facts, self.columns, lock=lock)
        except Uncertain:
            return None
        if old:
            _pin_to_rows(statement.connection, query, old)
        return old

    def _new_images(self, old: dict[Key, Image]) -> dict[Key, Image]:
        if not self.unknown:
            return {key: {**image, **self.known} for key, image in old.items()}
        if self.assigned.keys() & {field.column for field in self.compiler.query.get_meta().pk_fields}:
            raise Uncertain("the new keys are not known")
        new = images_by_key(self.statement.connection, self.statement.model, self.facts, list(old), self.columns)
        if new is None or new.keys() != old.keys():
            raise Uncertain("the rows are not where they were")
        return new

    def _changed(self, old: dict[Key, Image], new: dict[Key, Image]) -> list[str]:
        return [
            column
            for column in self.assigned
            if column not in self.columns or any(old[key][column] != new[key][column] for key in old)
        ]


def _plain_value(field: Field[Any, Any], value: Any) -> Any:
    # As the compiler does it: update(owner=instance) stores what the foreign key points to, not always the key.
    return value.prepare_database_save(field) if isinstance(value, Model) else value


def _pin_to_rows(connection: BaseDatabaseWrapper, query: Any, rows: dict[Key, Image]) -> None:
    """Write to exactly the rows that were read and locked, where other tables decide which rows match.

    Between the reading and the writing another transaction may commit to those tables. A condition on the row's
    own columns needs no pinning: rows once locked keep matching, and more of them show in the count.
    """
    if connection.vendor != "sqlite" and not is_plain(query):
        query.clear_where()
        query.add_filter("pk__in", [key if len(key) > 1 else key[0] for key in rows])


# DELETE


def capture_delete(compiler: SQLDeleteCompiler, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
    """Run a DELETE and record the rows that are gone, and those that the database removes or changes with them."""
    statement = _Statement(compiler, compiler.connection.vendor)
    vendor = statement.connection.vendor
    besides = {name for name in changed_by_database(statement.model) if is_watched(name, vendor)}
    if not statement.is_watched and not besides:
        return run()
    with statement.under_way(besides):
        if not statement.is_watched:
            return run()
        if statement.facts is None:
            statement.record_whole_table()
            return run()
        statement.take_write_lock()
        facts = statement.facts
        try:
            old = select_images(statement.connection, compiler.query, facts, facts.tagged(), lock="update")
        except Uncertain:
            old = None
        if old:
            _pin_to_rows(statement.connection, compiler.query, old)
        result = run()
        if old is None or (count(result) or 0) != len(old):
            statement.record_whole_table()
        elif old:
            statement.record(deleted(statement.place, facts, old.values()))
        return result


def changed_by_database(model: type[Model]) -> Iterator[str]:
    """The tables whose rows the database itself changes when a row of *model* goes (``DB_CASCADE`` and its kin)."""
    seen: set[type[Model]] = set()
    waiting = [model]
    while waiting:
        for relation in waiting.pop()._meta.get_fields(include_hidden=True):
            action = getattr(relation, "on_delete", None)
            if not relation.auto_created or not hasattr(action, "on_delete_sql"):
                continue
            child: Any = relation.related_model
            yield child._meta.db_table
            if child not in seen:
                # A cascade may go on; after SET NULL nothing more happens, but looking costs nothing.
                seen.add(child)
                waiting.append(child)
