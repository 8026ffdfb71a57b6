"""Rows as bytes: tuples of raw database values, before Django's converters.

Each column has a letter for its type, so that msgspec decodes the rows at once into the right classes; a column that
mixes types, or holds what msgpack would change, is stored value by value as `everfresh.codec.values` does::

    number of columns | a letter per column | msgpack of the rows

Every column may hold None. A letter that said so would give each mix of None in the rows another signature, and each
signature needs a decoder of its own.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, SafeUUID

from msgspec import Meta
from msgspec.msgpack import Decoder

from everfresh.codec.values import MISS, Miss, encode_plain, tag, untag
from everfresh.exceptions import Unencodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_COLUMNS = 0xFFFF
_count = Struct(">H")
_ANY = "g"
_LETTERS: dict[type, str] = {
    int: "i",
    float: "f",
    str: "s",
    bytes: "b",
    bool: "t",
    Decimal: "n",
    date: "d",
    datetime: "m",
    time: "k",
    timedelta: "p",
    UUID: "u",
}
_AWARE = "a"
_COLUMN_TYPES: dict[str, Any] = {
    **{letter: cls | None for cls, letter in _LETTERS.items()},
    "m": Annotated[datetime, Meta(tz=False)] | None,
    _AWARE: Annotated[datetime, Meta(tz=True)] | None,
    "z": None,
    _ANY: Any,
}


def encode_rows(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return the bytes of *rows*, tuples of one length, or raise `Unencodable`."""
    if not {tuple}.issuperset(map(type, rows)):
        message = "rows that are not tuples"
        raise Unencodable(message)
    try:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    except ValueError:
        message = "rows of different lengths"
        raise Unencodable(message) from None
    if len(columns) > _MAX_COLUMNS:
        message = f"rows of {len(columns)} columns; the most is {_MAX_COLUMNS}"
        raise Unencodable(message)
    letters = [_letter(column) for column in columns]
    try:
        return _encode_columns(letters, columns, rows)
    except OverflowError:  # integers of more than 64 bits, in columns not known yet
        letters = [_ANY if letter == "i" else letter for letter in letters]
        return _encode_columns(letters, columns, rows)


def decode_rows(data: bytes | memoryview) -> list[tuple[Any, ...]] | Miss:
    """Return the rows, or `MISS` if these bytes are none."""
    try:
        start = 2 + _count.unpack_from(data)[0]
        letters = bytes(data[2:start])
        rows: list[tuple[Any, ...]] = _rows_decoder(letters).decode(data[start:])
        if b"g" in letters and rows:
            columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
            for index, letter in enumerate(letters):
                if letter == 0x67:
                    columns[index] = map(untag, columns[index])
            rows = list(zip(*columns, strict=True))
    except Exception:  # noqa: BLE001  a reader of foreign bytes has no list of what can go wrong
        return MISS
    return rows


def _letter(column: Sequence[Any]) -> str:
    """Choose how to store a column: by its one type where the decoder gives back exactly that, else value by value."""
    types = set(map(type, column))
    types.discard(type(None))
    if len(types) != 1:
        return _ANY if types else "z"
    letter = _LETTERS.get(types.pop(), _ANY)
    if letter in "mku":
        return _moment_letter(letter, [value for value in column if value is not None])
    return letter


def _moment_letter(letter: str, values: list[Any]) -> str:
    """Look closer where a type has attributes that msgpack would lose: time zones, ``fold``, ``is_safe``."""
    if letter == "u":
        return "u" if {id(value.is_safe) for value in values} == {id(SafeUUID.unknown)} else _ANY
    if any(map(attrgetter("fold"), values)):
        return _ANY
    # By identity: the zone's own comparison proves too little.
    zones = {id(value.tzinfo) for value in values}
    if zones == {id(None)}:
        return letter
    return _AWARE if letter == "m" and zones == {id(UTC)} else _ANY


def _encode_columns(letters: list[str], columns: list[Sequence[Any]], rows: Sequence[tuple[Any, ...]]) -> bytes:
    if _ANY in letters:
        tagged = [
            [tag(value) for value in column] if letter == _ANY else column
            for letter, column in zip(letters, columns, strict=True)
        ]
        rows = list(zip(*tagged, strict=True))
    return _count.pack(len(letters)) + "".join(letters).encode("ascii") + encode_plain(rows)


@lru_cache(maxsize=1024)
def _rows_decoder(letters: bytes) -> Decoder[list[tuple[Any, ...]]]:
    columns = tuple([_COLUMN_TYPES[chr(letter)] for letter in letters])
    return Decoder(list[tuple[columns or ()]])  # type: ignore[misc]
