"""Round trips to the store and statements to the database, counted where they leave the process."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh.stores import current_store

__all__ = ["Counts", "counting"]

TRIPS = ("read", "read_many", "begin_fill", "fill", "fill_many", "drop", "release", "mark", "done", "enroll", "renew")


class Counts:
    """What a block of work cost."""

    def __init__(self) -> None:
        self.trips: list[str] = []
        self.asked = 0
        self.posted = 0
        """What was sent to Redis without waiting for the answer."""
        self.under_way = 0
        self.on_redis = type(current_store().store).__name__ == "NearStore"
        self.statements: list[str] = []
        self.texts = 0
        """Round trips of cursors to the database: where the driver allows it, one takes several statements."""

    def clear(self) -> None:
        """Begin to count."""
        self.trips.clear()
        self.asked = self.posted = 0
        self.statements.clear()
        self.texts = 0

    def executed(self, text: str) -> None:
        """A cursor was given *text*."""
        self.texts += 1
        self.statements += re.split(r"; (?=SELECT|INSERT|UPDATE|DELETE)", text.strip())

    @property
    def exchanges(self) -> int:
        """Round trips over the network. Only Redis has one for each operation; elsewhere operations are counted."""
        return self.asked if self.on_redis else len(self.trips)

    def waited_for(self, trips: int, *, of: int) -> bool:
        """Were there *trips* that somebody waited for, *of* so many operations? Only what goes to Redis is posted."""
        return (self.exchanges, self.posted) == ((trips, of - trips) if self.on_redis else (of, 0))

    @property
    def verbs(self) -> dict[str, int]:
        """Statements by their first word, without BEGIN and COMMIT, which drivers send in ways of their own."""
        return dict(Counter(text.split()[0] for text in self.statements if text.split()[0] not in ("BEGIN", "COMMIT")))


class _Cursor:
    """A driver's cursor that notes what it executes."""

    def __init__(self, cursor: Any, note: Callable[[Any], None]) -> None:
        self.__dict__.update(_cursor=cursor, _note=note)

    def execute(self, sql: Any, *args: Any) -> Any:
        self._note(sql)
        return self._cursor.execute(sql, *args)

    def executemany(self, sql: Any, *args: Any) -> Any:
        self._note(sql)
        return self._cursor.executemany(sql, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


def counting(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Counts from the store's methods, from Redis's connections and from the database's cursors."""
    counts = Counts()
    store = current_store().store

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(store, name)

        def method(*args: Any, **options: Any) -> Any:
            # DjangoStore.fill() gives the lease back by release(), and its read() is a read_many(): one trip each.
            if not counts.under_way:
                counts.trips.append(name)
            counts.under_way += 1
            try:
                return original(*args, **options)
            finally:
                counts.under_way -= 1

        return method

    for name in TRIPS:
        monkeypatch.setattr(store, name, counted(name), raising=False)
    if counts.on_redis:
        from everfresh.stores import connections

        converse = connections._converse

        def exchange(asked: Any, commands: Sequence[Any]) -> Any:
            counts.asked += 1
            return converse(asked, commands)

        monkeypatch.setattr(connections, "_converse", exchange)
        post = connections.Connections.post

        def posted(self: Any, commands: Any, **options: Any) -> None:
            counts.posted += 1
            post(self, commands, **options)

        monkeypatch.setattr(connections.Connections, "post", posted)
    connection.ensure_connection()
    owner = type(connection._connections[connection._alias])
    create = owner.create_cursor

    def create_cursor(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> Any:
        cursor = create(self, *args, **kwargs)
        return _Cursor(cursor, lambda sql: counts.executed(str(sql)))

    monkeypatch.setattr(owner, "create_cursor", create_cursor)
    return counts
