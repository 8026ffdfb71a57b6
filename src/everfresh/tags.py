"""Tags: the short names of sets of possible row changes (DESIGN section 3).

====================  ===================================================================================
``T!``                writes to table ``T`` whose rows are unknown: raw SQL, TRUNCATE, bulk over the limit
``T*``                every write to ``T``
``T.c=v``             every write to a row whose column ``c`` was or becomes ``v``
``T.(c,d)=(v,w)``     the same for a set of columns
``T+``                insert
``T-``                delete
``T#c``               updates that change column ``c``
a name                whatever people say it stands for, of no table
====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from everfresh.keys import digest, encode

__all__ = ["Kind", "Table", "Tag", "integer_text", "joined", "named", "stem", "value_text"]

LONGEST_IN_CLEAR = 80  # characters of values; with the rest of a key that is well below the 250 Memcached takes


class Kind(Enum):
    """What sort of change moves a tag."""

    EPOCH = "!"
    ANY = "*"
    VALUE = "="
    CREATED = "+"
    DELETED = "-"
    COLUMN = "#"
    NAMED = "name"


class Tag(NamedTuple):
    """One tag. Equal tags have equal names, in every process."""

    database: str
    table: str
    kind: Kind
    columns: tuple[str, ...] = ()
    values: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """A `stem`, and for a value tag ``=`` and its values; the same wherever this tag is computed."""
        first = stem(self.database, self.table, self.kind, self.columns)
        return f"{first}={joined(map(value_text, self.values))}" if self.kind is Kind.VALUE else first

    def __str__(self) -> str:
        if self.kind is Kind.NAMED:
            return self.table
        if self.kind is Kind.COLUMN:
            return f"{self.table}#{self.columns[0]}"
        if self.kind is not Kind.VALUE:
            return f"{self.table}{self.kind.value}"
        if len(self.columns) == 1:
            return f"{self.table}.{self.columns[0]}={self.values[0]!r}"
        return f"{self.table}.({','.join(self.columns)})=({','.join(map(repr, self.values))})"


@lru_cache(maxsize=4096)
def stem(database: str, table: str, kind: Kind, columns: tuple[str, ...] = ()) -> str:
    """22 characters of ``[A-Za-z0-9_-]``: what the names of all tags of one kind on the same columns begin with."""
    return digest(encode((database, table, kind.value, columns)))


# A digest for each row of a large write would take most of its time, so what is short and of safe characters stands in
# clear. Each form begins like no other one and holds no comma.


def integer_text(value: int) -> str:
    """`value_text` of an integer."""
    # Beyond what a column holds, digits may take long, or be refused.
    return str(value) if -(2**63) <= value < 2**63 else _digested(value)


def _moment_text(value: datetime) -> str:
    if value.fold or value.tzinfo not in (None, UTC):
        return _digested(value)
    return f"m{value.isoformat()}"


def _digested(value: object) -> str:
    return f"~{digest(encode(value))}"


_TEXTS: dict[type, Callable[[Any], str]] = {
    int: integer_text,
    bool: lambda value: "T" if value else "F",
    type(None): lambda _none: "N",
    UUID: lambda value: f"u{value.hex}",
    date: lambda value: f"d{value.isoformat()}",
    datetime: _moment_text,
}


def value_text(value: object) -> str:
    """How one canonical value stands in a tag's name: printable ASCII without spaces, commas and braces.

    Raises:
        Unencodable: for values that no tag can have.
    """
    return _TEXTS.get(type(value), _digested)(value)


def joined(texts: Iterable[str]) -> str:
    """How the values of one tag stand in its name, from how each does."""
    text = ",".join(texts)
    return text if len(text) <= LONGEST_IN_CLEAR else f"~~{digest(encode(text))}"


class Table(NamedTuple):
    """A table of a logical database, as the maker of its tags."""

    database: str
    name: str

    @property
    def epoch(self) -> Tag:
        """``T!``."""
        return Tag(self.database, self.name, Kind.EPOCH)

    @property
    def any(self) -> Tag:
        """``T*``."""
        return Tag(self.database, self.name, Kind.ANY)

    @property
    def created(self) -> Tag:
        """``T+``."""
        return Tag(self.database, self.name, Kind.CREATED)

    @property
    def deleted(self) -> Tag:
        """``T-``."""
        return Tag(self.database, self.name, Kind.DELETED)

    def column(self, column: str) -> Tag:
        """``T#c``."""
        return Tag(self.database, self.name, Kind.COLUMN, (column,))

    def value(self, columns: tuple[str, ...], values: tuple[object, ...]) -> Tag:
        """``T.c=v`` or ``T.(c,d)=(v,w)``; *values* are canonical (:mod:`everfresh.tables`)."""
        return Tag(self.database, self.name, Kind.VALUE, columns, values)


def named(name: str) -> Tag:
    """The tag that people call *name*: only they say when it moves."""
    return Tag("", name, Kind.NAMED)
