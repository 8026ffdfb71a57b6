"""The journal: what one database connection has written and not yet committed.

It is the only thing that the read path and the write path share, besides the store. It follows the connection's
transaction: writes are recorded by savepoint, marked before COMMIT and done after it, forgotten on rollback.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh.conf import settings
from everfresh.exceptions import InvalidationNotSent
from everfresh.naming import tag_names
from everfresh.signals import rows_writing, rows_written
from everfresh.stores import LocalStore, current_store
from everfresh.tags import named

__all__ = ["Journal", "has_begun", "is_in_transaction", "journal_of"]

log = logging.getLogger("everfresh")

_ATTRIBUTE = "_everfresh_journal"

HOLD_ABOVE = 100
"""Tags of one table in one transaction above which its epoch is held in their place. A mark and its end cost the server
some 4 us; a hold costs a few for all of them, but while it lasts nothing of that table is read from the cache."""


@dataclass(slots=True)
class _Frame:
    """What was written since one savepoint."""

    savepoint: str | None
    is_transaction: bool = False
    """Did SQLite begin with this savepoint, so that to release it is to commit?"""

    tags: dict[str, str] = field(default_factory=dict)
    """Names, each with that of the tag that may be held in its place, or nothing."""

    rows: dict[str, set[object] | None] = field(default_factory=dict)
    """Primary keys by table, for those who want to know; ``None``: not known."""

    def add(self, other: _Frame) -> None:
        self.tags.update(other.tags)
        for name, keys in other.rows.items():
            self.add_rows(name, keys)

    def add_rows(self, name: str, keys: set[object] | None) -> None:
        known = self.rows.get(name, set())
        self.rows[name] = None if known is None or keys is None else known | keys


class Journal:
    """The uncommitted writes of one connection, and the private answers of its transaction."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        # Weakly: the connection holds the journal, and Django takes care that none leaves cycles behind.
        self._connection: BaseDatabaseWrapper = weakref.proxy(connection)
        self._frames = [_Frame(None)]
        self._overlays: dict[bool, LocalStore] = {}
        self._isolation: str | None = None
        self.own_sql: list[str] = []
        """Statements that compilers have made and that are recorded by their rows; all others need reading."""

        self.ahead: Any = None
        """The `everfresh.writing.preludes.Prelude` of the statement that is under way, if it has one."""

        self.begins_itself = False
        """Is Django saying BEGIN, which is not the user's raw SQL?"""

        self.begun_by_hand = False
        """Was a transaction opened by ``cursor.execute("BEGIN")``, unseen by Django?"""

        self.snapshot_by_hand = False
        """Did raw SQL ask for another isolation level, for this transaction at least?"""

        self._level_by_hand = False
        """Did raw SQL ever do so on this connection, so that what Django knows of it need not be true?"""

        self.write_locked = False
        """Does this transaction already hold SQLite's write lock?"""

    # What is going on

    @property
    def in_transaction(self) -> bool:
        """Would what is written now become visible only at a later COMMIT?"""
        connection = self._connection
        if connection.connection is None:
            return not connection.settings_dict["AUTOCOMMIT"]
        return connection.in_atomic_block or not connection.autocommit or self.begun_by_hand

    @property
    def reads_snapshot(self) -> bool:
        """May this transaction's queries see a state older than the versions a reader takes now?"""
        connection = self._connection
        if connection.vendor == "sqlite" and not self.snapshot_by_hand:
            # With autocommit off, the driver begins before the first write only: until then each query sees the latest.
            return has_begun(connection)
        return self.snapshot_by_hand or self._isolation_level() != "read committed"

    @property
    def answers_are_private(self) -> bool:
        """May this transaction read what nobody else would: what it wrote itself, or what is no longer so?"""
        return self.in_transaction and (self.reads_snapshot or not self.is_empty)

    def isolate_by_hand(self) -> None:
        """Raw SQL is about to set an isolation level, whichever and for how long."""
        self.snapshot_by_hand = self._level_by_hand = True

    def _isolation_level(self) -> str:
        if self._isolation is None:
            self._isolation = _isolation_level(self._connection, ask=self._level_by_hand)
        return self._isolation

    def touches(self, names: Iterable[str]) -> list[bool]:
        """For each tag name: has this transaction written under it?"""
        return [any(name in frame.tags for frame in self._frames) for name in names]

    @property
    def is_empty(self) -> bool:
        """Has this transaction written nothing that is known of?"""
        return not any(frame.tags for frame in self._frames)

    def _written(self) -> dict[str, str]:
        """All tags that this transaction has written under, as frames have them."""
        if len(self._frames) == 1:
            return self._frames[0].tags
        return {name: epoch for frame in self._frames for name, epoch in frame.tags.items()}

    # Writing

    def record(self, names: Iterable[str], epoch: str = "") -> None:
        """Note the tags of a write that is part of a transaction.

        Args:
            names: of the tags that it moves.
            epoch: the name of their table's epoch, when it is none of them.
        """
        tags = dict.fromkeys(names, epoch)
        self._frames[-1].tags.update(tags)
        for overlay in self._overlays.values():
            overlay.move(tags)

    def note_rows(self, name: str, keys: set[object] | None) -> None:
        """Which rows of the table called *name* are being written, by primary key; ``None``: not known."""
        self._frames[-1].add_rows(name, keys)

    @contextmanager
    def writing(self, names: Iterable[str]) -> Iterator[None]:
        """Around a write of known tags: recorded for the transaction's COMMIT, or published, being its own COMMIT."""
        if self.in_transaction:
            self.record(names)
            yield
        else:
            # Taken before, so that a write that fails leaves nothing to be told with the next one.
            told, news = self._told(), self._news()
            with self.publishing(dict.fromkeys([*names, *told], "")):
                yield
            for tell in news:
                tell()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around COMMIT: what was recorded is pending before it and invalid after it.

        Raises:
            InvalidationNotSent: before anything is committed, when the policy is ``"raise"``.
        """
        self.record(self._told())
        with self.publishing(self._written()):
            try:
                yield
            except BaseException:
                # Committed or not: what this transaction has read for itself may be neither.
                self.discard_answers()
                raise
        # Told when Django is back in autocommit, before the user's own hooks.
        hooks: list[Any] = self._connection.run_on_commit
        hooks[:0] = [(set(), tell, True) for tell in self._news()]
        self.forget()

    def _told(self) -> tuple[str, ...]:
        """The names of the tags that those who know the rows have moved along with them."""
        rows = self._rows()
        if not rows or not rows_writing.receivers:
            return ()
        tags: list[str] = []
        # Robust: what they cannot tell shall not keep others from writing.
        for _, given in rows_writing.send_robust(sender=None, using=self._connection.alias, tables=rows):
            if isinstance(given, DatabaseError):
                # After one, some databases take the COMMIT for a rollback, and say nothing.
                raise given
            tags += () if isinstance(given, Exception) else given or ()
        return tag_names(named(tag).name for tag in ("", *tags)) if tags else ()

    def _news(self) -> list[Callable[[], None]]:
        """What tells those who want to know which rows were written; at most one call."""
        rows = self._rows()
        for frame in self._frames:
            frame.rows.clear()
        return [partial(_tell, self._connection.alias, rows)] if rows else []

    def _rows(self) -> dict[str, set[object] | None]:
        whole = _Frame(None)
        for frame in self._frames:
            whole.add(frame)
        return whole.rows

    @contextmanager
    def publishing(self, tags: Mapping[str, str] | None = None) -> Iterator[None]:
        """Around whatever makes a write visible: mark the tags before, say done after, also when it raises.

        Args:
            tags: by name, as frames have them; left out: all that this transaction has written under.
        """
        tags = self._written() if tags is None else tags
        if not tags:
            yield
            return
        store, writer = current_store(), token_hex(8)
        names, held = _to_mark(tags) if store.holds else (list(tags), {})
        lasts = settings().limits.mark_seconds
        # After half of its time a mark may be over, by clocks that run differently, before its end has arrived.
        stands_until = monotonic() + lasts / 2
        try:
            store.mark(names, writer, lasts, list(held))
        except InvalidationNotSent:
            if settings().on_mark_failure == "raise":
                # Part of it may have arrived, and nothing will be written under it.
                store.done(names, writer, held)
                raise
            # The write goes on. Until the store has heard of it, this process trusts none of these tags.
            store.keep([*tags, *held], writer)
        try:
            yield
        finally:
            # A COMMIT that raised may have happened all the same: its outcome is unknown, so it counts as done.
            store.done(names, writer, held, wait=monotonic() > stands_until)

    # Following the transaction

    def savepoint(self, savepoint: str, *, is_transaction: bool = False) -> None:
        """A savepoint was made, in a transaction or as one."""
        self._frames.append(_Frame(savepoint, is_transaction))

    def commits(self, savepoint: str) -> bool:
        """Is to release this savepoint to commit?"""
        depth = self._depth(savepoint)
        return depth is not None and self._frames[depth].is_transaction

    def release(self, savepoint: str) -> None:
        """A savepoint was released: what was written since belongs to the one around it."""
        if (depth := self._depth(savepoint)) is not None:
            for frame in self._frames[depth:]:
                self._frames[depth - 1].add(frame)
            del self._frames[depth:]

    def rollback_to(self, savepoint: str) -> None:
        """What was written since a savepoint never happened.

        Neither was what this transaction has read since: the cursor, which the statement passes through, sees to that.
        """
        if (depth := self._depth(savepoint)) is not None:
            # The savepoint itself stays, until it is released.
            del self._frames[depth + 1 :]
            self._frames[depth] = _Frame(savepoint, self._frames[depth].is_transaction)

    def discard_answers(self) -> None:
        """What was read after an own write is no longer so; what was written is not said to be undone."""
        self._overlays.clear()
        self.write_locked = False

    def _depth(self, savepoint: str) -> int | None:
        for depth in range(len(self._frames) - 1, 0, -1):
            if self._frames[depth].savepoint == savepoint:
                return depth
        return None

    def forget(self) -> None:
        """The transaction is over, one way or the other."""
        self._frames = [_Frame(None)]
        self._overlays.clear()
        if self.snapshot_by_hand:
            # What was set by hand may outlive the transaction: ask again.
            self._isolation = None
        self.begun_by_hand = self.snapshot_by_hand = self.write_locked = False

    def connected(self) -> None:
        """There is a new connection, and whatever SQL set it up was Django's or the project's own way to do so."""
        self._isolation = None
        self.snapshot_by_hand = self._level_by_hand = False

    def reconnected(self) -> None:
        """The connection was closed: what it had not committed is gone, and the next one may be set up otherwise."""
        self.forget()
        self.connected()

    # Reading

    def overlay(self) -> LocalStore:
        """The store private to this transaction.

        In a snapshot nothing changes but by this transaction's own hand. Under READ COMMITTED other writers'
        commits show as well, so there an answer also depends on the versions of the shared store.
        """
        alone = self.reads_snapshot
        if alone not in self._overlays:
            self._overlays[alone] = LocalStore(under=None if alone else current_store())
        return self._overlays[alone]


def _to_mark(tags: Mapping[str, str]) -> tuple[list[str], dict[str, list[str]]]:
    """The tags to be marked one by one, and those under the epoch that is held in their place."""
    if len(tags) <= HOLD_ABOVE:
        return list(tags), {}
    under: dict[str, list[str]] = {epoch: [] for epoch in tags.values()}
    for name, epoch in tags.items():
        under[epoch].append(name)
    # An epoch that moves itself is marked, and whatever is under it need not be kept.
    held = {epoch: names for epoch, names in under.items() if epoch and epoch not in tags and len(names) > HOLD_ABOVE}
    return [name for epoch, names in under.items() if epoch not in held for name in names], held


def _tell(using: str, tables: dict[str, set[object] | None]) -> None:
    # Robust: what is committed is committed. Django logs what a receiver raises.
    rows_written.send_robust(sender=None, using=using, tables=tables)


def _isolation_level(connection: BaseDatabaseWrapper, *, ask: bool) -> str:
    """The level of this connection's transactions, lower case; anything but "read committed" is a snapshot."""
    if connection.vendor == "postgresql":
        question = "SELECT current_setting('transaction_isolation')"
    elif connection.vendor == "mysql":
        # Django sets what its OPTIONS say, by default READ COMMITTED, on every connection.
        if not ask and (level := getattr(connection, "isolation_level", None)):
            return str(level)
        question = "SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')"
    else:
        # SQLite reads a snapshot; of others we know nothing, and a snapshot is the careful guess.
        return "snapshot"
    # Past Django's cursor: the question is ours, and belongs in nobody's query log.
    with connection.wrap_database_errors:
        connection.ensure_connection()
        with connection.connection.cursor() as cursor:
            cursor.execute(question)
            level = cursor.fetchone()[-1]
    return str(level).lower().replace("-", " ")


def has_begun(connection: BaseDatabaseWrapper) -> bool:
    """Is a transaction open in SQLite itself, whatever Django thinks?"""
    driver: Any = connection.connection
    return driver is not None and not connection.closed_in_transaction and bool(driver.in_transaction)


def journal_of(connection: BaseDatabaseWrapper) -> Journal:
    """The journal of *connection*. It lives on the connection: whatever thread or task uses that, uses this."""
    journal: Journal | None = connection.__dict__.get(_ATTRIBUTE)
    if journal is None:
        journal = connection.__dict__[_ATTRIBUTE] = Journal(connection)
        place = id(journal)
        _journals[place] = weakref.ref(journal, lambda _: _journals.pop(place, None))
    return journal


_journals: dict[int, weakref.ref[Journal]] = {}
"""Of all threads, by id."""


def is_in_transaction(alias: str | None = None) -> bool:
    """Is a transaction open on any connection of *alias*, or of all, whatever thread of this process it is in?

    A coroutine cannot know in which thread its queries would run, or what has been begun there.
    """
    for known in list(_journals.values()):
        journal = known()
        if journal is not None:
            try:
                if alias in (None, journal._connection.alias) and journal.in_transaction:
                    return True
            except ReferenceError:
                # The connection is gone.
                continue
    return False
