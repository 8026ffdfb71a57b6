"""What a statement does, read off its text: the tables it writes and its part in transaction control.

Every statement that goes through Django's cursor passes here, so a plain ``SELECT`` is settled by one pattern. The rest
is cut into tokens with the quoting and comment rules of its vendor, and only the places where SQL can name a written
table are looked at. That asks less of the text than a full parser does, so it keeps working on placeholders, on
megabytes of values and on syntax newer than this file. What it does not understand, it calls unknown.

Every doubt is resolved towards writing: a table named in vain costs a little speed, one that is missing a stale row.

What the text cannot tell, and the caller must know from elsewhere: rows changed by triggers, by ``ON DELETE`` actions,
behind an updatable view or in the parents and partitions of a table, and by functions called from a ``SELECT``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from everfresh.writing.targets import HOLDS_BODY, WRITERS
from everfresh.writing.tokens import READINGS, Reader, UnclearError

if TYPE_CHECKING:
    from everfresh.writing.tokens import Lexer

__all__ = ["READ", "UNKNOWN", "Control", "Effect", "effect_of"]

# Longer texts are bulk inserts and IN lists, which seldom come twice; keeping them would only hold memory.
_LONGEST_KEPT: Final = 4096


class Control(StrEnum):
    """A statement's part in transaction control. Of several in one text the first in this order is reported."""

    COMMIT = "commit"
    ROLLBACK = "rollback"
    MAY_COMMIT = "may commit"
    """MySQL and Oracle commit the open transaction before most DDL."""
    ROLLBACK_TO = "rollback to"
    ISOLATION = "isolation"
    """The isolation level changes now or for later transactions; the statement may begin one as well."""
    BEGIN = "begin"
    SAVEPOINT = "savepoint"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Effect:
    """What running a text does."""

    tables: frozenset[str] | None = frozenset()
    """Casefolded names without schema or quotes of what is written; ``None``: anything may have been."""
    control: Control | None = None


READ: Final = Effect()
UNKNOWN: Final = Effect(None)


def effect_of(sql: str, vendor: str) -> Effect:
    """
    Tell what *sql* writes and whether it begins or ends a transaction. Never raises.

    Args:
        sql: One or more statements, with or without placeholders of any style.
        vendor: ``connection.vendor``. For vendors whose rules are not known here the answer is always unknown.

    Example:
        >>> effect = effect_of("WITH old AS (DELETE FROM a RETURNING *) INSERT INTO b TABLE old", "postgresql")
        >>> sorted(effect.tables)
        ['a', 'b']
    """
    if ";" not in sql and _leads_with_select(sql) is not None:
        if vendor == "postgresql":  # where SELECT INTO makes a table
            if "into" not in sql.lower():
                return READ
        elif vendor in READINGS:
            return READ
    return _remembered(sql, vendor) if len(sql) <= _LONGEST_KEPT else _effect(sql, vendor)


# A comment is skipped here only if all vendors agree where it ends: PostgreSQL nests them, and there CR ends a line.
_leads_with_select = re.compile(
    r"(?:[\s(]++|--[^\r\n]*+\r?\n|/\*(?![A-Z]?!)(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/)*+SELECT\b", re.ASCII | re.IGNORECASE
).match


# --- Statements ---------------------------------------------------------------------------------------------------

_HARMLESS: Final = frozenset(
    "show pragma values table fetch move close listen notify unlisten lock unlock use describe desc discard checkpoint"
    " reset comment grant revoke analyze vacuum kill attach detach reindex cluster deallocate handler help flush set"
    " optimize check checksum security audit noaudit explain prepare".split()
)
_IMPLICIT_COMMIT: Final = {
    "mysql": frozenset(
        "create alter drop truncate rename grant revoke analyze optimize check repair flush lock unlock reset".split()
    ),
    "oracle": frozenset("create alter drop truncate rename grant revoke comment analyze audit noaudit purge".split()),
}
_NAMES_A_TABLE: Final = frozenset(("insert", "replace", "merge", "update", "delete"))
_RUNNABLE: Final = frozenset(
    "select with insert replace update delete merge values table create refresh execute declare call".split()
)


def _isolates(words: list[str]) -> bool:
    return any(word[0] != "'" and ("isolation" in word or word in ("snapshot", "read_uncommitted")) for word in words)


def _set(reader: Reader) -> Control | None:
    if reader.head == "statement":  # MariaDB: SET STATEMENT max_statement_time=1 FOR DELETE FROM t
        while reader.head and reader.take() != "for":
            pass
        return _run(reader)
    words = reader.rest()
    for at, word in enumerate(words):
        if "autocommit" in word:
            return Control.BEGIN if words[at + 1 :][-1:] in (["0"], ["off"], ["false"]) else Control.COMMIT
    return Control.ISOLATION if _isolates(words) else None


def _explain(verb: str, reader: Reader) -> Control | None:
    """Run the inner statement if the server would: EXPLAIN ANALYZE, and ANALYZE alone on MariaDB."""
    runs = verb == "analyze"
    while reader.head and reader.head not in _RUNNABLE:
        runs |= reader.take() in ("analyze", "analyse")
    if reader.vendor == "oracle":
        reader.names.add("plan_table")
        reader.names_after("into")
    return _run(reader) if runs and reader.head and reader.vendor != "sqlite" else None


def _transact(verb: str, reader: Reader) -> Control | None:
    words = reader.rest()
    second = words[0] if words else ""
    match verb:
        case "begin" | "start":
            # PL/SQL blocks, MariaDB's BEGIN NOT ATOMIC, START REPLICA
            if reader.vendor == "oracle" or second == "not" or (verb == "start" and second != "transaction"):
                raise UnclearError
            return Control.ISOLATION if "isolation" in words else Control.BEGIN
        case "commit" | "end":
            if second == "prepared" or (verb == "end" and reader.vendor in ("mysql", "oracle")):
                raise UnclearError  # a commit of what another connection wrote; the end of a block
            return Control.COMMIT
        case "savepoint":
            return Control.SAVEPOINT
        case "release":
            return Control.RELEASE
        case _:
            if second == "prepared":
                return None
            return Control.ROLLBACK_TO if "to" in words else Control.ROLLBACK


def _prepare(reader: Reader) -> Control | None:
    if reader.head == "transaction":
        return Control.COMMIT  # or not, as another connection will decide; COMMIT PREPARED is unknown then
    while reader.head and reader.take() != "as":
        pass
    return _run(reader) if reader.head else None


def _run(reader: Reader) -> Control | None:
    """Note what the statement under the cursor writes; return its part in transaction control."""
    reader.skip("(")
    verb, second = reader.take(), reader.head
    may_commit = verb in _IMPLICIT_COMMIT.get(reader.vendor, ()) and second not in ("temporary", "session", "system")
    control = Control.MAY_COMMIT if may_commit else None
    if verb in WRITERS and (verb, second) != ("alter", "session"):
        WRITERS[verb](reader)
        if verb in _NAMES_A_TABLE and not reader.names:
            raise UnclearError
    elif verb in ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"):
        control = _transact(verb, reader)
    elif verb == "set":
        control = _set(reader)
    elif verb == "prepare":
        control = _prepare(reader)
    elif verb == "explain" or (verb == "analyze" and reader.vendor == "mysql"):
        control = _explain(verb, reader) or control
    elif verb in ("reset", "discard", "pragma", "alter"):
        isolates = _isolates(reader.rest()) or second == "all"
        control = Control.ISOLATION if isolates else control
    elif verb not in _HARMLESS and not (verb == "declare" and reader.vendor == "postgresql"):
        raise UnclearError
    return control


# --- Texts --------------------------------------------------------------------------------------------------------


def _disputed(sql: str) -> bool:
    """Whether it matters if a backslash escapes the quote behind it."""
    return "\\'" in sql or '\\"' in sql


def _statements(sql: str, lexer: Lexer) -> list[tuple[int, int]]:
    """Return where each statement starts and ends, but for a last one whose quotes or comments do not end."""
    if ";" not in sql and not _disputed(sql):
        return [(0, len(sql))]
    found = []
    start = 0
    while start <= len(sql):
        end = lexer.statement_end(sql, start)
        if end < len(sql) and sql[end] != ";":
            break
        found.append((start, end))
        start = end + 1
    return found


def _has_body(words: list[str], vendor: str) -> bool:
    """Whether CREATE is followed by a body of statements that only END ends."""
    if vendor == "sqlite":
        return "trigger" in words[1:3] and "begin" in words
    routine = "function" in words or "procedure" in words
    return routine and ("begin", "atomic") in pairwise(words)


def _read(sql: str, vendor: str, lexer: Lexer) -> tuple[Effect, bool]:
    """Return the effect of the statements that *lexer* can tell apart, and whether those are the whole text."""
    names: set[str] | None = set()
    controls: set[Control | None] = set()
    in_body = False
    statements = _statements(sql, lexer)
    for start, end in statements:
        reader = Reader(lexer.tokens(sql, start, end), vendor)
        if in_body:
            in_body = reader.head != "end"
            continue
        if not reader.head:
            continue
        try:
            if reader.head == "create" and end < len(sql):
                words = reader.rest()
                reader = Reader(iter(words), vendor)
                in_body = _has_body(words, vendor)
                if vendor in ("mysql", "oracle") and not HOLDS_BODY.isdisjoint(words):
                    raise UnclearError  # where the body ends depends on every block inside
            controls.add(_run(reader))
        except UnclearError:
            names = None
        if names is not None:
            names |= reader.names
    tables = None if names is None or in_body else frozenset(names)
    return Effect(tables, _first(controls)), bool(statements) and statements[-1][1] == len(sql)


def _first(controls: set[Control | None]) -> Control | None:
    return next((control for control in Control if control in controls), None)


def _effect(sql: str, vendor: str) -> Effect:
    readings = READINGS.get(vendor)
    if readings is None:
        return UNKNOWN
    if not _disputed(sql):
        readings = readings[:1]
    outcomes = [_read(sql, vendor, lexer) for lexer in readings]
    # A reading that breaks off is not the server's, or the server refuses the rest. If all do, nothing is known.
    tables: frozenset[str] | None = frozenset() if any(whole for _, whole in outcomes) else None
    for effect, _ in outcomes:
        tables = None if tables is None or effect.tables is None else tables | effect.tables
    return Effect(tables, _first({effect.control for effect, _ in outcomes}))


_remembered = lru_cache(maxsize=512)(_effect)
