"""The row face: one entry for each row, and lists that point to rows.

A list holds keys, and what the query computed besides; the rows come from their own entries. So saving a row changes
what every list shows, and drops a list only when the row may come, go or move in it. What is read is put together into
the rows that the query would have given, and Django builds its instances from those.

``filter(pk=…)`` and ``filter(pk__in=…)`` need no list.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from os import urandom
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.expressions import Col
from django.db.models.query import ModelIterable
from django.db.models.sql import Query

from everfresh.codec import Miss
from everfresh.conf import settings
from everfresh.events import Outcome
from everfresh.exceptions import RowsMissing, Uncacheable
from everfresh.keys import digest
from everfresh.naming import entry_key
from everfresh.peeking import NotHeld, is_peeking
from everfresh.queries.bodies import POINTERS, ROWS, Pointers
from everfresh.queries.families import family_of
from everfresh.queries.layouts import Layout, Part, layout_of
from everfresh.queries.outlines import LOOKUP_MODULES, free_values
from everfresh.queries.plan import Plan, plan
from everfresh.queries.replay import Rows, compiler_of, query_rows, replay
from everfresh.queries.terms import PLAIN, Terms
from everfresh.queries.watching import EVERYTHING, Watch
from everfresh.reading import Answer, Moment, Moved, Wanted
from everfresh.signals import rows_missing

__all__ = ["Pointing"]


@dataclass(eq=False)
class Pointing:
    """One reading of a queryset whose rows come from their own entries."""

    queryset: QuerySet[Any]
    timeout: float | None
    """Seconds; ``None`` is for ever."""

    using: str
    near: bool
    """May this process keep copies of the parts?"""

    keys: Sequence[Any] | None
    """The primary keys asked for, where the query asks for nothing else."""

    listed: Plan | None
    """The list's entry."""

    shape: str
    layout: Layout

    @classmethod
    def of(
        cls,
        queryset: QuerySet[Any],
        timeout: float | None,
        watch: Watch = EVERYTHING,
        terms: Terms = PLAIN,
        *,
        near: bool = False,
    ) -> Pointing:
        """How the instances of *queryset*, which is not changed, are put together.

        Raises:
            Uncacheable: where they cannot be; the reason says why.
        """
        _refuse(queryset)
        using = queryset.db
        # What depends on other models has to have an entry that can.
        keys = None if terms.depends_on else _keys_asked_for(queryset)
        listed = None
        if keys is None:
            listed = plan(_pointers_of(queryset).query, using, "pointers", timeout, None, watch, terms, near=near)
        begins = family_of(queryset.model, using).shape if listed is None else listed.shape
        for key in keys or ():
            family_of(queryset.model, using).name(key)
        shape = f"{begins}/{queryset.model._meta.label}/{queryset.query.select_related!r}"
        layout = layout_of(compiler_of(queryset, shape))
        for part in layout.parts:
            family_of(part.model, using)
        return cls(queryset, timeout, using, near, keys, listed, shape, layout)

    def instances(self, *, fresh: bool = False) -> Answer[list[Any]]:
        """What the queryset would have found.

        Args:
            fresh: pass over what is stored, and store what the database says in its place.

        Raises:
            RowsMissing: when the list points to rows that are gone, and the model's rule says so.
        """
        for _ in range(2):
            try:
                return self._read(fresh)
            except Moved:
                # Something was written between two looks: the parts do not belong together. A second time should do.
                continue
        if is_peeking():
            raise NotHeld
        iterable: Any = self.queryset._iterable_class
        return Answer(list(iterable(self.queryset)), Outcome.MISS, "its rows changed while they were read")

    def wanted(self) -> list[Wanted]:
        """What it is read from: the list's entry, or those of the rows it asks for by their keys."""
        if self.listed is not None:
            return [self.listed.wanted]
        family = family_of(self.queryset.model, self.using)
        return [family.wanted(key, self.timeout, near=self.near) for key in self.keys or ()]

    def _read(self, fresh: bool) -> Answer[list[Any]]:
        moment = Moment(connections[self.using])
        own, *related = self.layout.parts
        if self.listed is None:
            keys = list(self.keys or ())
            rows: list[list[Any]] = [[None] * self.layout.width for _ in keys]
        else:
            pointers = None if fresh else self._pointers(moment, self.listed.wanted)
            if pointers is None:
                return self._fill(moment, self.listed.wanted)
            rows = self.layout.blank(pointers)
            keys = self.layout.keys(own, rows)
        stored, asked = self._rows_of(moment, own, keys, fresh)
        if gone := [key for key in keys if not stored[key]]:
            if self.listed is not None:
                # Not if the list has changed as well: then this is no news.
                moment.settle()
                if self._is_to_be_asked_again(gone):
                    return self._fill(Moment(connections[self.using]), self.listed.wanted)
            rows = [row for row, key in zip(rows, keys, strict=True) if stored[key]]
            keys = [key for key in keys if stored[key]]
        self._put(own, rows, keys, stored)
        for part in related:
            keys = self.layout.keys(part, rows)
            stored, asked_again = self._rows_of(moment, part, keys, fresh)
            asked = asked or asked_again
            self._put(part, rows, keys, stored)
        moment.settle()
        instances = replay(self.queryset, lambda: [tuple(row) for row in rows], self.shape)
        return Answer(instances, Outcome.FILL if asked else Outcome.HIT)

    def _is_to_be_asked_again(self, gone: list[Any]) -> bool:
        """Tell of rows that are *gone*, though the list that points to them is not stale."""
        model = self.queryset.model
        rule = settings().rule(model._meta.label_lower)
        rows_missing.send(sender=model, keys=tuple(gone))
        if rule is not None and rule.on_missing == "raise":
            raise RowsMissing(model, gone)
        return rule is None or rule.on_missing == "refresh"

    def _pointers(self, moment: Moment, wanted: Wanted) -> Rows | None:
        """The whole list; ``None`` where a part of it is not there."""
        queryset = self.queryset
        [head] = moment.look([wanted], POINTERS, lambda _: [self._split(wanted, query_rows(_pointers_of(queryset)))[0]])
        if isinstance(head, Miss):
            return None
        if not head.further:
            return head.rows
        found = moment.look(_further(wanted, head), ROWS, lambda _: [])
        parts = [part for part in found if not isinstance(part, Miss)]
        return [*head.rows, *chain.from_iterable(parts)] if len(parts) == len(found) else None

    def _split(self, wanted: Wanted, pointers: Rows) -> tuple[Pointers, list[tuple[Wanted, Rows]]]:
        limits = settings().limits
        size = limits.keys_per_chunk
        if len(pointers) <= size or len(pointers) > limits.rows:
            return Pointers(pointers), []
        chunks = [pointers[start : start + size] for start in range(0, len(pointers), size)]
        head = Pointers(chunks[0], len(chunks) - 1, urandom(8))
        return head, list(zip(_further(wanted, head), chunks[1:], strict=True))

    def _rows_of(self, moment: Moment, part: Part, keys: Sequence[Any], fresh: bool) -> tuple[dict[Any, Rows], bool]:
        """The stored rows of a model by key, and whether the database was asked for one of them."""
        unique = [key for key in dict.fromkeys(keys) if key is not None]
        if not unique:
            return {}, False
        family = family_of(part.model, self.using)
        wanted = [family.wanted(key, self.timeout, near=self.near) for key in unique]
        stored: dict[Any, Rows] = {}
        if not fresh:
            found = moment.look(wanted, ROWS, lambda positions: family.fetch([unique[at] for at in positions]))
            stored = {key: rows for key, rows in zip(unique, found, strict=True) if not isinstance(rows, Miss)}
        missing = [at for at, key in enumerate(unique) if key not in stored]
        if missing:
            lacking = [unique[at] for at in missing]
            fetched = moment.fill([wanted[at] for at in missing], ROWS, lambda: family.fetch(lacking))
            stored.update(zip(lacking, fetched, strict=True))
        return stored, bool(missing)

    def _put(self, part: Part, rows: list[list[Any]], keys: Sequence[Any], stored: dict[Any, Rows]) -> None:
        for row, key in zip(rows, keys, strict=True):
            if key is None:
                continue
            if not stored[key]:
                # What points to a row that is gone has changed as well, or the row had not come yet.
                raise Moved(f"{part.model._meta.label} {key!r} is gone")
            self.layout.put(part, row, stored[key][0])

    def _fill(self, moment: Moment, wanted: Wanted) -> Answer[list[Any]]:
        """From one query: the answer, the list, and the rows in it."""
        instances: list[Any] = []

        def compute() -> tuple[Pointers, list[tuple[Wanted, Rows]], list[tuple[Wanted, Rows]]]:
            rows = query_rows(self.queryset)
            instances.extend(replay(self.queryset, lambda: rows, self.shape))
            return *self._split(wanted, self.layout.pointers(rows)), self._parts_of(rows)

        fences = {name for part in self.layout.parts for name in family_of(part.model, self.using).fences()}
        stored = moment.fill_whole(wanted, sorted(fences), compute, POINTERS, ROWS)
        return Answer(instances, Outcome.FILL if stored else Outcome.MISS)

    def _parts_of(self, rows: Rows) -> list[tuple[Wanted, Rows]]:
        found: dict[str, tuple[Wanted, Rows]] = {}
        for part in self.layout.parts:
            family = family_of(part.model, self.using)
            for row in rows:
                stored = self.layout.stored(part, row)
                if stored is not None:
                    wanted = family.wanted(part.python_key(row[part.key]), self.timeout)
                    found[wanted.key] = wanted, [stored]
        return list(found.values())


def _further(wanted: Wanted, head: Pointers) -> list[Wanted]:
    """The entries in which the list goes on that begins with *head*."""
    names = [digest(f"{wanted.key} {head.identity.hex()} {number}".encode()) for number in range(head.further)]
    # Not verified: without an order, the database may put other rows here each time.
    return [replace(wanted, key=entry_key("c", name), is_exact=False) for name in names]


def _pointers_of(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The query of the list: what its keys depend on, and nothing that other columns of the rows do."""
    return queryset.values_list("pk", *queryset.query.annotation_select)


def _refuse(queryset: QuerySet[Any]) -> None:
    query = queryset.query
    if queryset._iterable_class is not ModelIterable:
        raise Uncacheable("it gives no instances")
    if type(query) is not Query or query.combinator or query.extra:
        raise Uncacheable("it is made of several queries, or of raw SQL")
    if query.deferred_loading != (frozenset(), True):
        raise Uncacheable("it loads a part of the columns only")


def _keys_asked_for(queryset: QuerySet[Any]) -> list[Any] | None:
    """The primary keys that are all a query asks for; ``None`` where it asks for anything else."""
    query: Any = queryset.query
    where = query.where
    if len(where.children) != 1 or where.negated or len(query.alias_map) > 1 or query.annotations or query.low_mark:
        return None
    keys = _keys_of(where.children[0], queryset.model)
    if keys is None or (query.high_mark is not None and query.high_mark < len(keys)):
        return None
    order = query.extra_order_by or query.order_by or (query.get_meta().ordering if query.default_ordering else ())
    if len(keys) > 1:
        return None if order else keys
    # An order by what a row has several of gives it several times.
    return keys if all(_is_own_column(term, queryset.model) for term in order) else None


def _is_own_column(term: Any, model: type[Model]) -> bool:
    """Does *term* order by a column of the row itself, joining nothing?"""
    if not isinstance(term, str):
        return False
    name = term.removeprefix("-")
    if name == "pk":
        return True
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return field.concrete and not field.is_relation


def _keys_of(lookup: Any, model: type[Model]) -> list[Any] | None:
    lhs: Any = getattr(lookup, "lhs", None)
    if type(lhs) is Col and lhs.target == model._meta.pk:
        values = free_values(lookup)
    elif type(lookup).__name__ == "TupleIn" and type(lookup).__module__ in LOOKUP_MODULES:
        # As Django 6.1 prefetches by foreign key.
        values = tuple(value for (value,) in lookup.rhs) if list(lhs.targets) == [model._meta.pk] else None
    else:
        values = None
    unique = [value for value in dict.fromkeys(values or ()) if value is not None]
    with suppress(TypeError):
        unique.sort()
    return unique or None
