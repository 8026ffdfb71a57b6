"""Any one answer as bytes: a number, a truth value, the dict of an aggregate, what JSON can hold and more.

What msgpack gives back exactly is stored as it is, a dict with text keys as a map of such values, and anything else as
an array of a code and a payload. So an array is always a tagged value. Only identity is lost: a list that is in the
value twice comes back as two lists.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from importlib import import_module
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from msgspec.msgpack import Decoder, Encoder

from everfresh.exceptions import Unencodable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 64
"""How deep containers in a value may nest. A container that holds itself ends here, too."""


class Miss(Enum):
    """The answer of a decoder that cannot make sense of its bytes; falsy."""

    MISS = "miss"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISS"


MISS: Final = Miss.MISS

_encoder = Encoder(uuid_format="bytes")
_PLAIN_TYPES = frozenset({type(None), bool, int, float, str, bytes})
_plain_decoder = Decoder()


def encode_value(value: object) -> bytes:
    """Return the bytes of *value*, or raise `Unencodable` with the name of the first type that would not come back."""
    return encode_plain(tag(value))


def decode_value(data: bytes | memoryview) -> Any | Miss:
    """Return the value, or `MISS` if these bytes are none."""
    try:
        return untag(_plain_decoder.decode(data))
    except Exception:  # noqa: BLE001  a reader of foreign bytes has no list of what can go wrong
        return MISS


def encode_plain(value: object) -> bytes:
    """Return *value* as msgpack; it holds nothing but types whose way back the caller knows."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        message = "builtins.str with lone surrogates"
        raise Unencodable(message) from None


def tag(value: Any, depth: int = 0) -> Any:
    """Return *value*, itself *depth* containers deep, in terms that msgpack gives back exactly."""
    cls = type(value)
    if cls is int:
        return value if -(2**63) <= value < 2**64 else ["I", f"{value:x}"]
    if cls in _PLAIN_TYPES:
        return value
    if cls in _CONTAINERS:
        if depth >= MAX_DEPTH:
            raise _unencodable(value, f" nested more than {MAX_DEPTH} deep")
        depth += 1
        if cls is not dict:
            return [_CONTAINERS[cls], *[tag(item, depth) for item in value]]
        if {str}.issuperset(map(type, value)):
            return {key: tag(item, depth) for key, item in value.items()}
        return ["h", *[tag(item, depth) for item in chain.from_iterable(value.items())]]
    known = _TAGS.get(cls)
    if known is not None:
        return known(value)
    if cls is getattr(sys.modules.get("psycopg.types.range"), "Range", None):
        return _tag_range(value, depth)
    if cls is getattr(sys.modules.get("psycopg.types.multirange"), "Multirange", None):
        return ["psycopg.multirange", *[tag(item, depth) for item in value]]
    raise _unencodable(value)


def untag(stored: Any) -> Any:
    """Return the value that `tag` was given; any exception means that it was not given this."""
    cls = type(stored)
    if cls in _PLAIN_TYPES:
        return stored
    if cls is dict:
        return {key: untag(item) for key, item in stored.items()}
    # Anything else that msgpack knows has no first item or an unknown one: an error, and so a miss.
    return _UNTAGS[stored[0]](*stored[1:])


def _unencodable(value: object, why: str = "") -> Unencodable:
    cls = type(value)
    return Unencodable(f"{cls.__module__}.{cls.__qualname__}{why}")


# The codes: what each type becomes, and what becomes of it.

_MICROSECOND = timedelta(microseconds=1)


def _tag_zone(zone: tzinfo | None, moment: datetime | time) -> list[Any] | None:
    if zone is None:
        return None
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        return [None, offset // _MICROSECOND, None if name == timezone(offset).tzname(None) else name]
    if type(zone) is ZoneInfo and type(zone.key) is str:
        try:
            stored = [zone.key, _offset(moment)]
            if ZoneInfo(zone.key) is not zone:
                _untag_zone(stored, moment)
        except Exception:  # noqa: BLE001  a zone read from a file under an invented key
            raise _unencodable(zone) from None
        return stored
    raise _unencodable(zone)


def _untag_zone(stored: list[Any] | None, moment: datetime | time) -> tzinfo | None:
    if stored is None:
        return None
    key = stored[0]
    if key is None:
        offset = timedelta(microseconds=stored[1])
        return timezone(offset) if stored[2] is None else timezone(offset, stored[2])
    zone = ZoneInfo(key)
    # The rules of a zone change, and so would the instant.
    if _offset(moment.replace(tzinfo=zone)) != stored[1]:
        message = f"the offset of {key} was another one"
        raise ValueError(message)
    return zone


def _offset(moment: datetime | time) -> int | None:
    offset = moment.utcoffset()
    return None if offset is None else offset // _MICROSECOND


def _tag_datetime(value: datetime) -> list[Any]:
    # The day, then what a time has.
    return ["m", value.toordinal(), *_tag_time(value)[1:]]


def _untag_datetime(day: int, hour: int, minute: int, second: int, micro: int, fold: int, zone: Any) -> datetime:
    wall = datetime.combine(date.fromordinal(day), time(hour, minute, second, micro, fold=fold))
    return wall.replace(tzinfo=_untag_zone(zone, wall))


def _tag_time(value: time | datetime) -> list[Any]:
    return ["k", value.hour, value.minute, value.second, value.microsecond, value.fold, _tag_zone(value.tzinfo, value)]


def _untag_time(hour: int, minute: int, second: int, micro: int, fold: int, zone: Any) -> time:
    wall = time(hour, minute, second, micro, fold=fold)
    return wall.replace(tzinfo=_untag_zone(zone, wall))


def _tag_uuid(value: UUID) -> list[Any]:
    if value.is_safe is not SafeUUID.unknown:
        raise _unencodable(value, " that says whether it is safe")
    return ["u", value.bytes]


def _tag_memoryview(value: memoryview) -> list[Any]:
    if value.format != "B" or value.ndim != 1 or not value.readonly:
        raise _unencodable(value, " that is more than read-only bytes")
    return ["v", value.tobytes()]


def _tag_range(value: Any, depth: int) -> list[Any]:
    if depth >= MAX_DEPTH:
        raise _unencodable(value, f" nested more than {MAX_DEPTH} deep")
    if value.isempty:
        return ["psycopg.range"]
    return ["psycopg.range", tag(value.lower, depth + 1), tag(value.upper, depth + 1), value.bounds]


def _untag_range(*stored: Any) -> Any:
    cls = import_module("psycopg.types.range").Range
    if not stored:
        return cls(empty=True)
    lower, upper, bounds = stored
    return cls(untag(lower), untag(upper), bounds)


def _untag_multirange(*stored: Any) -> Any:
    return import_module("psycopg.types.multirange").Multirange(map(untag, stored))


def _untag_dict(*stored: Any) -> dict[Any, Any]:
    items = map(untag, stored)
    return dict(zip(items, items, strict=True))


_CONTAINERS: dict[type, str] = {list: "l", tuple: "t", set: "S", frozenset: "R", dict: "h"}

_TAGS: dict[type, Callable[[Any], list[Any]]] = {
    Decimal: lambda value: ["n", str(value)],
    date: lambda value: ["d", value.toordinal()],
    datetime: _tag_datetime,
    time: _tag_time,
    timedelta: lambda value: ["p", value.days, value.seconds, value.microseconds],
    UUID: _tag_uuid,
    bytearray: lambda value: ["B", bytes(value)],
    memoryview: _tag_memoryview,
    complex: lambda value: ["c", value.real, value.imag],
    range: lambda value: ["r", *[tag(number) for number in (value.start, value.stop, value.step)]],
}

_UNTAGS: dict[str, Callable[..., Any]] = {
    "I": lambda digits: int(digits, 16),
    "l": lambda *items: list(map(untag, items)),
    "t": lambda *items: tuple(map(untag, items)),
    "S": lambda *items: set(map(untag, items)),
    "R": lambda *items: frozenset(map(untag, items)),
    "h": _untag_dict,
    "n": Decimal,
    "d": date.fromordinal,
    "m": _untag_datetime,
    "k": _untag_time,
    "p": timedelta,
    "u": lambda content: UUID(bytes=content),
    # Not bytearray(content): given a number, it makes that many bytes.
    "B": lambda content: bytearray(memoryview(content)),
    "v": memoryview,
    "c": complex,
    "r": lambda *numbers: range(*map(untag, numbers)),
    "psycopg.range": _untag_range,
    "psycopg.multirange": _untag_multirange,
}

for _cls in (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network):
    _TAGS[_cls] = lambda value: [type(value).__name__, str(value)]
    _UNTAGS[_cls.__name__] = _cls
