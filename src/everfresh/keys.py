"""Python values as canonical bytes, and bytes as short names.

Two values get the same bytes exactly when they have the same types and the same content, all the way down: ``1``,
``True``, ``1.0`` and ``"1"`` are four keys, and ``["a, b"]`` is not ``["a", "b"]``. The bytes do not depend on the
process, the hash seed or the Python version. No encoding is a prefix of another one, so they can be put in a row.

Only exact types are encoded. A subclass may carry meaning that its base does not show, so it is refused with
`~everfresh.exceptions.Unencodable`, never encoded as its base; enum members are the one exception, their class is
part of their bytes. So nothing here calls a method that a value's class could override.

Old keys must never be mistaken for new ones: whoever changes a byte here raises `FORMAT`, and a golden test insists.
"""

from __future__ import annotations

import sys
from base64 import urlsafe_b64encode
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import reduce
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import chain
from math import isnan
from struct import Struct
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from everfresh.exceptions import Unencodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FORMAT", "MAX_DEPTH", "digest", "encode", "encode_into"]

FORMAT = 1
"""Number of the encoding; part of every digest."""

MAX_DEPTH = 64
"""How deep containers may nest. A container that holds itself ends here, too."""

_PERSON = b"everfresh.keys.%d" % FORMAT
_pack_double = Struct(">d").pack
_pack_date = Struct(">HBB").pack
_pack_datetime = Struct(">HBBBBBIB").pack
_pack_time = Struct(">BBBIB").pack
_pack_timedelta = Struct(">iII").pack
# One for all: the sign and the payload of a NaN depend on the processor that made it.
_NAN = float("nan")


def encode(value: object) -> bytes:
    """Return the canonical bytes of *value*, or raise `Unencodable` with the name of the first type that has none."""
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        return scalar(value)
    out: list[bytes] = []
    _encode_compound(out.append, value, 0)
    return b"".join(out)


def encode_into(out: list[bytes], value: object) -> None:
    """Append the canonical bytes of *value* to *out* as one or more chunks; ``b"".join(out)`` is what `encode` returns.

    After `Unencodable`, *out* may hold the chunks of what came before the value in question.
    """
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        out.append(scalar(value))
    else:
        _encode_compound(out.append, value, 0)


def digest(data: bytes | Iterable[bytes]) -> str:
    """Return the BLAKE2b-128 of *data* as 22 characters of ``[A-Za-z0-9_-]``.

    Chunks are hashed as if they were joined, so give it prefix-free ones, such as those of `encode_into`.
    """
    if not isinstance(data, bytes):
        data = b"".join(data)
    return urlsafe_b64encode(blake2b(data, digest_size=16, person=_PERSON).digest())[:22].decode("ascii")


def _unencodable(value: object, why: str = "") -> Unencodable:
    cls = type(value)
    return Unencodable(f"{cls.__module__}.{cls.__qualname__}{why}")


# Scalars: a type letter, then content of a fixed or stated length, or closed by a character it cannot contain.


def _encode_int(value: int) -> bytes:
    # Hexadecimal: decimal digits of huge numbers are slow and, over 4300 of them, an error.
    return b"i%x;" % value


def _encode_str(value: str) -> bytes:
    content = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(content), content)


def _encode_bytes(value: bytes) -> bytes:
    return b"b%d:%b" % (len(value), value)


def _encode_bytearray(value: bytearray) -> bytes:
    return b"B%d:%b" % (len(value), bytes(value))


def _encode_memoryview(value: memoryview) -> bytes:
    if value.format != "B" or value.ndim != 1:
        raise _unencodable(value, " of other items than bytes")
    return b"V%d:%b" % (len(value), value.tobytes())


def _encode_float(value: float) -> bytes:
    return b"f" + _pack_double(_NAN if isnan(value) else value)


def _encode_complex(value: complex) -> bytes:
    return b"c" + _encode_float(value.real) + _encode_float(value.imag)


def _encode_decimal(value: Decimal) -> bytes:
    # The one thing the current decimal context changes in str() is the case of "E".
    return b"n%b;" % str(value).upper().encode("ascii")


def _encode_date(value: date) -> bytes:
    return b"d" + _pack_date(value.year, value.month, value.day)


def _encode_datetime(value: datetime) -> bytes:
    wall = b"m" + _pack_datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.fold
    )
    # The time on the wall and the offset together are the instant.
    return wall + _encode_zone(value.tzinfo, value)


def _encode_time(value: time) -> bytes:
    wall = b"k" + _pack_time(value.hour, value.minute, value.second, value.microsecond, value.fold)
    return wall + _encode_zone(value.tzinfo, value)


def _encode_timedelta(value: timedelta) -> bytes:
    return b"D" + _pack_timedelta(value.days, value.seconds, value.microseconds)


def _encode_zone(zone: tzinfo | None, moment: datetime | time | None) -> bytes:
    if zone is None:
        return b"-"
    if type(zone) is timezone:
        return b"o" + _encode_timedelta(zone.utcoffset(None)) + _encode_str(zone.tzname(None))
    if type(zone) is ZoneInfo and type(zone.key) is str:
        # Two hosts may have different rules for one zone, hence the offset; a time without a date may have none.
        offset = None if moment is None else moment.utcoffset()
        return b"z" + _encode_str(zone.key) + (b"-" if offset is None else _encode_timedelta(offset))
    raise _unencodable(zone)


def _encode_tzinfo(value: tzinfo) -> bytes:
    return b"Z" + _encode_zone(value, None)


def _encode_uuid(value: UUID) -> bytes:
    return b"u" + value.bytes


def _encode_range(value: range) -> bytes:
    return b"r%x:%x:%x;" % (value.start, value.stop, value.step)


# Addresses go by their packed form: the text of an IPv4-mapped IPv6 address changed in Python 3.13.


def _encode_address(value: IPv4Address | IPv6Address) -> bytes:
    return b"a%d%b" % (value.version, value.packed) + _encode_scope(value)


def _encode_network(value: IPv4Network | IPv6Network) -> bytes:
    address = value.network_address
    return b"w%d%b%c" % (value.version, address.packed, value.prefixlen) + _encode_scope(address)


def _encode_interface(value: IPv4Interface | IPv6Interface) -> bytes:
    return b"y%d%b%c" % (value.version, value.packed, value.network.prefixlen) + _encode_scope(value)


def _encode_scope(address: IPv4Address | IPv6Address) -> bytes:
    scope: str | None = getattr(address, "scope_id", None)
    return b"-" if scope is None else _encode_str(scope)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _none: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: _encode_int,
    str: _encode_str,
    bytes: _encode_bytes,
    bytearray: _encode_bytearray,
    memoryview: _encode_memoryview,
    float: _encode_float,
    complex: _encode_complex,
    Decimal: _encode_decimal,
    date: _encode_date,
    datetime: _encode_datetime,
    time: _encode_time,
    timedelta: _encode_timedelta,
    timezone: _encode_tzinfo,
    ZoneInfo: _encode_tzinfo,
    UUID: _encode_uuid,
    range: _encode_range,
    IPv4Address: _encode_address,
    IPv6Address: _encode_address,
    IPv4Network: _encode_network,
    IPv6Network: _encode_network,
    IPv4Interface: _encode_interface,
    IPv6Interface: _encode_interface,
}


# Compounds: a type letter, the number of items, the items.


def _encode_compound(append: Callable[[bytes], object], value: Any, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _unencodable(value, f" nested more than {MAX_DEPTH} deep")
    cls = type(value)
    if cls is tuple:
        append(b"t%d:" % len(value))
        _encode_items(append, value, depth + 1)
    elif cls is list:
        append(b"l%d:" % len(value))
        _encode_items(append, value, depth + 1)
    elif cls is dict:
        # In its own order: SQL built from a dict has its columns in that order.
        append(b"h%d:" % len(value))
        _encode_items(append, chain.from_iterable(value.items()), depth + 1)
    elif cls is set or cls is frozenset:
        append((b"S%d:" if cls is set else b"R%d:") % len(value))
        _encode_unordered(append, value, depth + 1)
    # Not isinstance(): it asks the value's __class__, which makes a lazy object run its query.
    elif issubclass(cls, Enum):
        append(_enum_head(cls))
        _encode_items(append, (value._value_,), depth + 1)
    else:
        raise _unencodable(value)


def _encode_items(append: Callable[[bytes], object], items: Iterable[object], depth: int) -> None:
    for item in items:
        scalar = _SCALARS.get(type(item))
        if scalar is not None:
            append(scalar(item))
        else:
            _encode_compound(append, item, depth)


def _encode_unordered(append: Callable[[bytes], object], items: Iterable[object], depth: int) -> None:
    contents = []
    for item in items:
        chunks: list[bytes] = []
        _encode_items(chunks.append, (item,), depth)
        contents.append(b"".join(chunks))
    append(b"".join(sorted(contents)))


_enum_heads: WeakKeyDictionary[type[Enum], bytes] = WeakKeyDictionary()


def _enum_head(cls: type[Enum]) -> bytes:
    """Name the class by its import path; refuse one that is not found there: two local classes may share a path."""
    head = _enum_heads.get(cls)
    if head is None:
        try:
            found: object = reduce(getattr, cls.__qualname__.split("."), sys.modules[cls.__module__])
        except (AttributeError, KeyError):
            found = None
        if found is not cls:
            raise Unencodable(f"{cls.__module__}.{cls.__qualname__} that cannot be imported by this name")
        head = _enum_heads[cls] = b"e" + _encode_str(cls.__module__) + _encode_str(cls.__qualname__)
    return head
