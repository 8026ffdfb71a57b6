"""The tables that Django's models describe: which of their columns get tags, and what their values are called.

A tag column must have one canonical value for all values that SQL calls equal, whether it comes from a filter, from
an unsaved instance or from a row. Where that cannot be known for certain, there is no value tag (DESIGN section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.signals import setting_changed
from django.db import models
from django.db.models import Field, Model

from everfresh.conf import settings
from everfresh.databases import logical_database, point_of_view
from everfresh.tags import Table

__all__ = [
    "Facts",
    "Uncertain",
    "canonical",
    "describe",
    "every_table",
    "forget_tables",
    "is_watched",
    "table",
    "table_of",
    "tables_by_name",
]


class Uncertain(Exception):
    """The value a column has, or is compared with, cannot be named before the database has it."""


def _integer(_field: Field[Any, Any], value: Any) -> int:
    return int(value)


def _boolean(field: Field[Any, Any], value: Any) -> bool:
    return bool(field.to_python(value))


def _by_field(field: Field[Any, Any], value: Any) -> object:
    return field.to_python(value)


def _text(field: Field[Any, Any], value: Any) -> str:
    # The text that drivers send for SafeString and TextChoices too, whatever their own __str__ says.
    return str.__str__(value) if isinstance(value, str) else str(field.to_python(value))


def _date(field: Field[Any, Any], value: Any) -> date:
    if isinstance(value, datetime):
        raise Uncertain("a datetime in a date column depends on the time zone in force")
    found: date = field.to_python(value)
    return found


def _moment(_field: Field[Any, Any], value: Any) -> datetime:
    if type(value) not in _MOMENTS or (value.tzinfo is None) is django_settings.USE_TZ:
        raise Uncertain("a datetime that is not of the kind USE_TZ asks for")
    found: datetime = value.astimezone(UTC) if value.tzinfo else value.replace(fold=0)
    return found


def _decimal(field: Field[Any, Any], value: Any) -> Decimal:
    found = field.to_python(value)
    scale = Decimal(1).scaleb(-field.decimal_places)  # type: ignore[attr-defined]
    exact = found.quantize(scale, context=Context(prec=1000))
    # Databases round half up, half even or not at all: only a value that needs no rounding is the same in all.
    if exact != found:
        raise Uncertain("a decimal beyond the scale of its column")
    # Zero has a sign that SQL does not see.
    return abs(exact) if not exact else Decimal(exact)


_INTEGERS: tuple[type[Field[Any, Any]], ...] = (
    models.AutoField,
    models.BigAutoField,
    models.SmallAutoField,
    models.IntegerField,
    models.BigIntegerField,
    models.SmallIntegerField,
    models.PositiveIntegerField,
    models.PositiveBigIntegerField,
    models.PositiveSmallIntegerField,
)
_TEXTS: tuple[type[Field[Any, Any]], ...] = (
    models.CharField,
    models.SlugField,
    models.EmailField,
    models.URLField,
    models.TextField,
)
# By exact class: a subclass may prepare or read its values in a way of its own.
_CANONICAL: Mapping[type, Callable[[Any, Any], object]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    **dict.fromkeys(_TEXTS, _text),
    models.BooleanField: _boolean,
    models.UUIDField: _by_field,
    models.DateField: _date,
    models.DateTimeField: _moment,
    models.DecimalField: _decimal,
}
_EXACT: Mapping[type, type] = {
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(_TEXTS, str),
    models.BooleanField: bool,
    models.UUIDField: UUID,
    models.DateField: date,
}
"""For fields by exact class: the exact class of values that `canonical` gives back as they are."""

_NAMES = frozenset({bool, date, datetime, Decimal, int, str, UUID})
"""Exact classes of names. In a set a library that freezes time does not find them, to put its own in their place."""
_MOMENTS = frozenset({datetime})
_EXACT_TEXT = frozenset({"postgresql", "sqlite"})
"""Vendors whose default collation tells case, accents and trailing spaces apart."""


_EXACT_DIGITS = 15
"""Digits that SQLite keeps of a decimal, which it stores as a double."""


def _target(field: Field[Any, Any]) -> Field[Any, Any] | None:
    """The field whose values *field* holds: itself, or the end of its chain of foreign keys."""
    for _ in range(10):
        if type(field) not in (models.ForeignKey, models.OneToOneField):
            return field
        try:
            field = field.target_field  # type: ignore[attr-defined]
        except ValueError:
            # It points to a model that is declared nowhere, as one that only migrations know.
            return None
    return None


def _has_canonical_values(field: Field[Any, Any], vendor: str) -> bool:
    target = _target(field)
    if target is None or type(target) not in _CANONICAL:
        return False
    if type(target) in _TEXTS:
        return vendor in _EXACT_TEXT and not getattr(target, "db_collation", None) and bool(target.model._meta.managed)
    if type(target) is models.DecimalField and vendor == "sqlite" and (target.max_digits or 0) > _EXACT_DIGITS:
        return False
    # MySQL rounds the fraction of a second to what the column was created with.
    return not (type(target) is models.DateTimeField and vendor not in _EXACT_TEXT)


def canonical(field: Field[Any, Any], value: object) -> object:
    """The one name of *value* in the column of *field*; ``None`` for NULL.

    Raises:
        Uncertain: for expressions and for values that the database may change when it stores or compares them.
    """
    if value is None:
        return None
    if hasattr(value, "resolve_expression"):
        raise Uncertain("an expression")
    target = _target(field)
    try:
        name = _CANONICAL[type(target)](target, value)
    except (TypeError, ValueError, ValidationError, InvalidOperation, KeyError) as error:
        raise Uncertain(f"{value!r} is no value of {field}") from error
    if type(name) not in _NAMES:
        raise Uncertain(f"{value!r} is of a class that may mean something of its own")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one table, from all models that share it."""

    name: str
    models: tuple[type[Model], ...]
    fields: Mapping[str, Field[Any, Any]]
    """By column."""

    tag_columns: tuple[str, ...]
    tag_sets: tuple[tuple[str, ...], ...]
    comparable: frozenset[str]
    """Columns whose values are equal in Python exactly where they are in SQL: those that may get value tags."""

    readable: frozenset[str]
    """Columns of which Python can tell that a write left them as they were, whatever SQL calls equal."""

    exact: Mapping[str, type]
    """The class whose instances are names of themselves (`canonical`), by column, where there is one."""

    generated: frozenset[str]
    """Columns the database computes from others."""

    excluded: bool
    """Is the table never cached and never watched?"""

    _tagged: tuple[str, ...] = attribute(init=False, compare=False)

    def __post_init__(self) -> None:
        found = dict.fromkeys([*self.tag_columns, *(column for columns in self.tag_sets for column in columns)])
        object.__setattr__(self, "_tagged", tuple(found))

    def tagged(self) -> tuple[str, ...]:
        """Every column that is part of some value tag, each once."""
        return self._tagged


def _tag_columns(model: type[Model]) -> Iterator[str]:
    meta = model._meta
    local = {field.name: field for field in meta.local_concrete_fields}
    indexed = {index.fields[0].lstrip("-") for index in meta.indexes if len(index.fields) == 1}
    rule = settings().rule(meta.label_lower)
    named = indexed | set(rule.tag_fields if rule else ())
    for field in meta.local_concrete_fields:
        if field.column is None or (meta.auto_created and field.primary_key):
            # Nobody reads an m2m table by its own key, and m2m add() never learns the keys it made.
            continue
        if (
            field.unique
            or getattr(field, "db_index", False)
            or field.is_relation
            or field.name in named
            or field.attname in named
        ):
            yield field.column
    for name in getattr(meta, "pk_fields", ()):  # the parts of a composite key
        if name.name in local and not meta.auto_created:
            yield name.column


def _tag_sets(model: type[Model]) -> Iterator[tuple[str, ...]]:
    meta = model._meta
    local = {name: field for field in meta.local_concrete_fields for name in (field.name, field.attname)}
    rule = settings().rule(meta.label_lower)
    declared: Iterable[Iterable[str]] = [
        *meta.unique_together,
        *(index.fields for index in meta.indexes),
        *(constraint.fields for constraint in meta.constraints if isinstance(constraint, models.UniqueConstraint)),
        *([field.name for field in meta.pk_fields] for _ in range(1) if len(meta.pk_fields) > 1),
        *(rule.tag_sets if rule else ()),
    ]
    for names in declared:
        found = [local.get(name.lstrip("-")) for name in names]
        if len(found) > 1 and None not in found:
            yield tuple(sorted({field.column for field in found if field is not None and field.column}))


def _same_values(a: Field[Any, Any], b: Field[Any, Any]) -> bool:
    first, second = _target(a), _target(b)
    return type(first) is type(second) and getattr(first, "decimal_places", 0) == getattr(second, "decimal_places", 0)


def _describe(name: str, sharing: tuple[type[Model], ...], vendor: str) -> Facts:
    fields: dict[str, Field[Any, Any]] = {}
    doubtful: set[str] = set()
    for model in sharing:
        for field in model._meta.local_concrete_fields:
            if field.column is None:
                continue
            known = fields.setdefault(field.column, field)
            if not _same_values(known, field):
                doubtful.add(field.column)
    readable = frozenset(
        column for column, field in fields.items() if column not in doubtful and type(_target(field)) in _CANONICAL
    )
    comparable = frozenset(column for column in readable if _has_canonical_values(fields[column], vendor))
    tag_columns = {column for model in sharing for column in _tag_columns(model)} & comparable
    tag_sets = {columns for model in sharing for columns in _tag_sets(model) if comparable.issuperset(columns)}
    return Facts(
        name=name,
        models=sharing,
        fields=fields,
        tag_columns=tuple(sorted(tag_columns)),
        tag_sets=tuple(sorted(columns for columns in tag_sets if len(columns) > 1)),
        comparable=comparable,
        readable=readable,
        exact={
            column: _EXACT[type(_target(fields[column]))]
            for column in readable
            if type(_target(fields[column])) in _EXACT
        },
        generated=frozenset(column for column, field in fields.items() if getattr(field, "generated", False)),
        excluded=any(settings().rule(model._meta.label_lower) is None for model in sharing),
    )


@cache
def _by_table() -> Mapping[str, tuple[type[Model], ...]]:
    found: dict[str, list[type[Model]]] = {}
    for model in apps.get_models(include_auto_created=True, include_swapped=True):
        found.setdefault(model._meta.db_table, [])
        if not model._meta.proxy:
            found[model._meta.db_table].append(model)
    return {name: tuple(sharing) for name, sharing in found.items() if sharing}


@cache
def _described(name: str, vendor: str) -> Facts | None:
    sharing = _by_table().get(name)
    return _describe(name, sharing, vendor) if sharing else None


def describe(name: str, vendor: str) -> Facts | None:
    """The facts of the table called *name* on a database of *vendor*; ``None`` when no model describes it."""
    return _described(name, vendor)


def table_of(model: type[Model], vendor: str) -> Facts | None:
    """The facts of *model*'s own table; ``None`` for models outside the app registry, as migrations make them."""
    concrete = model._meta.concrete_model
    if concrete is None or model._meta.apps is not apps or not apps.models_ready:
        return None
    facts = _described(concrete._meta.db_table, vendor)
    if facts is None or concrete not in facts.models:
        # A model declared after start-up, as a test or a plug-in system does.
        forget_tables()
        facts = _described(concrete._meta.db_table, vendor)
    return facts if facts is not None and concrete in facts.models else None


def every_table(vendor: str) -> Iterator[Facts]:
    """The facts of every table that is not excluded."""
    for name in _by_table():
        facts = _described(name, vendor)
        if facts is not None and not facts.excluded:
            yield facts


def is_watched(name: str, vendor: str) -> bool:
    """Can any entry depend on the table called *name*?"""
    facts = _described(name, vendor)
    return facts is not None and not facts.excluded


@cache
def tables_by_name() -> Mapping[str, tuple[str, ...]]:
    """All tables, by the casefolded name that SQL text gives them: without schema and quotes."""
    known: dict[str, list[str]] = {}
    for name in _by_table():
        # A table named 'schema"."name' is quoted twice by those who place it in a schema.
        last = name.rpartition('"."')[2].strip('"')
        known.setdefault(last.casefold(), []).append(name)
    return {name: tuple(same) for name, same in known.items()}


def table(alias: str, name: str) -> Table:
    """The table called *name* in the logical database of *alias*."""
    return Table(logical_database(alias), name)


def forget_tables() -> None:
    """Look at the models anew."""
    tables_by_name.cache_clear()
    _by_table.cache_clear()
    _described.cache_clear()
    point_of_view.cache_clear()


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("EVERFRESH", "INSTALLED_APPS", "USE_TZ"):
        forget_tables()


setting_changed.connect(_forget, dispatch_uid="everfresh.tables")
