"""SQL whose answer changes without any write: found in the text, where no expression class can hide it."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["volatile_part"]

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
    )\b(?:\s*\(|(?<=_timestamp)|(?<=_date)|(?<=_time)|(?<=_user)|(?<=localtime)|(?<=sysdate))""",
    re.IGNORECASE | re.VERBOSE,
)

_RELATIVE = frozenset({"now", "today", "tomorrow", "yesterday"})
_TAKES_RELATIVE = re.compile(
    r"\b(?:date|time|datetime|strftime|julianday|unixepoch|cast|timestamp\w*)\b|::", re.IGNORECASE
)
_PSEUDO_TIME = re.compile(r"'(?:now|today|tomorrow|yesterday)'", re.IGNORECASE)


def volatile_part(sql: str, params: Iterable[object]) -> str:
    """The first part of *sql* that is not a function of the tables' rows, or ``""``.

    A false alarm only costs a cache; so any function of a suspicious name counts, whoever defined it.
    """
    if literal := _PSEUDO_TIME.search(sql):
        return literal.group()
    text = _QUOTED.sub("''", sql)
    if found := _VOLATILE.search(text):
        return found.group().rstrip("( ").upper()
    if _TAKES_RELATIVE.search(text):
        for param in params:
            if isinstance(param, str) and param.strip().lower() in _RELATIVE:
                return repr(param)
    return ""
