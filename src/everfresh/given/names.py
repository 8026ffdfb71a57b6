"""Names of what a computation is given: rows, querysets, containers, and whatever the encoding of keys takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache, cached_property
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, Prefetch, QuerySet
from django.db.models.manager import BaseManager
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.functional import LazyObject, Promise, empty
from django.utils.functional import cached_property as django_cached_property
from django.utils.safestring import SafeString

from everfresh.conf import settings
from everfresh.databases import logical_database, point_of_view
from everfresh.exceptions import Uncacheable, Unencodable
from everfresh.keys import MAX_DEPTH, encode
from everfresh.queries.classes import class_path
from everfresh.queries.fingerprint import fingerprint
from everfresh.tables import Uncertain
from everfresh.tables import canonical as canonical_column

__all__ = ["canonical", "settled"]


def canonical(value: Any) -> Any:
    """What names *value* in a key: two values share it only when a computation cannot tell them apart.

    A row is named by its model, its database and its primary key, not by what is in its columns: that is what entries
    depend on. A queryset is named by its query, evaluated or not. Of dicts, the order counts:
    columns may be made of one.

    Returns:
        scalars and tuples that `everfresh.keys.encode` takes. Every tuple begins with the kind of what it stands for.

    Raises:
        Unencodable: for what has no name that holds in every process; the message says what that is.
    """
    return _named(value, 0)


_PLAIN = frozenset({str, int, bool, float, bytes, type(None)})
"""The most frequent scalars, told apart without a call."""


def _named(value: Any, depth: int) -> Any:
    # Not isinstance(), here and below: it asks the value's __class__, which makes a lazy object run its query.
    kind = type(value)
    if kind in _PLAIN:
        return value
    if depth > MAX_DEPTH:
        raise Unencodable(f"{kind.__module__}.{kind.__qualname__} nested more than {MAX_DEPTH} deep")
    return _NAMERS[kind](value, depth + 1)


def _scalar(value: Any, _depth: int) -> Any:
    # The encoding of keys takes it or refuses it.
    encode(value)
    return value


def _list(value: list[Any], depth: int) -> Any:
    return "list", *[_named(item, depth) for item in value]


def _tuple(value: tuple[Any, ...], depth: int) -> Any:
    return "tuple", *[_named(item, depth) for item in value]


def _named_tuple(value: tuple[Any, ...], depth: int) -> Any:
    return "namedtuple", class_path(type(value)), *[_named(item, depth) for item in value]


def _unordered(value: Iterable[Any], depth: int) -> Any:
    return type(value).__name__, *sorted([_named(item, depth) for item in value], key=encode)


def _mapping(value: Mapping[Any, Any], depth: int) -> Any:
    return class_path(type(value)), *_pairs(value.items(), depth)


def _multi_value(value: MultiValueDict[Any, Any], depth: int) -> Any:
    return class_path(type(value)), *_pairs(value.lists(), depth)


def _pairs(items: Iterable[tuple[Any, Any]], depth: int) -> Iterator[Any]:
    for key, item in items:
        yield _named(key, depth)
        yield _named(item, depth)


def _attributes(held: Mapping[str, Any], depth: int) -> Any:
    # In the order of their names: nobody asks in which one they were set.
    return tuple(_pairs(sorted(held.items()), depth))


def _dataclass(value: Any, depth: int) -> Any:
    return "dataclass", class_path(type(value)), *[_named(getattr(value, each.name), depth) for each in fields(value)]


def _class(value: type, _depth: int) -> Any:
    return "class", class_path(value)


def _safe(value: SafeString, _depth: int) -> Any:
    # What is made of it is not escaped, unlike what is made of the same text.
    return "safe", str.__str__(value)


def _promise(value: Any, depth: int) -> Any:
    # A lazy number is a number, and a lazy text the one of the language in force.
    return _named(value._proxy____cast(), depth)


def settled(value: Any) -> Any:
    """*value*, or what it stands for, where it is an object that is made at its first use."""
    # Not isinstance(): it asks the value's __class__, which makes it.
    while issubclass(type(value), LazyObject):
        if value._wrapped is empty:
            value._setup()
        value = value._wrapped
    return value


def _lazy_object(value: Any, depth: int) -> Any:
    return _named(settled(value), depth)


def _anonymous(value: Any, depth: int) -> Any:
    return "anonymous", class_path(type(value)), _attributes(vars(value), depth)


# What reads the database


def _place(alias: str) -> Any:
    return logical_database(alias), point_of_view(alias)


def _instance(value: Model, depth: int) -> Any:
    meta = value._meta
    if value._state.adding or not value._is_pk_set():  # type: ignore[attr-defined]
        raise Unencodable(f"an unsaved {meta.label}")
    concrete: Any = meta.concrete_model
    keys = [_named(_key(field, getattr(value, field.attname)), depth) for field in meta.pk_fields]
    named = "row", concrete._meta.label, meta.label, _place(value._state.db or DEFAULT_DB_ALIAS), *keys
    carried: list[Any] = sorted(name for name in vars(value).keys() - _own(type(value)) if not name.startswith("_"))
    if settings().from_cache and "from_cache" in carried:
        carried.remove("from_cache")
    carried += _prefetched(value, depth)
    # What is computed of an annotation or of a prefetched list is not what is computed of the row alone.
    return (*named, "with", *carried) if carried else named


def _prefetched(value: Model, depth: int) -> Iterator[tuple[str, Any]]:
    """The lists that came along, by the queries that they answer: a filtered one is not the whole."""
    lists: Mapping[str, Any] = vars(value).get("_prefetched_objects_cache", {})
    for accessor in sorted(lists):
        try:
            yield accessor, _named(lists[accessor], depth)
        except Unencodable:
            # Of such a query nothing is stored, and nothing that is stored is this.
            yield accessor, None


@cache
def _own(model: type[Model]) -> frozenset[str]:
    """What instances of *model* hold that follows from their rows. Private names are caches of somebody's own."""
    columns = {field.attname for field in model._meta.concrete_fields}
    properties = (django_cached_property, cached_property)
    return frozenset(
        columns | {name for base in model.__mro__ for name, each in vars(base).items() if isinstance(each, properties)}
    )


def _key(field: Any, value: Any) -> Any:
    try:
        return canonical_column(field, value)
    except Uncertain:
        return value


_DERIVED = frozenset(
    {
        "_db",
        "_defer_next_filter",
        "_deferred_filter",
        "_fetch_mode",
        "_hints",
        "_iterable_class",
        "_known_related_objects",
        "_prefetch_done",
        "_query",
        "_result_cache",
        "_sticky_filter",
        "model",
    }
)
"""Attributes of a queryset that do not count, or that are named in another way. Any other counts as it is."""


def _queryset(value: Any, depth: int) -> Any:
    try:
        query = fingerprint(value.query, *_place(value.db)).identity
    except Uncacheable as refusal:
        raise Unencodable(f"a queryset of {value.model._meta.label}: {refusal.reason}") from None
    known = value._known_related_objects.items()
    fetch_mode = getattr(value, "_fetch_mode", None)  # Django 6.1
    return (
        "queryset",
        class_path(type(value)),
        query,
        class_path(value._iterable_class),
        fetch_mode and class_path(type(fetch_mode)),
        _attributes({str(field): set(rows.values()) for field, rows in known}, depth),
        _attributes({name: item for name, item in vars(value).items() if name not in _DERIVED}, depth),
    )


def _prefetch(value: Prefetch[Any, Any, Any], depth: int) -> Any:
    return "prefetch", class_path(type(value)), _attributes(vars(value), depth)


def _manager(value: BaseManager[Any], depth: int) -> Any:
    return _named(value.get_queryset(), depth)


Namer = Callable[[Any, int], Any]

_BY_BASE: tuple[tuple[type, Namer], ...] = (
    (type, _class),
    (Model, _instance),
    (QuerySet, _queryset),
    (BaseManager, _manager),
    (Prefetch, _prefetch),
    (LazyObject, _lazy_object),
    (Promise, _promise),
    (SafeString, _safe),
    (Enum, _scalar),
)


class _Namers(dict[type, Namer]):
    """By class; one not met before is looked for among the bases."""

    def __missing__(self, kind: type) -> Namer:
        for base, namer in _BY_BASE:
            if issubclass(kind, base):
                return namer
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return _named_tuple
        # Of its own: a subclass that is none may hold more than its fields.
        if "__dataclass_fields__" in vars(kind):
            return _dataclass
        if any((base.__module__, base.__qualname__) == _ANONYMOUS_USER for base in kind.__mro__):
            return _anonymous
        return _scalar


_ANONYMOUS_USER = ("django.contrib.auth.models", "AnonymousUser")
"""By its path: its module can be imported only where the app is installed."""

_NAMERS = _Namers(
    {
        list: _list,
        tuple: _tuple,
        set: _unordered,
        frozenset: _unordered,
        dict: _mapping,
        OrderedDict: _mapping,
        MultiValueDict: _multi_value,
        QueryDict: _multi_value,
    }
)
