"""Capturing the ORM's writes where all of them pass: the compilers of INSERT, UPDATE and DELETE.

Each write runs in a transaction, the user's or a small one of its own, so that what it changed is known and marked
before anyone can see it. Where the rows cannot be known for certain, the whole table is invalidated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Field, Model
from django.db.models.constants import OnConflict
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from everfresh.conf import settings
from everfresh.tables import Facts, Uncertain, is_watched
from everfresh.writing.images import (
    Image,
    Key,
    deleted,
    images_by_key,
    inserted,
    is_plain,
    name_of_value,
    select_images,
    updated,
)
from everfresh.writing.preludes import Question
from everfresh.writing.statement import Statement

__all__ = ["capture_delete", "capture_insert", "capture_update", "changed_by_database"]

T = TypeVar("T")

BY_HAND = frozenset({"mysql", "postgresql", "sqlite"})
"""Vendors whose ``SELECT … LIMIT … FOR UPDATE`` we write ourselves."""


# INSERT


def capture_insert(compiler: SQLInsertCompiler, run: Callable[[], list[Any]]) -> list[Any]:
    """Run an INSERT and record the rows that came to be."""
    statement = Statement(compiler, compiler.connection.vendor)
    if not statement.is_watched:
        return run()
    with statement.under_way():
        rows = run()
        facts = statement.facts
        if facts is None or len(compiler.query.objs) > settings().limits.written_rows:
            statement.record_whole_table()
            return rows
        columns = facts.tagged()
        try:
            images = _inserted_images(compiler, columns, rows)
            moved = inserted(statement.place, facts, columns, images)
        except Uncertain:
            statement.record_whole_table()
        else:
            statement.record(moved, columns, images)
    return rows


def _inserted_images(compiler: SQLInsertCompiler, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Image]:
    query: Any = compiler.query
    if query.on_conflict == OnConflict.UPDATE:
        raise Uncertain("rows that were there before may have changed")
    given = {field.column: field for field in query.fields}
    returned = [field.column for field in compiler.returning_fields or ()]
    objects = query.objs
    if returned and len(rows) != len(objects):
        # Fewer than were given: some are where others are. Which, nobody says.
        returned, rows = [], []
    values: list[Sequence[Any]] = []
    for column in columns:
        if column in returned:
            at = returned.index(column)
            values.append([row[at] for row in rows])
        elif column in given:
            # After the statement ran: pre_save() has put what it wrote on the instance.
            name = given[column].attname
            values.append([getattr(instance, name) for instance in objects])
            if isinstance(given[column], AutoField) and None in values[-1]:
                raise Uncertain("a key that only the database knows")
        else:
            raise Uncertain(f"the column {column} is left to the database")
    return list(zip(*values, strict=True)) if values else [()] * len(objects)


# UPDATE


def capture_update(compiler: SQLUpdateCompiler, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
    """Run an UPDATE and record the rows that changed: what they were and what they are.

    Args:
        compiler: of the update.
        run: executes it.
        count: the number of rows it matched, from what *run* gave.
    """
    statement = Statement(compiler, compiler.connection.vendor)
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
    def __init__(self, statement: Statement, facts: Facts, compiler: SQLUpdateCompiler) -> None:
        self.statement = statement
        self.facts = facts
        self.compiler = compiler
        self.assigned: dict[str, Any] = {field.column: value for field, _, value in statement.query.values}
        self.known: dict[str, object] = {}
        """New values that are the same for all rows, by column."""
        for column, value in self.assigned.items():
            if column in facts.readable:
                try:
                    self.known[column] = name_of_value(facts, column, _plain_value(facts.fields[column], value))
                except Uncertain:
                    continue
        tagged = facts.tagged()
        self.unknown = self.assigned.keys() & set(tagged) - self.known.keys()
        """Tag columns whose new values must be read; other columns of unknown values count as changed."""
        self.columns = list(dict.fromkeys([*tagged, *sorted(self.known)]))
        keys = {field.column for field in compiler.query.get_meta().pk_fields}
        self.moves_keys = bool(keys & self.assigned.keys())
        self.lock = "update" if self.moves_keys else "no key update"

    def run(self, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
        if self.unknown or not _asks_by_hand(self.statement, self.compiler):
            return self._run_after_query(run, count)
        question = Question(self.compiler, self.facts, self.columns, self.lock)
        with self.statement.asking(question):
            result = run()
        old = question.images
        if old is None or count(result) != len(old):
            # More rows than the limit, or rows that came to match after they were read.
            self.statement.record_whole_table()
        else:
            self._record(old, None)
        return result

    def _run_after_query(self, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
        statement, query = self.statement, self.compiler.query
        statement.take_write_lock()
        old = select_images(statement.connection, query, self.facts, self.columns, lock=self.lock)
        if old:
            _pin_to_rows(statement.connection, query, old)
        result = run()
        if old is None or count(result) != len(old):
            statement.record_whole_table()
        elif old:
            new = self._new_images(old) if self.unknown else None
            if self.unknown and new is None:
                statement.record_whole_table()
            else:
                self._record(list(old.values()), new)
        return result

    def _new_images(self, old: dict[Key, Image]) -> list[Image] | None:
        if self.moves_keys:
            # The rows are not known by their old keys.
            return None
        new = images_by_key(self.statement.connection, self.statement.model, self.facts, list(old), self.columns)
        return None if new is None or new.keys() != old.keys() else [new[key] for key in old]

    def _record(self, old: Sequence[Image], new: Sequence[Image] | None) -> None:
        """Note what moved; *new* in the order of *old*, or ``None`` where the assigned values say it all."""
        if not old:
            return
        try:
            changed = self._changed(old, new)
            if not changed:
                return
            if new is None and not self.known.keys().isdisjoint(self.facts.tagged()):
                new = list(zip(*self._new_values(old), strict=True))
            images = [*old, *(new or ())]
            moved = updated(self.statement.place, self.facts, self.columns, images, changed)
        except Uncertain:
            self.statement.record_whole_table()
        else:
            self.statement.record(moved, self.columns, images)

    def _new_values(self, old: Sequence[Image]) -> Iterator[Sequence[object]]:
        for column, held in zip(self.columns, zip(*old, strict=True), strict=True):
            yield [self.known[column]] * len(old) if column in self.known else held

    def _changed(self, old: Sequence[Image], new: Sequence[Image] | None) -> list[str]:
        return [column for column in self.assigned if column not in self.columns or self._has_changed(column, old, new)]

    def _has_changed(self, column: str, old: Sequence[Image], new: Sequence[Image] | None) -> bool:
        at = self.columns.index(column)
        if new is None:
            known = self.known[column]
            kind = type(known)
            # What is equal in one class is one value, whatever it is called.
            return any(
                (type(image[at]) is not kind or image[at] != known)
                and name_of_value(self.facts, column, image[at]) != known
                for image in old
            )
        return any(
            name_of_value(self.facts, column, was[at]) != name_of_value(self.facts, column, now[at])
            for was, now in zip(old, new, strict=True)
        )


def _asks_by_hand(statement: Statement, compiler: SQLUpdateCompiler | SQLDeleteCompiler) -> bool:
    """Is the condition of a statement one on its own table's columns, in SQL that we can put around it?"""
    query: Any = compiler.query
    return (
        statement.connection.vendor in BY_HAND
        and statement.journal.in_transaction
        and query.get_initial_alias() == statement.name
        and query.group_by is None
        and not getattr(query, "related_updates", None)
        and is_plain(query)
    )


def _plain_value(field: Field[Any, Any], value: Any) -> Any:
    # As the compiler does it: update(owner=instance) stores what the foreign key points to, not always the key.
    return value.prepare_database_save(field) if isinstance(value, Model) else value


def _pin_to_rows(connection: BaseDatabaseWrapper, query: Any, rows: Iterable[Key]) -> None:
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
    statement = Statement(compiler, compiler.connection.vendor)
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
        return _Delete(statement, statement.facts, compiler).run(run, count)


class _Delete:
    def __init__(self, statement: Statement, facts: Facts, compiler: SQLDeleteCompiler) -> None:
        self.statement = statement
        self.facts = facts
        self.compiler = compiler
        self.columns = facts.tagged()

    def run(self, run: Callable[[], T], count: Callable[[T], int | None]) -> T:
        statement = self.statement
        old: Sequence[Image] | None
        if _asks_by_hand(statement, self.compiler):
            question = Question(self.compiler, self.facts, self.columns, "update")
            with statement.asking(question):
                result = run()
            old = question.images
        else:
            statement.take_write_lock()
            found = select_images(statement.connection, self.compiler.query, self.facts, self.columns, lock="update")
            if found:
                _pin_to_rows(statement.connection, self.compiler.query, found)
            result = run()
            old = None if found is None else list(found.values())
        if old is None or (count(result) or 0) != len(old):
            statement.record_whole_table()
        elif old:
            self._record(old)
        return result

    def _record(self, old: Sequence[Image]) -> None:
        try:
            moved = deleted(self.statement.place, self.facts, self.columns, old)
        except Uncertain:
            self.statement.record_whole_table()
        else:
            self.statement.record(moved, self.columns, old)


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
