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

from enum import Enum
from typing import NamedTuple

from everfresh.keys import digest, encode

__all__ = ["Kind", "Table", "Tag", "named"]


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
        """22 characters of ``[A-Za-z0-9_-]``, the same wherever this tag is computed."""
        return digest(encode((self.database, self.table, self.kind.value, self.columns, self.values)))

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
