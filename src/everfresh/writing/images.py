"""Row images: what a row's tag columns held before and after a write, and the tags that this moves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model
from django.db.models.sql import Query

from everfresh.conf import settings
from everfresh.tables import Facts, canonical
from everfresh.tags import Kind, Table, Tag, integer_text, joined, stem, value_text

__all__ = [
    "Image",
    "Key",
    "deleted",
    "fetch",
    "images_by_key",
    "inserted",
    "is_plain",
    "name_of_value",
    "select_images",
    "updated",
    "whole_table",
]

Image = Sequence[object]
"""The values of some columns of one row, in the order of those; as the database or an instance has them."""

Key = tuple[Any, ...]
"""A row's primary key, as the database gave it, one value for each column."""


def whole_table(place: Table) -> list[str]:
    """The names of the tags of a write whose rows are not known."""
    return [place.epoch.name, place.any.name]


def inserted(place: Table, facts: Facts, columns: Sequence[str], images: Sequence[Image]) -> set[str]:
    """The names of the tags of rows that came.

    Raises:
        Uncertain: when a value of theirs has no canonical name, as in all functions here.
    """
    return _came_or_went(place, facts, columns, images, place.created)


def deleted(place: Table, facts: Facts, columns: Sequence[str], images: Sequence[Image]) -> set[str]:
    """The names of the tags of rows that went."""
    return _came_or_went(place, facts, columns, images, place.deleted)


def _came_or_went(place: Table, facts: Facts, columns: Sequence[str], images: Sequence[Image], event: Tag) -> set[str]:
    if not images:
        return set()
    return {place.any.name, event.name, *_values(place, facts, columns, images)}


def updated(
    place: Table, facts: Facts, columns: Sequence[str], images: Sequence[Image], changed: Iterable[str]
) -> set[str]:
    """The names of the tags of rows that were and are *images*, whose columns *changed* are not what they were."""
    moved = {stem(*place, Kind.COLUMN, (column,)) for column in (*changed, *facts.generated)}
    return {*moved, place.any.name, *_values(place, facts, columns, images)}


def _values(place: Table, facts: Facts, columns: Sequence[str], images: Sequence[Image]) -> Iterator[str]:
    # Column by column, and names at once: a large write has thousands of values.
    if not images:
        return
    held = dict(zip(columns, zip(*images, strict=True), strict=True))
    for column in facts.tag_columns:
        first = stem(place.database, place.name, Kind.VALUE, (column,))
        values: Collection[object] = held[column]
        if len(values) > 1 and set(map(type, values)) == {int}:
            # Of one class, equal values are the same value.
            values = set(values)
        for text in set(_texts(facts, column, values)):
            yield f"{first}={text}"
    for columns_of_set in facts.tag_sets:
        first = stem(place.database, place.name, Kind.VALUE, columns_of_set)
        texts = [_texts(facts, column, held[column]) for column in columns_of_set]
        for each in set(zip(*texts, strict=True)):
            yield f"{first}={joined(each)}"


def _texts(facts: Facts, column: str, values: Iterable[object]) -> list[str]:
    if facts.exact.get(column) is int:
        return [
            integer_text(value) if type(value) is int else value_text(canonical(facts.fields[column], value))
            for value in values
        ]
    return [value_text(name_of_value(facts, column, value)) for value in values]


def name_of_value(facts: Facts, column: str, value: object) -> object:
    """The one name of *value* in *column*: that of `everfresh.tables.canonical`, sooner."""
    return value if type(value) is facts.exact.get(column) else canonical(facts.fields[column], value)


# Reading images


def is_plain(query: Query) -> bool:
    """Do the rows that *query* matches depend on nothing but their own columns?"""
    active = sum(1 for alias in query.alias_map if query.alias_refcount[alias])
    return active <= 1 and not _holds_query(query.where)


def _holds_query(node: Any) -> bool:
    if isinstance(node, Query):
        return True
    children = [*getattr(node, "children", ()), getattr(node, "rhs", None)]
    if hasattr(node, "get_source_expressions"):
        children += node.get_source_expressions()
    return any(
        _holds_query(child)
        for child in children
        if hasattr(child, "children") or hasattr(child, "get_source_expressions")
    )


def images_by_key(
    connection: BaseDatabaseWrapper, model: type[Model], facts: Facts, keys: Sequence[Key], columns: Sequence[str]
) -> dict[Key, Image] | None:
    """The images of the rows with these primary keys, as they are now."""
    query: Any = Query(model)
    query.add_filter("pk__in", [key if len(key) > 1 else key[0] for key in keys])
    return select_images(connection, query, facts, columns, lock=None)


def select_images(
    connection: BaseDatabaseWrapper, matching: Query, facts: Facts, columns: Sequence[str], *, lock: str | None
) -> dict[Key, Image] | None:
    """The images of the rows that *matching* matches.

    Args:
        connection: asked past Django's cursor; the question belongs in nobody's query log.
        matching: any query on the table, also an UPDATE's or a DELETE's. Not changed.
        facts: of the table.
        columns: whose values are wanted.
        lock: ``"update"``, ``"no key update"`` or ``None``.

    Returns:
        Images by primary key, or ``None`` when there are more rows than the limit.
    """
    limit = settings().limits.written_rows
    keys: list[Field[Any, Any]] = list(matching.get_meta().pk_fields)
    query = _single_table(matching)
    alias = query.get_initial_alias()
    query.select = tuple(field.get_col(alias) for field in [*keys, *(facts.fields[column] for column in columns)])
    if lock and connection.features.has_select_for_update and not connection.get_autocommit():
        query.select_for_update = True
        query.select_for_no_key_update = lock == "no key update" and connection.features.has_select_for_no_key_update
    query.set_limits(high=limit + 1)
    compiler = query.get_compiler(connection=connection)
    try:
        sql, params = compiler.as_sql()
    except EmptyResultSet:
        return {}
    rows = [tuple(row) for row in compiler.results_iter([fetch(connection, sql, params)])]
    if len(rows) > limit:
        return None
    return {row[: len(keys)]: row[len(keys) :] for row in rows}


def _single_table(matching: Query) -> Query:
    query = matching.chain(klass=Query)
    query.clear_ordering(force=True)
    query.clear_select_clause()
    query.distinct = False
    if sum(1 for alias in query.alias_map if query.alias_refcount[alias]) <= 1 and query.group_by is None:
        return query
    # Joined rows cannot be locked apart, nor grouped ones at all.
    query.add_fields([field.name for field in matching.get_meta().pk_fields])
    outer: Any = Query(matching.model)
    outer.add_filter("pk__in", query)
    outer.clear_select_clause()
    # Not in the model's own order either: it may need a join, and FOR UPDATE refuses an outer one.
    outer.clear_ordering(force=True)
    single: Query = outer
    return single


def fetch(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[Sequence[Any]]:
    """The rows of a question of our own, as the driver gives them, past Django's cursor."""
    connection.validate_no_broken_transaction()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = connection.create_cursor()
        try:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
        finally:
            cursor.close()
