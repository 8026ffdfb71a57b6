"""How rows and single values become bytes and come back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any
from uuid import UUID

from everfresh import codec
from everfresh.conf import settings
from everfresh.exceptions import Unencodable
from everfresh.queries.replay import Rows
from everfresh.reading import Body

__all__ = ["POINTERS", "ROWS", "VALUE", "Pointers"]

_further = Struct(">H8s")


@dataclass(frozen=True, slots=True)
class Pointers:
    """A list of pointers to rows, or the beginning of one that goes on in further entries."""

    rows: Rows
    further: int = 0
    """In how many entries it goes on."""

    identity: bytes = b""
    """8 random bytes that name these entries: a list that is stored anew never goes on in those of an older one."""


def _encode_rows(rows: Rows) -> bytes:
    if len(rows) > settings().limits.rows:
        raise Unencodable(f"{len(rows)} rows, more than the limit of {settings().limits.rows},")
    return codec.encode_rows(rows)


_FROZEN = frozenset(
    {bool, bytes, date, datetime, Decimal, float, int, str, time, timedelta, type(None), UUID},
)


def _is_frozen(value: object) -> bool:
    return type(value) in _FROZEN


def _are_frozen(rows: Rows) -> bool:
    return all(type(value) in _FROZEN for row in rows for value in row)


def _same_rows(cached: Rows, computed: Rows) -> bool:
    # In any order: the database may choose one, within what ORDER BY leaves open.
    return cached == computed or sorted(map(repr, cached)) == sorted(map(repr, computed))


def _encode_pointers(pointers: Pointers) -> bytes:
    return _further.pack(pointers.further, pointers.identity) + _encode_rows(pointers.rows)


def _decode_pointers(packed: bytes | memoryview) -> Pointers | codec.Miss:
    if len(packed) < _further.size:
        return codec.MISS
    rows = codec.decode_rows(memoryview(packed)[_further.size :])
    return rows if isinstance(rows, codec.Miss) else Pointers(rows, *_further.unpack_from(packed))


def _same_pointers(cached: Pointers, computed: Pointers) -> bool:
    if cached.further != computed.further:
        return False
    # The beginning of a list has other rows where its order is left open.
    return cached.further > 0 or _same_rows(cached.rows, computed.rows)


ROWS: Body[Rows] = Body(_encode_rows, codec.decode_rows, _same_rows, _are_frozen)
POINTERS: Body[Pointers] = Body(_encode_pointers, _decode_pointers, _same_pointers)
VALUE: Body[Any] = Body(codec.encode_value, codec.decode_value, is_frozen=_is_frozen)
