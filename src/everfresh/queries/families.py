"""The entries of single rows: all rows of a model are one query that differs in the value of one unique column only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from django.core.signals import setting_changed
from django.db import connections
from django.db.models import Field, Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler

from everfresh.bounded import Bounded
from everfresh.conf import settings
from everfresh.databases import logical_database, may_lag, point_of_view
from everfresh.exceptions import Uncacheable
from everfresh.keys import digest, encode
from everfresh.naming import entry_key, tag_names
from everfresh.queries.dependencies import derive
from everfresh.queries.fingerprint import fingerprint
from everfresh.queries.layouts import Layout, layout_of
from everfresh.queries.outlines import Outline
from everfresh.queries.replay import Rows, compiler_of, detached, query_rows
from everfresh.reading import Wanted
from everfresh.tables import Uncertain, canonical, table_of
from everfresh.tags import Table

__all__ = ["Family", "family_of"]

_REMEMBERED = 16_384
"""Rows, of all models, whose clauses one process keeps at hand: some 40 MB."""


@dataclass(eq=False)
class Family:
    """The row entries of one model in one database, named by the values of one unique field."""

    model: type[Model]
    field: Field[Any, Any]
    using: str
    shape: str
    outline: Outline

    def wanted(self, key: Any, timeout: float | None, *, near: bool = False) -> Wanted:
        """The entry of the row that has this *key*, a value of the field.

        Raises:
            Uncacheable: when that is no certain name of a row.
        """
        return self.named(self.name(key), timeout, near=near)

    def named(self, name: object, timeout: float | None, *, near: bool) -> Wanted:
        """The entry of the row of this *name*."""
        prefix = settings().prefix()
        found = _wanted.get((self, name))
        if found is not None and found[0] == prefix and found[1].timeout == timeout and found[1].near is near:
            return found[1]
        clauses = self.outline.clauses([(name,)]) if found is None else found[1].clauses
        identity = f"{self.shape}{digest(encode(name))}{clauses.digest}"
        key, names = entry_key("r", identity), tag_names(clauses.names)
        wanted = Wanted(key=key, clauses=clauses, names=names, timeout=timeout, near=near)
        _wanted[self, name] = prefix, wanted
        return wanted

    def name(self, key: Any) -> object:
        """The one name of all values that mean the same key."""
        try:
            name = canonical(self.field, key)
        except Uncertain as reason:
            raise Uncacheable(f"its {self.field.name} is {reason}") from None
        low, high = self._integers
        if type(name) is int and ((low is not None and name < low) or (high is not None and name > high)):
            # No row can have it, and drivers refuse to be asked.
            raise Uncacheable(f"its {self.field.name} is beyond what the column can hold")
        return name

    @cached_property
    def _integers(self) -> tuple[int | None, int | None]:
        """The least and the greatest that the column can hold, where it holds integers."""
        field: Any = self.field
        while field.is_relation:
            field = field.target_field
        try:
            return connections[self.using].ops.integer_field_range(field.get_internal_type())
        except KeyError:
            return None, None

    def fences(self) -> tuple[str, ...]:
        """The names of the tags that move with every write to any table of the model."""
        places = {Table(tag.database, tag.table) for tag in self.outline.clauses([((),)]).tags}
        return tag_names(place.any.name for place in sorted(places))

    def fetch(self, keys: Sequence[Any]) -> list[Rows]:
        """Ask the database for the rows with these primary keys: of each, its row in a list, or nothing."""
        found: dict[object, Rows] = {}
        layout = self.layout
        for part in _chunks(keys, connections[self.using].features.max_query_params):
            rows = query_rows(_unordered(QuerySet(self.model, using=self.using).filter(pk__in=part)))
            for key, row in zip(layout.keys(layout.parts[0], rows), rows, strict=True):
                found[self.name(key)] = [row]
        return [found.get(self.name(key), []) for key in keys]

    @cached_property
    def layout(self) -> Layout:
        """Of the model's rows alone."""
        return layout_of(self.compiler())

    def compiler(self) -> SQLCompiler:
        """A compiler of the model's rows, set up, of this thread's connection."""
        return compiler_of(QuerySet(self.model, using=self.using), f"{self.shape}/row")


def _unordered(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """*queryset* itself, without order. Not by order_by(), which is the user's to call, and to count in tests."""
    queryset.query.clear_ordering(force=True)
    return queryset


def _some_key(field: Field[Any, Any]) -> object:
    for value in (1, date(2000, 1, 1), datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=UTC)):  # noqa: DTZ001
        with suppress(Uncertain):
            return canonical(field, value)
    raise Uncacheable(f"{field} is of no known kind")


def _chunks(keys: Sequence[Any], size: int | None) -> Iterable[Sequence[Any]]:
    size = size or len(keys) or 1
    return (keys[start : start + size] for start in range(0, len(keys), size))


_wanted: Bounded[tuple[Family, object], tuple[str, Wanted]] = Bounded(_REMEMBERED)
"""By family and name: the prefix of then, and the entry."""

_families: dict[tuple[type[Model], str, str, str], Family] = {}


def family_of(model: type[Model], using: str, field: Field[Any, Any] | None = None) -> Family:
    """The family of the rows of *model*; proxies share the rows of what they stand for.

    Args:
        model: whose rows they are.
        using: a database alias.
        field: by whose values they are called: a unique one; ``None`` is the primary key.

    Raises:
        Uncacheable: where rows have no entries of their own; the reason says why.
    """
    concrete = model._meta.concrete_model or model
    if may_lag(using):
        raise Uncacheable(f"the database {using!r} may be a replica, which lags behind what was written")
    key = field or concrete._meta.pk
    place = (concrete, key.name, using, repr((logical_database(using), point_of_view(using))))
    family = _families.get(place)
    if family is None:
        facts = table_of(key.model, connections[using].vendor)
        if facts is None or key.column not in facts.tag_columns:
            # Where SQL and Python do not agree on which keys are equal, a row may be found under a key not its own.
            raise Uncacheable(f"{key} has no tags")
        query = _unordered(QuerySet(concrete, using=using).filter(**{key.attname: _some_key(key)})).query
        found = fingerprint(query, "row", logical_database(using), point_of_view(using))
        if len(found.free) != 1:
            raise Uncacheable(f"{key} has no tags")
        outline = derive(detached(query), using, (), found.slots)
        family = _families[place] = Family(concrete, key, using, found.shape(), outline)
    return family


def _forget(**_: object) -> None:
    _families.clear()
    _wanted.clear()


setting_changed.connect(_forget, dispatch_uid="everfresh.queries.families")
