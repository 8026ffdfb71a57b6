"""Where each kind of statement names the tables it writes.

Every function reads on behind its verb, and notes in the reader the names that the statement may write.
"""

from __future__ import annotations

from typing import Final

from everfresh.writing.tokens import Reader, UnclearError

__all__ = ["HOLDS_BODY", "WRITERS"]

# Before UPDATE these make it a part of another statement: FOR UPDATE, DO UPDATE, ON UPDATE, KEY UPDATE, THEN UPDATE.
_NO_UPDATE: Final = frozenset(("for", "do", "on", "key", "then"))
# After these MySQL may name a table of a multi-table UPDATE or DELETE; the second group may be the name itself.
_BEFORE_TABLE: Final = frozenset(
    ("update", "delete", "low_priority", "ignore", "from", "using", "join", "straight_join", ",", "(", "{")
)
_PERHAPS_TABLE: Final = frozenset(("quick", "lateral", "oj"))
_INTO_WORDS: Final = frozenset(("temp", "temporary", "unlogged", "local", "global", "table"))
_HOLDS_ROWS: Final = frozenset(("table", "tables", "view", "synonym"))
HOLDS_BODY: Final = frozenset(("function", "procedure", "trigger", "event", "package"))
_FILTERS_ROWS: Final = frozenset(("policy", "rule"))


def _joined(reader: Reader, end: str) -> None:
    """Note every table that a MySQL UPDATE or DELETE names before *end*: aliases hide which of them it writes."""
    depth, due = 0, True
    while reader.head and (depth or reader.head != end):
        if due and reader.head in _PERHAPS_TABLE:
            reader.names.add(reader.take())
            reader.skip(".")
        elif due and reader.head not in _BEFORE_TABLE and reader.head != "select" and reader.at_name():
            reader.name()
            due = False
        else:
            word = reader.take()
            depth += (word == "(") - (word == ")")
            due = word in _BEFORE_TABLE


def _into(reader: Reader) -> None:
    if reader.vendor == "postgresql":  # SELECT INTO TEMP TABLE t; any of these may be the table itself
        while reader.head in _INTO_WORDS:
            reader.names.add(reader.take())
    if reader.at_name():
        reader.name()
    elif not reader.names:
        raise UnclearError


def _scan(reader: Reader, end: str = "") -> None:
    """Note the target of every write at any depth before the word *end*: for WITH and for what may hold one."""
    depth, word = 0, ""
    while reader.head and (depth or reader.head != end or word == "as"):
        before, word = word, reader.take()
        depth += (word == "(") - (word == ")")
        if word == "into":
            _into(reader)
        elif word == "update" and before not in _NO_UPDATE:
            if reader.vendor == "mysql" or reader.at_name():
                _update(reader)
        elif word == "delete" and before not in ("on", "for"):
            if reader.vendor == "mysql" or reader.head == "from":
                _delete(reader)
        elif word == "execute" and before == "as":
            raise UnclearError


def _select(reader: Reader) -> None:
    if reader.vendor == "postgresql":  # SELECT INTO makes a table; elsewhere INTO fills variables and files
        _scan(reader)


def _insert(reader: Reader) -> None:
    reader.skip("low_priority", "high_priority", "delayed", "ignore")
    if reader.vendor == "mysql" and reader.head != "into":
        reader.name()
    # Oracle's INSERT ALL goes on after VALUES. Elsewhere nothing behind it writes, and it may be megabytes.
    _scan(reader, "" if reader.vendor == "oracle" else "values")


def _update(reader: Reader) -> None:
    if reader.vendor == "mysql":
        _joined(reader, "set")
        return
    if reader.skip("or"):  # SQLite: UPDATE OR IGNORE t
        reader.take()
    reader.name()


def _delete(reader: Reader) -> None:
    if reader.vendor == "mysql":
        _joined(reader, "where")
        return
    reader.skip("from")
    reader.name()


def _copy(reader: Reader) -> None:
    if reader.head == "(":
        _scan(reader)
        return
    reader.skip("binary")
    reader.name()
    if next((word for word in reader.rest() if word in ("from", "to")), "from") == "to":
        reader.names.clear()


def _load(reader: Reader) -> None:
    while reader.head and reader.take() != "into":
        pass
    if reader.head:
        reader.skip("table")
        reader.name()


def _cascades(words: list[str], vendor: str) -> bool:
    """Whether CASCADE drags along what only the database knows. ON DELETE CASCADE and CASCADE CONSTRAINTS do not."""
    return vendor in ("postgresql", "oracle") and any(
        word == "cascade" and before not in ("delete", "update") and after != "constraints"
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
    )


def _truncate(reader: Reader) -> None:
    if not reader.skip("table") and reader.vendor == "oracle":
        raise UnclearError
    reader.names_listed()
    if _cascades(reader.rest(), reader.vendor):
        raise UnclearError


def _create(reader: Reader) -> None:
    kind = ""
    while reader.head and kind not in _HOLDS_ROWS | HOLDS_BODY | _FILTERS_ROWS | {"schema", "index"}:
        kind = reader.take()
    if kind in _HOLDS_ROWS:
        reader.names_listed()
        _scan(reader)
    elif kind in _FILTERS_ROWS:
        reader.names_after("on", "to")
    elif kind == "schema" and "create" in reader.rest():
        raise UnclearError


def _alter(reader: Reader) -> None:
    if reader.head in ("type", "schema", "database"):  # renames of enum labels and of whole schemas
        raise UnclearError
    kind = ""
    while reader.head and kind not in _HOLDS_ROWS | _FILTERS_ROWS | {"index", "session"}:
        kind = reader.take()
    if kind in _FILTERS_ROWS:
        reader.names_after("on", "to")
    elif kind in _HOLDS_ROWS:
        reader.names_listed()
        words = reader.rest()
        altered = Reader(iter(words), reader.vendor)
        altered.names_after("to", "partition", "inherit", "table", "rename", "as")
        reader.names |= altered.names - {"column", "constraint", "key", "index", "identity"}
        if _cascades(words, reader.vendor):
            raise UnclearError


def _drop(reader: Reader) -> None:
    reader.skip("temporary", "materialized", "foreign", "public")
    kind = reader.take()
    if kind in ("schema", "database", "owned", "tablespace"):
        raise UnclearError
    if kind in _HOLDS_ROWS:
        reader.names_listed()
    elif kind in _FILTERS_ROWS:
        reader.names_after("on")
    if _cascades(reader.rest(), reader.vendor):
        raise UnclearError


def _rename(reader: Reader) -> None:
    if reader.vendor == "mysql":
        reader.take()
        reader.skip("if", "exists")
    reader.name()
    reader.names_after("to", ",")


def _refresh(reader: Reader) -> None:
    reader.skip("materialized", "view", "concurrently")
    reader.name()


WRITERS: Final = {
    "select": _select,
    "with": _scan,
    "insert": _insert,
    "replace": _insert,
    "merge": _insert,
    "update": _update,
    "delete": _delete,
    "copy": _copy,
    "load": _load,
    "truncate": _truncate,
    "create": _create,
    "alter": _alter,
    "drop": _drop,
    "rename": _rename,
    "refresh": _refresh,
}
