"""A query's fingerprint: canonical bytes of its structure, without compiling it.

The walk takes in *everything* a query holds, attribute by attribute, and leaves out only what is known to be derived.
So an attribute that a later Django adds makes two queries differ at worst, never agree. What has no stable bytes makes
the query uncacheable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db.models import Field, ForeignObjectRel, Model, QuerySet
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.query_utils import FilteredRelation, Q
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable, Join
from django.utils import timezone
from django.utils.datastructures import OrderedSet
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.tree import Node

from everfresh.exceptions import Uncacheable, Unencodable
from everfresh.keys import digest, encode_into
from everfresh.queries.ranges import is_range, range_parts

__all__ = ["class_path", "fingerprint"]

_DEPTH = 60
"""Deeper queries than this hold themselves, or are nothing anyone wrote by hand."""

_DERIVED = frozenset(
    {
        "_annotation_select_cache",
        "_constructor_args",
        "_extra_select_cache",
        "alias_refcount",
        "allowed_default",
        "base_table",
        "contains_aggregate",
        "contains_column_references",
        "contains_over_clause",
        "contains_subquery",
        "convert_value",
        "filter_is_sticky",
        "identity",
        "referenced_base_fields",
        "used_aliases",
    }
)
"""Attributes that follow from the others. ``output_field`` is none: it may be given, and decides a cast's SQL."""

_STRUCTURES = (BaseExpression, BaseTable, Combinable, FilteredRelation, Join, Node, Q, Query)


def fingerprint(query: Query, *extra: object) -> str:
    """22 characters that two queries share only when they compile to the same SQL and parameters.

    Args:
        query: a query, not compiled and not changed.
        extra: what else decides the answer's form: the database, the kind of read, …

    Raises:
        Uncacheable: when something in the query has no stable bytes; the reason names it.
    """
    walk = _Walk()
    try:
        walk.value(extra, 0)
        walk.value(query, 0)
    except Unencodable as error:
        raise Uncacheable(f"it holds {error}, which has no stable bytes") from None
    if walk.needs_time_zone:
        walk.value(timezone.get_current_timezone_name(), 0)
    return digest(walk.out)


class _Walk:
    """One pass over a query; ``out`` collects prefix-free bytes."""

    __slots__ = ("needs_time_zone", "out")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.needs_time_zone = False

    def value(self, value: Any, depth: int) -> None:
        if depth > _DEPTH:
            raise Uncacheable("it is nested too deep")
        kind = type(value)
        walker = _WALKERS.get(kind)
        if walker is None:
            walker = _WALKERS[kind] = _walker_for(kind)
        walker(self, value, depth)

    def plain(self, value: Any, _depth: int) -> None:
        encode_into(self.out, value)

    def text(self, value: Any, _depth: int) -> None:
        encode_into(self.out, str(value))

    def sequence(self, value: Any, depth: int) -> None:
        self._open(b"S", value)
        for item in value:
            self.value(item, depth + 1)

    def mapping(self, value: Mapping[Any, Any], depth: int) -> None:
        self._open(b"M", value)
        for key, item in value.items():
            self.value(key, depth + 1)
            self.value(item, depth + 1)

    def unordered(self, value: Any, depth: int) -> None:
        self._open(b"U", value)
        parts = []
        for item in value:
            walk = _Walk()
            walk.value(item, depth + 1)
            self.needs_time_zone |= walk.needs_time_zone
            parts.append(b"".join(walk.out))
        for part in sorted(parts):
            encode_into(self.out, part)

    def _open(self, mark: bytes, value: Any) -> None:
        self.out.append(mark)
        encode_into(self.out, class_path(type(value)))
        encode_into(self.out, len(value))

    def range(self, value: Any, depth: int) -> None:
        self.out.append(b"R")
        encode_into(self.out, class_path(type(value)))
        self.value(range_parts(value), depth + 1)

    def klass(self, value: type, _depth: int) -> None:
        if issubclass(value, Model):
            self.out.append(b"D")
            encode_into(self.out, _model_bytes(value))
        else:
            self.out.append(b"C")
            encode_into(self.out, class_path(value))

    def field(self, value: Field[Any, Any], depth: int) -> None:
        self.out.append(b"F")
        encode_into(self.out, class_path(type(value)))
        model = getattr(value, "model", None)
        if model is not None and model._meta.apps is apps and value.name:
            encode_into(self.out, (model._meta.label, value.name, value.column))
        else:
            self.value(value.deconstruct()[1:], depth + 1)

    def relation(self, value: ForeignObjectRel, depth: int) -> None:
        self.out.append(b"L")
        encode_into(self.out, class_path(type(value)))
        self.value(value.field, depth + 1)

    def structure(self, value: Any, depth: int) -> None:
        kind = type(value)
        self.out.append(b"O")
        encode_into(self.out, class_path(kind))
        if isinstance(value, TimezoneMixin):
            self.needs_time_zone = True
        held = vars(value)
        names = sorted(name for name in held if name not in _DERIVED)
        if isinstance(value, Query):
            # Which joins are in the SQL; how often each is used is not.
            encode_into(self.out, [alias for alias, uses in value.alias_refcount.items() if uses])
        encode_into(self.out, len(names))
        for name in names:
            encode_into(self.out, name)
            self.value(held[name], depth + 1)


Walker = Callable[[_Walk, Any, int], None]


def _refuse(_walk: _Walk, value: Any, _depth: int) -> None:
    raise Unencodable(f"a {type(value).__module__}.{type(value).__qualname__}")


def _walker_for(kind: type) -> Walker:
    for base, walker in _BY_BASE:
        if issubclass(kind, base):
            return walker
    if is_range(kind):
        return _Walk.range
    # A plain value: the encoding of keys takes it or refuses it.
    return _Walk.plain


_BY_BASE: tuple[tuple[type | tuple[type, ...], Walker], ...] = (
    (type, _Walk.klass),
    (_STRUCTURES, _Walk.structure),
    (Field, _Walk.field),
    (ForeignObjectRel, _Walk.relation),
    ((Model, QuerySet), _refuse),
    (SafeString, _Walk.text),
    (Promise, _Walk.text),
    (OrderedSet, _Walk.sequence),
)
_WALKERS: dict[type, Walker] = {
    list: _Walk.sequence,
    tuple: _Walk.sequence,
    dict: _Walk.mapping,
    set: _Walk.unordered,
    frozenset: _Walk.unordered,
}


_paths: dict[type, str] = {}


def class_path(kind: type) -> str:
    """``module.qualname`` of a class that this name leads back to.

    Raises:
        Unencodable: for classes made inside functions: two of one name may render different SQL.
    """
    path = _paths.get(kind)
    if path is None:
        path = _paths[kind] = _importable_path(kind)
    return path


def _importable_path(kind: type) -> str:
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind:
        raise Unencodable(f"the class {kind.__module__}.{kind.__qualname__}, which has no importable name")
    return f"{kind.__module__}.{kind.__qualname__}"


@cache
def _model_bytes(model: type[Model]) -> bytes:
    """What of a model decides its SQL and the meaning of its columns: a change of schema is another key."""
    meta = model._meta
    if meta.apps is not apps:
        raise Uncacheable(f"{meta.label} is not in the app registry")
    walk = _Walk()
    walk.value(
        (
            meta.label,
            meta.db_table,
            [(field.attname, field.column, class_path(type(field))) for field in meta.concrete_fields],
            list(meta.ordering or ()),
            [parent._meta.label for parent in meta.all_parents],
            django_settings.USE_TZ,
        ),
        1,
    )
    return b"".join(walk.out)
