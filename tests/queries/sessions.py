"""Database connections that act when they are told to: one on this thread, one on a thread of its own.

Each order runs whole before the next is given, so nothing interleaves but transactions. No connection waits for
another's locks: a write that would have to is refused, as one that breaks a constraint is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import DatabaseError, connection, connections, transaction

import everfresh
from everfresh.events import Event, Outcome, Read, listening
from tests.queries.answers import IMPOSSIBLE, answer
from tests.queries.strategies import Asked
from tests.queries.world import do

__all__ = ["Session", "Tally", "Wrong", "two_sessions"]

PATIENCE = 60.0  # seconds until an order that hangs fails

T = TypeVar("T")
Run = Callable[[Callable[[], Any]], Any]

_NO_WAITING = {
    "sqlite": "PRAGMA busy_timeout = 0",
    "postgresql": "SET lock_timeout = '20ms'",
    "mysql": "SET innodb_lock_wait_timeout = 0",
}
_SNAPSHOT: dict[str, Any] = {"postgresql": 3, "mysql": "repeatable read"}
"""REPEATABLE READ, in the driver's words; SQLite has nothing else."""


class Wrong(AssertionError):
    """A cached answer that is not the database's."""


@dataclass
class Tally:
    """What a run came to."""

    examples: int = 0
    steps: int = 0
    writes: int = 0
    refused: int = 0
    commits: int = 0
    rollbacks: int = 0
    compared: int = 0
    inside: int = 0
    """Answers compared in an open transaction."""

    overlapping: int = 0
    """Answers compared while both connections had a transaction open."""

    hooks: int = 0
    """Commits at whose end, in a hook, everything was compared."""

    reads: int = 0
    """Reads that went through the cache."""

    hits: int = 0

    @property
    def share(self) -> float:
        """Hits among the reads."""
        return self.hits / max(self.reads, 1)

    def note(self, event: Event) -> None:
        """Count a read's outcome."""
        if isinstance(event, Read):
            self.reads += 1
            self.hits += event.outcome is Outcome.HIT


class _Impossible(Exception):
    """The database itself cannot answer."""


class _Undo(Exception):
    """Leave an ``atomic()`` block without its writes."""


class Session:
    """One connection, and what is open on it, outermost first."""

    def __init__(self, name: str, run: Run, tally: Tally) -> None:
        self.name = name
        self._run = run
        self.tally = tally
        self._open: list[tuple[str, Any]] = []

    def __repr__(self) -> str:
        return self.name

    @property
    def depth(self) -> int:
        """How many blocks and savepoints are open."""
        return len(self._open)

    @property
    def innermost(self) -> str:
        """``atomic``, ``joined``, ``savepoint`` or ``manual``; empty outside of transactions."""
        return self._open[-1][0] if self._open else ""

    def connect(self, *, snapshot: bool) -> None:
        """Open its connection anew, as one that does not wait; its transactions see one *snapshot*, or not."""

        def work() -> None:
            connection.close()
            given = connections.settings["default"]
            level = _SNAPSHOT.get(connection.vendor) if snapshot else None
            # Aliases share their settings among threads: another level is for a dictionary of this connection's own.
            own = {**given, "OPTIONS": {**given["OPTIONS"], "isolation_level": level}}
            connection.settings_dict = own if level else given
            connection.ensure_connection()
            with closing(connection.create_cursor()) as cursor:
                cursor.execute(_NO_WAITING[connection.vendor])

        self._run(work)

    # Transactions

    def begin(self, kind: str) -> None:
        """Open a block of that kind in what is open."""

        def work() -> Any:
            match kind:
                case "manual":
                    return transaction.set_autocommit(False)
                case "savepoint":
                    return connection.savepoint()
                case _:
                    block = transaction.atomic(savepoint=kind == "atomic")
                    block.__enter__()
                    return block

        self._open.append((kind, self._run(work)))

    def end(self, *, keep: bool) -> None:
        """Close the innermost; *keep* what was written in it, or not."""
        kind, held = self._open.pop()

        def work() -> None:
            match kind:
                case "manual":
                    (transaction.commit if keep else transaction.rollback)()
                    transaction.set_autocommit(True)
                case "savepoint":
                    (connection.savepoint_commit if keep else connection.savepoint_rollback)(held)
                case _ if keep:
                    held.__exit__(None, None, None)
                case _:
                    held.__exit__(_Undo, _Undo(), None)

        if self._open:
            self.tally.rollbacks += not keep
        else:
            self.tally.commits += keep
        try:
            self._run(work)
        except DatabaseError:
            # A deferred constraint, or a block whose inner one was left with an error: Django has rolled it back.
            if kind == "manual":
                self._run(_leave_manual)
        if self._run(lambda: connection.needs_rollback):
            self.abort()

    def turn_back(self) -> None:
        """Undo what was written since the innermost savepoint, or the last commit by hand, and leave it open."""
        kind, held = self._open[-1]
        undo = transaction.rollback if kind == "manual" else lambda: connection.savepoint_rollback(held)
        self.tally.rollbacks += 1
        self._run(undo)

    def commit_midway(self) -> None:
        """``transaction.commit()`` in a transaction by hand, which the next statement begins anew."""

        def work() -> None:
            try:
                transaction.commit()
            except DatabaseError:
                transaction.rollback()

        self.tally.commits += 1
        self._run(work)

    def abort(self) -> None:
        """Leave everything that is open, without its writes."""
        opened, self._open = self._open, []

        def work() -> None:
            for kind, held in reversed(opened):
                if kind == "manual":
                    _leave_manual()
                elif kind != "savepoint":
                    held.__exit__(_Undo, _Undo(), None)

        self._run(work)

    # Reading and writing

    def write(self, code: str, *, guarded: bool) -> bool:
        """Run a write; one that is refused is undone: alone if *guarded* by a savepoint, else with its transaction."""
        self.tally.writes += 1
        done: bool = self._run(lambda: do(code, guarded=guarded))
        if not done:
            self.tally.refused += 1
            if not guarded or self._run(lambda: connection.needs_rollback):
                self.abort()
        return done

    def is_possible(self, read: Asked) -> bool:
        """Can the database answer this?"""

        def work() -> bool:
            inside = connection.in_atomic_block or not connection.get_autocommit()
            try:
                with everfresh.disabled(), transaction.atomic() if inside else nullcontext():
                    answer(read, cached=False)
            except IMPOSSIBLE:
                return False
            return True

        return bool(self._run(work))

    def check(self, reads: list[Asked], *, overlapping: bool) -> list[Asked]:
        """Each cached answer is the one the database gives this connection now.

        Gives the reads that have become impossible, as those of a number that is too large by now.
        """
        impossible = []
        for read in reads:
            try:
                self._run(lambda read=read: self._compare(read))
            except _Impossible:
                impossible.append(read)
                self.abort()
            else:
                self.tally.inside += bool(self._open)
                self.tally.overlapping += overlapping
        return impossible

    def check_at_commit(self, reads: list[Asked]) -> None:
        """The same, in a hook that runs at the end of the COMMIT, if it comes to that."""

        def hook() -> None:
            self.tally.hooks += 1
            for read in reads:
                with suppress(_Impossible):
                    self._compare(read)

        self._run(lambda: transaction.on_commit(hook))

    def _compare(self, read: Asked) -> None:
        with everfresh.disabled():
            try:
                truth = answer(read, cached=False)
            except IMPOSSIBLE as error:
                raise _Impossible from error
        with listening(self.tally.note):
            found = answer(read, cached=True)
        self.tally.compared += 1
        if found != truth:
            raise Wrong(f"{self.name} was given, for {read}:\n  {found}\nwhere the database says:\n  {truth}")


def _leave_manual() -> None:
    transaction.rollback()
    transaction.set_autocommit(True)


@contextmanager
def two_sessions(tally: Tally) -> Iterator[tuple[Session, Session]]:
    """``here``, on this thread, and ``there``, on another."""
    with ThreadPoolExecutor(1) as pool:

        def elsewhere(work: Callable[[], T]) -> T:
            return pool.submit(work).result(PATIENCE)

        def close() -> None:
            connections.close_all()
            caches.close_all()

        here, there = Session("here", lambda work: work(), tally), Session("there", elsewhere, tally)
        here.connect(snapshot=False)
        try:
            yield here, there
        finally:
            elsewhere(close)
            # Other tests' writes may wait.
            connection.close()
