"""SQL whose answer changes without any write: found in the text, where no expression class can hide it."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_relative", "volatile_part"]

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`""")

_VOLATILE = re.compile(
    r"""\b(
        now | current_(?:timestamp|date|time|user|role|schema|setting|database|query) | local(?:time|timestamp)
      | (?:clock|statement|transaction)_timestamp | timeofday | sys(?:date|timestamp) | getdate | unix_timestamp
      | utc_(?:date|time|timestamp) | cur(?:date|time)
      | random | rand | randomblob | random_normal | setseed | dbms_random | django_rand
      | gen_random_uuid | uuid | uuid_short | newid | uuid[47] | uuidv[47] | uuid_generate_\w+
      | sys_guid | gen_random_bytes
      | nextval | currval | lastval | setval | last_insert_id | last_insert_rowid | row_count | found_rows | changes
      | total_changes | connection_id | session_user | inet_client_addr | txid_\w+ | pg_\w+ | sleep | benchmark
    )\b(?:\s*\(|(?<=_timestamp)|(?<=_date)|(?<=_time)|(?<=_user)|(?<=_role)|(?<=localtime)|(?<=localtimestamp)
        |(?<=sysdate))
    | \b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\) | \bstrftime\s*\([^,()]*\)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Functions by name. SQLite's functions of time mean now when they are given no time."""

_RELATIVE = re.compile(r"[\s\d:+./,-]*\b(now|today|tomorrow|yesterday)\b[\s\w:+./,-]{0,40}", re.IGNORECASE)
"""A text that a server may take for a time, as "today 10:00 UTC"."""

_TAKES_RELATIVE = re.compile(
    r"\b(?:date|time|datetime|strftime|julianday|unixepoch|cast|timestamp\w*)\b|::", re.IGNORECASE
)
_PSEUDO_TIME = re.compile(r"'(?:now|today|tomorrow|yesterday)'", re.IGNORECASE)


def is_relative(value: object) -> bool:
    """Is *value* a text that a server may take for a time that passes?"""
    return isinstance(value, str) and _RELATIVE.fullmatch(value) is not None


def volatile_part(sql: str, params: Iterable[object], *, guesses_types: bool = False) -> str:
    """The first part of *sql* that is not a function of the tables' rows, or ``""``.

    A false alarm only costs a cache; so any function of a suspicious name counts, whoever defined it.

    Args:
        sql: compiled.
        params: of it.
        guesses_types: does the server take a text for a time wherever one is compared with it, as PostgreSQL does?
    """
    if literal := _PSEUDO_TIME.search(sql):
        return literal.group()
    text = _QUOTED.sub("''", sql)
    if found := _VOLATILE.search(text):
        return found.group().rstrip("( ").upper()
    takes_relative = _TAKES_RELATIVE.search(text) is not None
    for param in params:
        if not isinstance(param, str):
            continue
        relative = _RELATIVE.fullmatch(param)
        if relative and (takes_relative or (guesses_types and relative.group(1) == param.strip())):
            return repr(param)
    return ""
