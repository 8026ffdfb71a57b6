"""What ``.cache(*fields)`` asks an answer to watch: some of the query's conditions, and the rows that these lead to.

Watching less is always sound: a condition that is not watched only makes more writes count. Where none of the fields
is a condition on a table, that table's own conditions stay, for a write to it can change the answer all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db.models import Field, ForeignKey, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql import Query
from django.db.models.sql.datastructures import Join

from everfresh.queries.outlines import Equality
from everfresh.tables import Facts

__all__ = ["EVERYTHING", "Watch", "Watched", "check_fields", "rows_pointed_to"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What one queryset watches."""

    fields: tuple[str, ...] = ()
    """Paths from the queryset's model, as in ``filter()``; none: the whole condition."""

    any_of: bool = False
    """Does each equality count by itself, as cachebot documents it, and not only all of them together?"""

    def extra(self) -> tuple[object, ...]:
        """What it adds to the query's fingerprint: nothing, where nothing special is asked for."""
        return (self.fields, self.any_of) if self.fields or self.any_of else ()


EVERYTHING = Watch()
"""The whole condition, all equalities together."""


def check_fields(model: type[Model], fields: Iterable[str]) -> None:
    """See that each of *fields* is a path to a field of *model* or of a related one.

    Raises:
        FieldError: where one is not; the message names the fields there are.
    """
    for path in fields:
        _check_field(model, path)


@lru_cache(maxsize=1_024)
def _check_field(model: type[Model], path: str) -> None:
    Query(model).names_to_path(path.split(LOOKUP_SEP), model._meta, fail_on_missing=True)


@dataclass(slots=True)
class Watched:
    """Where in one query the watched fields are."""

    watch: Watch
    query: Query
    columns: dict[str, set[str]] = field(default_factory=dict)
    """By alias: the columns that the fields themselves are."""

    beyond: set[str] = field(default_factory=set)
    """The aliases of the rows that they lead to."""

    @classmethod
    def of(cls, query: Query, watch: Watch) -> Watched:
        """The places in *query*, which has been compiled: only then are all of its joins there."""
        found = cls(watch, query)
        for path in watch.fields:
            found._follow(path.split(LOOKUP_SEP))
        return found

    def _follow(self, names: list[str]) -> None:
        steps, last, targets, _ = self.query.names_to_path(names, self.query.get_meta(), fail_on_missing=True)
        here = {self.query.base_table} - {None}
        for step in steps:
            if step is steps[-1] and step.direct and (last is step.join_field or targets[0] in step.target_fields):
                # The key beyond a foreign key is the foreign key: Django leaves the join out.
                self._add(here, [local for local, _ in step.join_field.related_fields])
            here = {
                alias
                for alias, join in self.query.alias_map.items()
                if isinstance(join, Join) and join.parent_alias in here and join.join_field == step.join_field
            }
        if steps and last is steps[-1].join_field:
            self.beyond |= here
        else:
            self._add(here, targets)

    def _add(self, aliases: Iterable[str], fields: Iterable[Field[Any, Any]]) -> None:
        columns = {each.column for each in fields if each.column is not None}
        for alias in aliases:
            self.columns.setdefault(alias, set()).update(columns)

    def kept(self, alias: str, facts: Facts, equalities: tuple[Equality, ...]) -> tuple[Equality, ...]:
        """Those of the *equalities* that hold on *alias* together which are watched; all, where none is."""
        if alias in self.beyond:
            return equalities
        named = self.columns.get(alias, set()) & set(facts.tag_columns)
        return tuple(equality for equality in equalities if equality.column in named) or equalities

    def leads_on(self, equality: Equality) -> bool:
        """Do the rows count to which this equality on a foreign key leads?"""
        if equality.values == (None,):
            return False
        if self.watch.fields:
            return equality.column in self.columns.get(equality.alias, ())
        return self.watch.any_of


def rows_pointed_to(key: Field[Any, Any]) -> Iterator[Field[Any, Any]]:
    """The fields that hold a foreign key's value in the rows it points to: more than one where these inherit tables."""
    while isinstance(key, ForeignKey):
        try:
            target: Field[Any, Any] = key.target_field
        except ValueError:
            # It points to a model that is declared nowhere.
            return
        yield target
        if not getattr(target.remote_field, "parent_link", False):
            return
        key = target
