"""The clauses of rows that fields of a model describe: stale by whatever write, on whatever path, touches one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import connections, router
from django.db.models import Field, Model

from everfresh.clauses import Clauses
from everfresh.databases import logical_database
from everfresh.naming import tag_names
from everfresh.queries.outlines import Equality, Outline, Source
from everfresh.recording import Named
from everfresh.tables import table, table_of

__all__ = ["any_change", "raw"]

_Column = tuple[type[Model], str]
"""A column of a model's own table."""


def any_change(model: type[Model], values: Mapping[str, object]) -> tuple[Named, ...]:
    """The clauses of every write to a row of *model* whose fields have these *values*, before it or after it.

    A name that is no field with a column narrows nothing down; neither does a column without tags.

    Args:
        model: may be a proxy, and may inherit its columns from parents with tables.
        values: by the names of fields; an instance stands for what a foreign key to it holds.

    Raises:
        ImproperlyConfigured: where nobody looks at writes to the table.
    """
    equal = dict(_equal(model, values))
    found: set[Named] = set()
    for using in _databases(model):
        clauses = Clauses(
            clause
            for source in _sources(model, equal, using)
            for clause in Outline((source,), is_shared=False).clauses(()).clauses
        )
        found.update(clauses.named(tag_names(clauses.names)))
    return tuple(found)


def _databases(model: type[Model]) -> Iterator[str]:
    """One alias of each database that may have such rows."""
    seen = set()
    allowed = [using for using in connections if router.allow_migrate_model(using, model)]
    for using in [router.db_for_read(model), router.db_for_write(model), *allowed]:
        if (name := logical_database(using)) not in seen:
            seen.add(name)
            yield using


def _sources(model: type[Model], equal: Mapping[_Column, object], using: str) -> Iterator[Source]:
    for each in _with_tables(model):
        facts = table_of(each, connections[using].vendor)
        if facts is None or facts.excluded:
            raise ImproperlyConfigured(
                f"Nothing can depend on rows of {each._meta.label}: its writes are not looked at. "
                f"Take it out of EXCLUDE and of what MODELS says is never cached."
            )
        equalities = tuple(Equality("", column, (value,)) for (owner, column), value in equal.items() if owner is each)
        yield Source(table(using, facts.name), facts, None, equalities)


def _with_tables(model: type[Model]) -> list[type[Model]]:
    """The models of the tables that a row of *model* is in."""
    each = [model._meta.concrete_model, *(parent._meta.concrete_model for parent in model._meta.all_parents)]
    return list(dict.fromkeys(filter(None, each)))


def _equal(model: type[Model], values: Mapping[str, object]) -> Iterator[tuple[_Column, object]]:
    """The columns that must hold a value, in each of the tables that the row is in."""
    links = list(_links(model))
    for name, value in values.items():
        for field, part in _parts(model, name, value):
            waiting = [_column(field)]
            same: set[_Column] = set()
            while waiting:
                same.add(column := waiting.pop())
                waiting += [b for pair in links for a, b in (pair, pair[::-1]) if a == column and b not in same]
            yield from ((column, part) for column in same)


def _links(model: type[Model]) -> Iterator[tuple[_Column, _Column]]:
    """The columns that join a row to those of its parents, with what they point to."""
    for each in _with_tables(model):
        for link in each._meta.parents.values():
            if link is not None and link.model is each:
                target: Any = link
                yield _column(link), _column(target.target_field)


def _parts(model: type[Model], name: str, value: object) -> Iterator[tuple[Field[Any, Any], object]]:
    """The fields with columns that *name* stands for, and their values: several for a composite key."""
    if name == "pk":
        fields = model._meta.pk_fields
        given = value if len(fields) > 1 and isinstance(value, tuple | list) else (value,)
        if len(given) == len(fields):
            yield from ((field, raw(field, part)) for field, part in zip(fields, given, strict=True))
        return
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        # A property, or what foreign keys are called with _id.
        field = next((each for each in model._meta.concrete_fields if each.attname == name), None)
    if field is not None and getattr(field, "column", None) is not None:
        yield field, raw(field, value)


def raw(field: Field[Any, Any], value: object) -> object:
    """What the column of *field* holds for *value*."""
    return getattr(value, field.target_field.attname) if isinstance(value, Model) else value  # type: ignore[attr-defined]


def _column(field: Field[Any, Any]) -> _Column:
    owner = field.model._meta.concrete_model
    assert owner is not None and field.column is not None  # noqa: S101, PT018  it is one of a row
    return owner, field.column
