"""Rows that a computation is given: whether they are what the database holds, and what the computation so depends on.

The measure is the plain row: what an instance holds must be what its row holds now, what is loaded with it must be what
asking the row would give. So a result does not depend on which of many instances of one row it was computed from.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from inspect import getattr_static
from itertools import chain
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import ForeignKey, ManyToManyField, ManyToManyRel, Model, OneToOneRel, QuerySet
from django.db.models.fields.files import FieldFile
from django.db.models.fields.mixins import FieldCacheMixin
from django.db.models.manager import BaseManager
from django.utils.functional import LazyObject, cached_property, empty

from everfresh import policies
from everfresh.conf import settings
from everfresh.exceptions import Unencodable
from everfresh.keys import encode
from everfresh.recording import current_recording, note_untracked

__all__ = ["as_given", "note_given"]

_AT_A_TIME = 500
"""Rows of one query: every database takes so many parameters."""


def as_given(value: Any) -> Any:
    """*value* to compute with while a recording runs: a queryset that was evaluated before asks again."""
    if issubclass(type(value), QuerySet) and value._result_cache is not None:
        return value._chain()
    return value


def note_given(values: Iterable[Any]) -> None:
    """While a recording runs: see that the instances among *values* are what the database holds.

    Those in containers count, and those that are loaded with others. The recording depends on their rows from here on.
    Where one differs, or its row is gone, the recording is marked as moved: what is computed is the caller's, and is
    not stored. Where nobody can tell (an instance carries what is no column and no cached property), it is told of
    something untracked.

    Asks nothing, where there are no instances.
    """
    recorded = current_recording()
    if recorded is None:
        return
    try:
        _Check().see(values)
    except _Differs:
        recorded.moved = True


class _Differs(Exception):
    """What is given is not what the database holds."""


class _Check:
    """One look at what is given."""

    def __init__(self) -> None:
        # By id, and held: the id of what is gone may be another's.
        self._seen: dict[int, object] = {}

    def see(self, values: Iterable[Any]) -> None:
        found = self._instances(values)
        while found:
            # What is loaded with them comes next: of each model, all rows at this distance in one go.
            loaded: list[Any] = []
            for instance, row in _with_rows(found):
                self._compare(instance, row, loaded)
            found = self._instances(loaded)

    def _instances(self, values: Iterable[Any]) -> list[Model]:
        """Those among *values* that were not met before."""
        found = []
        left = list(values)
        while left:
            value = left.pop()
            if type(value) in _LEAVES or not self._is_new(value):
                continue
            kind = type(value)
            if issubclass(kind, Model):
                found.append(value)
            elif issubclass(kind, QuerySet):
                left += chain.from_iterable(rows.values() for rows in value._known_related_objects.values())
                if value._result_cache is not None:
                    self._compare_lists(value._result_cache, list(value._chain()), left)
            else:
                left += _parts(kind, value)
        return found

    def _is_new(self, value: object) -> bool:
        count = len(self._seen)
        self._seen[id(value)] = value
        return len(self._seen) > count

    def _compare(self, instance: Model, row: Model, loaded: list[Any]) -> None:
        """Compare *instance* with what it is to be equal to; what is loaded with it goes to *loaded*."""
        _compare_values(instance, row)
        for name, related in instance._state.fields_cache.items():
            _compare_relation(instance, row, name, related)
            loaded.append(related)
        for name, listed in getattr(instance, "_prefetched_objects_cache", {}).items():
            accessor = _accessors(type(instance)).get(name)
            if accessor is None:
                _note_unknown(instance, name)
            else:
                self._compare_lists(listed._result_cache or [], list(getattr(row, accessor).all()), loaded)

    def _compare_lists(self, held: Sequence[Any], asked: Sequence[Any], loaded: list[Any]) -> None:
        if len(held) != len(asked):
            raise _Differs
        for item, row in zip(held, asked, strict=True):
            if not isinstance(item, Model):
                if not _is_same(item, row, by_equality=True):
                    raise _Differs
            elif not _is_same_row(item, row):
                raise _Differs
            elif self._is_new(item):
                self._compare(item, row, loaded)


_LEAVES = frozenset({str, int, bool, float, bytes, type(None)})


def _parts(kind: type, value: Any) -> Iterator[Any]:
    if issubclass(kind, dict):
        yield from dict.keys(value)
        yield from dict.values(value)
    elif issubclass(kind, list | tuple | set | frozenset):
        yield from value
    elif issubclass(kind, LazyObject):
        # One that nobody has asked yet asks inside the recording.
        if value._wrapped is not empty:
            yield value._wrapped
    elif issubclass(kind, BaseManager):
        yield getattr(value, "instance", None)
    else:
        for name in getattr(kind, "__dataclass_fields__", ()):
            yield getattr(value, name, None)


def _with_rows(instances: Iterable[Model]) -> Iterator[tuple[Model, Model]]:
    """Each with its row as it is now, read through the cache."""
    places: dict[tuple[type[Model], str], list[Model]] = {}
    for instance in instances:
        if instance._state.adding or not instance._is_pk_set():  # type: ignore[attr-defined]
            raise _Differs
        places.setdefault((type(instance), instance._state.db or DEFAULT_DB_ALIAS), []).append(instance)
    for (model, alias), held in places.items():
        keys = list({instance.pk: None for instance in held})
        rows: dict[Any, Model] = {}
        for start in range(0, len(keys), _AT_A_TIME):
            queryset: QuerySet[Any] = policies.cache(model._base_manager.using(alias), rows=True).order_by()
            rows |= {row.pk: row for row in queryset.filter(pk__in=keys[start : start + _AT_A_TIME])}
        for instance in held:
            if instance.pk not in rows:
                raise _Differs
            yield instance, rows[instance.pk]


_BOOKKEEPING = frozenset({"_django_version", "_prefetched_objects_cache", "_state"})
_BOOKKEEPING_PREFIX = "_prefetch_related_val_"
"""Attributes that Django adds to instances for itself."""


def _compare_values(instance: Model, row: Model) -> None:
    columns = _columns(type(instance))
    held, asked = vars(instance), vars(row)
    for name, value in held.items():
        if name in _BOOKKEEPING or name.startswith(_BOOKKEEPING_PREFIX):
            continue
        if name == "from_cache" and settings().from_cache:
            continue
        if name in columns and name in asked:
            if not _is_same(_of_file(value), _of_file(asked[name]), by_equality=True):
                raise _Differs
        elif not (name in asked or _has_property(row, name)) or not _is_same(value, asked[name]):
            # An annotation, or whatever code has put there: no row says what it is now.
            _note_unknown(instance, name)


def _has_property(row: Model, name: str) -> bool:
    """Have *row* compute the cached property *name*, inside the recording. Was there one?"""
    if not isinstance(getattr_static(type(row), name, None), cached_property | functools.cached_property):
        return False
    try:
        getattr(row, name)
    except Exception:  # noqa: BLE001  it is not what was called, so its errors are nobody's
        return False
    return True


def _note_unknown(instance: Model, name: str) -> None:
    note_untracked(lambda: f"{name!r}, which a given {instance._meta.label} holds and its row does not")


@cache
def _columns(model: type[Model]) -> frozenset[str]:
    return frozenset(field.attname for field in model._meta.concrete_fields)


def _of_file(value: Any) -> Any:
    # Which is what the column says, as soon as somebody looks at it.
    return value.name if isinstance(value, FieldFile) and value._committed else value  # type: ignore[attr-defined]


def _is_same(held: Any, asked: Any, *, by_equality: bool = False) -> bool:
    """Are they of the same types and content, so that no code can tell them apart?

    Args:
        held: what is in memory.
        asked: what the database says.
        by_equality: do values of types without canonical bytes count as the same when they say that they are equal?
    """
    if type(held) is not type(asked):
        return False
    try:
        return encode(held) == encode(asked)
    except Unencodable:
        return by_equality and bool(held == asked)


def _is_same_row(held: Model | None, asked: Model | None) -> bool:
    if held is None or asked is None:
        return held is asked
    return type(held) is type(asked) and _is_same(held.pk, asked.pk)


def _compare_relation(instance: Model, row: Model, name: str, related: Any) -> None:
    """See that *related* is what *instance* leads to by *name*; what is in it is compared by itself."""
    relation = _relations(type(instance)).get(name)
    if relation is None:
        _note_unknown(instance, name)
    elif isinstance(relation, ForeignKey):
        value = vars(instance).get(relation.attname)
        target = None if related is None else vars(related).get(relation.target_field.attname)
        if not _is_same(value, target):
            raise _Differs
    else:
        asked = getattr(row, name, None)
        if not _is_same_row(related, asked):
            raise _Differs


@cache
def _relations(model: type[Model]) -> dict[str, Any]:
    """What leads from a row of *model* to one other, by the name under which Django keeps it."""
    found = model._meta.get_fields(include_hidden=True)
    return {
        each.cache_name: each
        for each in found
        if isinstance(each, FieldCacheMixin) and not isinstance(each, ManyToManyField | ManyToManyRel)
    }


@cache
def _accessors(model: type[Model]) -> dict[str, str]:
    """What leads from a row of *model* to many: under the name of a prefetched list, the manager's."""
    found = {field.name: field.name for field in (*model._meta.many_to_many, *model._meta.private_fields)}
    for each in model._meta.related_objects:
        accessor = each.get_accessor_name()
        if accessor is not None and not isinstance(each, OneToOneRel):
            name = each.field.related_query_name() if isinstance(each, ManyToManyRel) else accessor
            found[name] = accessor
    return found
