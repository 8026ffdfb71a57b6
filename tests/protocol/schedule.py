"""Schedules by hand: readers and writers in threads of their own, each advanced from one named point to the next.

An actor stands still at every point until it is told to go on, so a schedule is what the test says and nothing else;
nobody sleeps. The points, each *before* what it names::

    read, begin_fill, fill, drop, release, mark, done    an operation of the shared store
    compute                                              a query of a read through the cache
    commit                                               COMMIT
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

import everfresh
from everfresh.events import Event, Outcome, Read, listening
from everfresh.stores import Fill, GuardedStore, Snapshot, Snapshots, Store, current_store
from everfresh.stores.base import with_held
from everfresh.stores.django import DjangoStore

__all__ = ["Actor", "Schedule", "SteppingStore", "observed", "reach", "truth"]

PATIENCE = 30.0  # seconds until a test that hangs fails; nothing waits for it to pass


class Died(BaseException):
    """The process of an actor is gone."""


class Actor:
    """One thread with its own database connections, which stands at a point or has ended."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.at = "start"
        self.passed: list[str] = []
        self.outcomes: list[Outcome] = []
        self.dead = False
        self.result: Any = None
        self._error: BaseException | None = None
        self._work = work
        self._go = threading.Semaphore(0)
        self._arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._freed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # For the test

    def to(self, point: str) -> Actor:
        """Go on, by one point at least, until it stands at *point*."""
        while True:
            self._advance()
            if self.at == point:
                return self
            if self.at == "end":
                self._raise()
                pytest.fail(f"{self.name} ended before {point}: {' '.join(self.passed)}")

    def next(self) -> str:
        """Go on to the next point, whichever it is."""
        self._advance()
        return self.at

    def finish(self) -> Any:
        """Go on to the end; gives what the work returned, or raises what it raised."""
        self._freed = True
        while self.at != "end":
            self._advance()
        self._thread.join(PATIENCE)
        self._raise()
        return self.result

    def start(self) -> Actor:
        """Go on without stopping and without being waited for, as when it waits for a lock of the database."""
        self._freed = True
        if self.at == "start":
            self._thread.start()
        self._go.release()
        return self

    def wait(self) -> Any:
        """What the work of an actor that was started came to."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self.name} hangs after {' '.join(self.passed)}"
        self._raise()
        return self.result

    def die(self) -> None:
        """Be killed where it stands: nothing more is sent to the store, and what was not committed is rolled back."""
        self.dead = True
        self._freed = True
        while self.at != "end":
            self._advance()
        self._thread.join(PATIENCE)

    def _advance(self) -> None:
        if self.at == "end":
            pytest.fail(f"{self.name} has ended: {' '.join(self.passed)}")
        if self.at == "start":
            self._thread.start()
        else:
            self.passed.append(self.at)
            self._go.release()
        try:
            self.at = self._arrivals.get(timeout=PATIENCE)
        except queue.Empty:
            pytest.fail(f"{self.name} hangs after {' '.join(self.passed)}")

    def _raise(self) -> None:
        if self._error is not None and not self.dead:
            raise self._error

    # For its thread

    def reach(self, point: str) -> None:
        if self.dead:
            raise Died
        if self._freed:
            self.passed.append(point)
            return
        self._arrivals.put(point)
        if not self._go.acquire(timeout=PATIENCE):
            raise Died
        if self.dead:
            raise Died

    def _run(self) -> None:
        _here.actor = self
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - told to the test by `finish`
            self._error = error
        finally:
            _here.actor = None
            with contextlib.suppress(Exception):
                connections.close_all()
                caches.close_all()
            self._arrivals.put("end")


_here = threading.local()


def reach(point: str) -> None:
    """Stop here, if an actor runs this: also for points of a test's own."""
    actor: Actor | None = getattr(_here, "actor", None)
    if actor is not None:
        actor.reach(point)


class SteppingStore:
    """A store that stops the actor before each operation, and remembers every name, to evict what is under it."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.keys: set[str] = set()
        self.tags: set[str] = set()

    @property
    def counts_marks(self) -> bool:
        return self.inner.counts_marks

    @property
    def holds(self) -> bool:
        return self.inner.holds

    def read(self, key: str, tags: Sequence[str]) -> Snapshot:
        self._enter("read", [key], tags)
        return self.inner.read(key, tags)

    def read_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots:
        self._enter("read", keys, tags)
        return self.inner.read_many(keys, tags)

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        self._enter("begin_fill", [key], tags)
        return self.inner.begin_fill(key, tags, lease_seconds)

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        self._enter("fill", [key], ())
        self.inner.fill(key, entry, lease, timeout)

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        self._enter("fill", entries, ())
        self.inner.fill_many(entries, timeout)

    def drop(self, keys: Sequence[str]) -> None:
        self._enter("drop", keys, ())
        self.inner.drop(keys)

    def release(self, key: str, lease: bytes) -> None:
        self._enter("release", [key], ())
        self.inner.release(key, lease)

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        self._enter("mark", [], [*tags, *held])
        self.inner.mark(tags, writer, seconds, held)

    def done(self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None) -> None:
        self._enter("done", [], with_held(tags, held))
        self.inner.done(tags, writer, held)

    def _enter(self, point: str, keys: Iterable[str], tags: Sequence[str]) -> None:
        self.keys |= set(keys)
        self.tags |= set(tags)
        reach(point)

    def evict(self, kind: str) -> None:
        """Lose every ``entry``, ``version``, ``pending`` record or ``lease`` there is, as a full server may."""
        names = self.keys if kind in ("entry", "lease") else self.tags
        if isinstance(self.inner, DjangoStore):
            # A version and a pending record are one item here.
            letter = {"entry": "e", "lease": "l", "version": "t", "pending": "t"}[kind]
            self.inner._cache.delete_many([f"ef:{letter}:{name}" for name in names])
            return
        letter = {"entry": "e", "lease": "l", "version": "t", "pending": "p"}[kind]
        self.inner.store.connections.ask(lambda at: [("DEL", *[f"{at}{letter}{{{name}}}" for name in names or {"-"}])])


class Schedule:
    """The actors of one test."""

    def __init__(self, store: SteppingStore) -> None:
        self.store = store
        self.actors: list[Actor] = []

    @property
    def counts_marks(self) -> bool:
        """Is the store one on which overlapping writers are exact?"""
        return self.store.counts_marks

    def evict(self, kind: str) -> None:
        """See `SteppingStore.evict`."""
        self.store.evict(kind)

    def end_marks(self) -> None:
        """What the end of their lifetime comes to, without waiting for it: no mark and no version is left."""
        self.evict("pending")
        self.evict("version")

    def reader(self, read: Callable[[], Any], name: str = "reader") -> Actor:
        """An actor that reads and stops at ``compute`` too; knows its outcomes."""

        def work() -> Any:
            with _computing(), observed() as outcomes:
                result = read()
            self.actors[at].outcomes = outcomes
            return result

        at = len(self.actors)
        return self.actor(work, name)

    def writer(self, write: Callable[[], Any], name: str = "writer") -> Actor:
        """An actor that writes."""
        return self.actor(write, name)

    def actor(self, work: Callable[[], Any], name: str) -> Actor:
        """An actor that stops at the store's points and at ``commit``."""
        actor = Actor(name, work)
        self.actors.append(actor)
        return actor


@contextlib.contextmanager
def scheduled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedule]:
    """A schedule over the combination's own store and database."""
    guard: GuardedStore = current_store()
    store = SteppingStore(guard.store)
    monkeypatch.setattr(guard, "store", store)
    original = BaseDatabaseWrapper._commit

    def _commit(self: BaseDatabaseWrapper) -> Any:
        if self.connection is not None:
            reach("commit")
        return original(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", _commit)
    schedule = Schedule(store)
    yield schedule
    for actor in schedule.actors:
        if actor.at not in ("start", "end"):
            actor.die()


@contextlib.contextmanager
def _computing() -> Iterator[None]:
    def stop(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if str(sql).lstrip("( ").startswith("SELECT"):
            reach("compute")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(stop):
        yield


@contextlib.contextmanager
def observed() -> Iterator[list[Outcome]]:
    """The outcomes of this thread's reads."""
    outcomes: list[Outcome] = []
    thread = threading.get_ident()

    def note(event: Event) -> None:
        if isinstance(event, Read) and threading.get_ident() == thread:
            outcomes.append(event.outcome)

    with listening(note):
        yield outcomes


def truth(read: Callable[[], Any]) -> Any:
    """What the database says."""
    with everfresh.disabled():
        return read()
