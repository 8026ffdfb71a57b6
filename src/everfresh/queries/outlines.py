"""Outlines: what the clauses of all queries of one shape have in common.

Two queries have one shape when they differ only in *free values*: the right-hand sides of "equals" and "is one of".
Deriving an outline needs a compiled query; filling its values in does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In, Lookup

from everfresh.clauses import Clause, Clauses, Group
from everfresh.conf import settings
from everfresh.tables import Facts, Uncertain, canonical
from everfresh.tags import Table

__all__ = ["LOOKUP_MODULES", "Equality", "Outline", "Source", "Values", "free_values"]

Values = tuple[object, ...]

LOOKUP_MODULES = frozenset(
    {"django.db.models.lookups", "django.db.models.fields.related_lookups", "django.db.models.fields.tuple_lookups"}
)
"""Where an Exact is "equals" and nothing else; a lookup of anyone's own may mean something of its own."""

_FREE = frozenset({int, str, UUID, Decimal, date, datetime})
"""Classes of values that decide nothing of a query but which rows match. None, True and False may change its SQL."""


def free_values(lookup: Lookup[Any]) -> Values | None:
    """The values of an "equals" or "is one of" that queries of one shape may differ in; ``None`` for other lookups."""
    if type(lookup).__module__ not in LOOKUP_MODULES or lookup.bilateral_transforms or type(lookup.lhs) is not Col:
        return None
    if isinstance(lookup, Exact):
        return (lookup.rhs,) if type(lookup.rhs) in _FREE else None
    if isinstance(lookup, In) and type(lookup.rhs) in (list, tuple, set) and lookup.rhs:
        return tuple(lookup.rhs) if all(type(value) in _FREE for value in lookup.rhs) else None
    return None


@dataclass(frozen=True, slots=True)
class Equality:
    """``alias.column`` is one of some values, in one arm of a WHERE."""

    alias: str
    column: str
    values: Values = ()
    slot: int | None = None
    """Which of the shape's free values they are; ``None``: *values* itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table read under one alias, in one arm of the WHERE."""

    place: Table
    facts: Facts
    columns: Group | None
    """The tags of the columns that the SQL names, where it does not name all."""

    equalities: tuple[Equality, ...]
    """On this alias, all of which hold in this arm."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The clauses of a shape, but for its free values."""

    sources: tuple[Source, ...]
    is_shared: bool
    """May other queries of the shape use it? Not where a free value was met that no slot is known for."""

    any_of: bool = False
    """Does each equality make a clause by itself?"""

    def clauses(self, free: Sequence[Values]) -> Clauses:
        """The clauses of the query that has these free values, in the order of the slots."""
        return Clauses(clause for source in self.sources for clause in _clauses_of(source, free, self.any_of))


def _clauses_of(source: Source, free: Sequence[Values], any_of: bool) -> Iterator[Clause]:
    place, facts = source.place, source.facts
    yield frozenset({frozenset({place.epoch})})
    equal = _equal(source, free)
    groups: set[Group] = {
        frozenset(place.value((column,), (value,)) for value in values)
        for column, values in equal.items()
        if column in facts.tag_columns
    }
    if any_of:
        yield from (frozenset({group}) for group in groups or {frozenset({place.any})})
        return
    for columns in facts.tag_sets:
        if equal.keys() >= set(columns):
            combinations = list(product(*(equal[column] for column in columns)))
            if len(combinations) <= settings().limits.values:
                groups.add(frozenset(place.value(columns, values) for values in combinations))
    if source.columns is not None:
        groups.add(source.columns)
    yield frozenset(groups or {frozenset({place.any})})


def _equal(source: Source, free: Sequence[Values]) -> dict[str, list[object]]:
    """By column: the canonical values it must have one of."""
    equal: dict[str, list[object]] = {}
    for equality in source.equalities:
        given = equality.values if equality.slot is None else free[equality.slot]
        if len(given) > settings().limits.values:
            continue
        field = source.facts.fields[equality.column]
        try:
            values = list(dict.fromkeys(canonical(field, value) for value in given))
        except Uncertain:
            continue
        known = equal.get(equality.column)
        if known is None or len(values) < len(known):
            equal[equality.column] = values
    return equal
