"""A query's fingerprint: canonical bytes of its structure, without compiling it.

The walk takes in *everything* a query holds, attribute by attribute, and leaves out only what is known to be derived.
So an attribute that a later Django adds makes two queries differ at worst, never agree. What has no stable bytes makes
the query uncacheable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Field, ForeignObjectRel, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.lookups import Lookup
from django.db.models.query_utils import FilteredRelation, Q
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable, Join
from django.utils import timezone
from django.utils.datastructures import OrderedSet
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.tree import Node

from everfresh.bounded import Bounded
from everfresh.exceptions import Uncacheable, Unencodable
from everfresh.keys import digest, encode
from everfresh.queries.classes import class_path, path_bytes
from everfresh.queries.outlines import Values, free_values
from everfresh.queries.ranges import is_range, range_parts

__all__ = ["Fingerprint", "fingerprint"]

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
        "possibly_multivalued",
        "referenced_base_fields",
        "used_aliases",
    }
)
"""Attributes that follow from the others. ``output_field`` is none: it may be given, and decides a cast's SQL."""

_STRUCTURES = (BaseExpression, BaseTable, Combinable, FilteredRelation, Join, Node, Q, Query)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a query is called."""

    identity: str
    """22 characters that two queries share only when they compile to the same SQL and parameters."""

    _walk: _Walk

    @property
    def free(self) -> tuple[Values, ...]:
        """The free values, in the order of the walk."""
        return tuple([values for _, _, _, values in self._walk.holes])

    @property
    def slots(self) -> Mapping[int, int]:
        """Of each lookup that has free values, by its id, which of *free* they are."""
        return {lookup: slot for slot, (_, _, lookup, _) in enumerate(self._walk.holes)}

    def shape(self) -> str:
        """22 characters that two queries share only when they differ in nothing but free values."""
        if not self._walk.holes:
            return self.identity
        out = self._walk.out.copy()
        for start, end, _, values in reversed(self._walk.holes):
            # Their classes stay: an integer is compared otherwise than a text.
            out[start:end] = [b"<?", *sorted({path_bytes(type(value)) for value in values})]
        return digest(b"".join(out))


def fingerprint(query: Query, *extra: object) -> Fingerprint:
    """The names of *query* and of its shape.

    Args:
        query: a query, not compiled and not changed.
        extra: what else decides the answer's form: the database, the kind of read, …

    Raises:
        Uncacheable: when something in the query has no stable bytes; the reason names it.
    """
    walk = _Walk()
    try:
        _sequence(walk, extra, 0)
        _query(walk, query, 0)
        if walk.needs_time_zone:
            # The zone itself: the name of a fixed offset says nothing of the offset.
            walk.out.append(encode(timezone.get_current_timezone()))
    except Unencodable as error:
        raise Uncacheable(f"it holds {error}, which has no stable bytes") from None
    return Fingerprint(digest(b"".join(walk.out)), walk)


class _Walk:
    """One pass over a query; ``out`` collects prefix-free bytes, ``holes`` which of them are free values' and whose."""

    __slots__ = ("holes", "needs_time_zone", "out")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.holes: list[tuple[int, int, int, Values]] = []
        self.needs_time_zone = False


# Each walker appends the bytes of one value. They begin with "<" and a letter, as no encoding of `everfresh.keys` does.


def _plain(walk: _Walk, value: Any, _depth: int) -> None:
    # The encoding of keys takes it or refuses it.
    walk.out.append(encode(value))


def _text(walk: _Walk, value: Any, _depth: int) -> None:
    walk.out.append(encode(str.__str__(value)))


def _lazy(walk: _Walk, value: Any, depth: int) -> None:
    # As Field.get_prep_value() does: a lazy number is a number.
    said = value._proxy____cast()
    _WALKERS[type(said)](walk, said, depth + 1)


def _sequence(walk: _Walk, value: Any, depth: int) -> None:
    _open(walk, b"<S", value, depth)
    for item in value:
        if type(item) is str:
            walk.out.append(_words.get(item) or _word(item))
        else:
            _WALKERS[type(item)](walk, item, depth + 1)


def _mapping(walk: _Walk, value: Mapping[Any, Any], depth: int) -> None:
    _open(walk, b"<M", value, depth)
    for key, item in value.items():
        if type(key) is str:
            walk.out.append(_words.get(key) or _word(key))
        else:
            _WALKERS[type(key)](walk, key, depth + 1)
        _WALKERS[type(item)](walk, item, depth + 1)


def _unordered(walk: _Walk, value: Any, depth: int) -> None:
    _open(walk, b"<U", value, depth)
    parts = []
    for item in value:
        inner = _Walk()
        _WALKERS[type(item)](inner, item, depth + 1)
        walk.needs_time_zone |= inner.needs_time_zone
        parts.append(b"".join(inner.out))
    walk.out += sorted(parts)


def _open(walk: _Walk, mark: bytes, value: Any, depth: int) -> None:
    if depth > _DEPTH:
        raise Uncacheable("it is nested too deep")
    place = mark, type(value), len(value)
    head = _heads.get(place)
    if head is None:
        head = _heads[place] = b"%b%b%d:" % (mark, path_bytes(type(value)), len(value))
    walk.out.append(head)


_heads: Bounded[tuple[bytes, type, int], bytes] = Bounded(1_024)
"""The bytes that open containers of one class and length."""

_words: Bounded[str, bytes] = Bounded(4_096)
"""The bytes of short texts: a project's queries name the same tables and columns over and over."""

_LONGEST_WORD = 63


def _word(text: str) -> bytes:
    found = encode(text)
    if len(text) <= _LONGEST_WORD:
        _words[text] = found
    return found


def _range(walk: _Walk, value: Any, depth: int) -> None:
    walk.out.append(b"<R" + path_bytes(type(value)))
    _sequence(walk, range_parts(value), depth + 1)


def _class(walk: _Walk, value: type, _depth: int) -> None:
    walk.out.append(b"<D" + _model_bytes(value) if issubclass(value, Model) else b"<C" + path_bytes(value))


_fields: dict[int, tuple[Field[Any, Any], bytes]] = {}
"""Bytes of the fields of registered models, by id. Each is held, so that no other field ever gets its id."""


def _field(walk: _Walk, value: Field[Any, Any], depth: int) -> None:
    known = _fields.get(id(value))
    if known is not None:
        walk.out.append(known[1])
        return
    head = b"<F" + path_bytes(type(value))
    model = getattr(value, "model", None)
    if model is not None and model._meta.apps is apps and value.name and _is_own(model, value):
        found = head + encode((model._meta.label, value.name, value.column))
        _fields[id(value)] = value, found
        walk.out.append(found)
    else:
        walk.out.append(head)
        _sequence(walk, (value.name, *value.deconstruct()[1:]), depth + 1)


def _is_own(model: type[Model], field: Field[Any, Any]) -> bool:
    """Is *field* what *model* knows by its name, and not a copy that someone changed?"""
    meta = model._meta
    return any(own is field for own in (*meta.local_fields, *meta.local_many_to_many, *meta.private_fields))


def _relation(walk: _Walk, value: ForeignObjectRel, depth: int) -> None:
    walk.out.append(b"<L" + path_bytes(type(value)))
    _field(walk, value.field, depth + 1)


_layouts: dict[tuple[type, tuple[str, ...]], tuple[bytes, tuple[tuple[bytes, str], ...]]] = {}
"""By class and names of attributes: the bytes that open such an object, and the attributes that count, sorted."""

_LAYOUTS = 4_096


def _layout(kind: type, names: tuple[str, ...]) -> tuple[bytes, tuple[tuple[bytes, str], ...]]:
    """Remembered, because a handful of layouts is all that a project's queries have."""
    counting = sorted(name for name in names if name not in _DERIVED)
    if any(vars(base).get("__slots__") for base in kind.__mro__):
        raise Unencodable(f"a {class_path(kind)} with __slots__")
    found = (
        b"<O%b%d:" % (path_bytes(kind), len(counting)),
        tuple((encode(name), name) for name in counting),
    )
    if len(_layouts) >= _LAYOUTS:
        _layouts.clear()
    _layouts[kind, names] = found
    return found


def _structure(walk: _Walk, value: Any, depth: int, free: Values | None = None) -> None:
    if depth > _DEPTH:
        raise Uncacheable("it is nested too deep")
    held = vars(value)
    kind, names = type(value), tuple(held)
    head, counting = _layouts.get((kind, names)) or _layout(kind, names)
    out = walk.out
    out.append(head)
    depth += 1
    for written, name in counting:
        out.append(written)
        item = held[name]
        start = len(out)
        of = type(item)
        if of is str:
            out.append(_words.get(item) or _word(item))
        elif of in _CONSTANTS:
            out.append(_CONSTANTS[of][item])
        elif of is int:
            out.append(encode(item))
        elif of in _EMPTY and not item:
            out.append(_EMPTY[of])
        else:
            _WALKERS[of](walk, item, depth)
        if free is not None and name == "rhs":
            walk.holes.append((start, len(out), id(value), free))


def _lookup(walk: _Walk, value: Lookup[Any], depth: int) -> None:
    _structure(walk, value, depth, free_values(value))


def _query(walk: _Walk, value: Query, depth: int) -> None:
    _structure(walk, value, depth)
    if value.model is not None and not walk.needs_time_zone:
        names: Any = value.order_by or (value.model._meta.ordering if value.default_ordering else ())
        walk.needs_time_zone = bool(names) and _by_clock(value.model, tuple(names))
    # Which joins are in the SQL; how often each is used is not.
    _sequence(walk, [alias for alias, uses in value.alias_refcount.items() if uses], depth + 1)


def _in_time_zone(walk: _Walk, value: Any, depth: int) -> None:
    walk.needs_time_zone = True
    _structure(walk, value, depth)


# What is still text is resolved only when the query is compiled, and then it may be an hour or a day. A path of one
# word cannot be; any other is taken to be one: at worst each time zone has an entry of its own.


def _reference(walk: _Walk, value: Any, depth: int) -> None:
    walk.needs_time_zone |= LOOKUP_SEP in value.name
    _structure(walk, value, depth)


def _conditions(walk: _Walk, value: Q, depth: int) -> None:
    walk.needs_time_zone |= any(isinstance(child, tuple) and LOOKUP_SEP in child[0] for child in value.children)
    _structure(walk, value, depth)


@lru_cache(maxsize=4_096)
def _by_clock(model: type[Model], ordering: tuple[Any, ...], seen: frozenset[type[Model]] = frozenset()) -> bool:
    """May the time zone decide what *ordering* means, by itself or by the ordering of a relation it names?"""
    for name in ordering:
        if not isinstance(name, str):
            walk = _Walk()
            _WALKERS[type(name)](walk, name, 0)
            if walk.needs_time_zone:
                return True
        elif LOOKUP_SEP in name:
            return True
        else:
            related = _related(model, name.lstrip("+-"))
            if related and related not in seen and _by_clock(related, tuple(related._meta.ordering), seen | {model}):
                return True
    return False


def _related(model: type[Model], name: str) -> Any:
    try:
        return getattr(model._meta.get_field(name), "related_model", None)
    except FieldDoesNotExist:
        # An annotation, a random order, "pk".
        return None


def _refuse(_walk: _Walk, value: Any, _depth: int) -> None:
    raise Unencodable(f"a {type(value).__module__}.{type(value).__qualname__}")


Walker = Callable[[_Walk, Any, int], None]

_BY_BASE: tuple[tuple[type | tuple[type, ...], Walker], ...] = (
    (type, _class),
    (Query, _query),
    (TimezoneMixin, _in_time_zone),
    (Lookup, _lookup),
    (F, _reference),
    (Q, _conditions),
    (_STRUCTURES, _structure),
    (Field, _field),
    (ForeignObjectRel, _relation),
    ((Model, QuerySet), _refuse),
    (SafeString, _text),
    (Promise, _lazy),
    (OrderedSet, _sequence),
)


class _Walkers(dict[type, Walker]):
    """By class; one not met before is looked for among the bases."""

    def __missing__(self, kind: type) -> Walker:
        otherwise = _range if is_range(kind) else _plain
        walker = next((walker for base, walker in _BY_BASE if issubclass(kind, base)), otherwise)
        self[kind] = walker
        return walker


_WALKERS = _Walkers({list: _sequence, tuple: _sequence, dict: _mapping, set: _unordered, frozenset: _unordered})
_CONSTANTS: Mapping[type, Mapping[Any, bytes]] = {
    bool: {value: encode(value) for value in (False, True)},
    type(None): {None: encode(None)},
}
"""By class: the bytes of all its values. Most of what a query holds is nothing."""


def _nothing(kind: type) -> bytes:
    walk = _Walk()
    _WALKERS[kind](walk, kind(), 0)
    return b"".join(walk.out)


_EMPTY = {kind: _nothing(kind) for kind in (dict, frozenset, list, set, tuple)}
"""By class: the bytes of an empty one."""


@cache
def _model_bytes(model: type[Model]) -> bytes:
    """What of a model decides its SQL and the meaning of its columns: a change of schema is another key."""
    meta = model._meta
    if meta.apps is not apps:
        raise Uncacheable(f"{meta.label} is not in the app registry")
    walk = _Walk()
    _sequence(
        walk,
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
