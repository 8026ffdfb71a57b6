"""The store as the rest of the library sees it: it never fails a read, and never forgets an invalidation.

Two concerns in one place, because each needs the other: a *pause* after an error, in which readers go to the database
at once, and the *debts*, invalidations that could not be sent. As long as a tag is in debt, this process does not trust
what the store says about it; and before it trusts a store that came back, it pays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections import defaultdict
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from everfresh.exceptions import InvalidationNotSent, StoreUnreachable
from everfresh.stores.base import Fill, Snapshot, Snapshots, Store, with_held

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

__all__ = ["GuardedStore"]

logger = logging.getLogger("everfresh")

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0
AT_ONCE_SECONDS = 0.05

T = TypeVar("T")
_Seen = TypeVar("_Seen", Snapshot, Snapshots)

Debts = dict[str, set[str]]
"""The writers that could not be sent, by tag."""


class GuardedStore:
    """*store*, with a pause of *pause_seconds* after an error. May be shared by threads, and survives a fork.

    `except Exception` throughout: client libraries have no base class of errors in common, and a programming error
    inside one of them must not fail a request either.
    """

    def __init__(self, store: Store, pause_seconds: float = 1.0) -> None:
        self.store = store
        # Others are not asked for what they do not have: one that is not ours need not know the word.
        self._keeps_copies = hasattr(store, "peek")
        self._peek: Callable[[str, Sequence[str]], Snapshot | None] = getattr(store, "peek", _hold_nothing)
        self._may_await: Callable[[], bool] = getattr(store, "may_await", _never)
        self._aread_many: Callable[..., Awaitable[Snapshots | None]] | None = getattr(store, "aread_many", None)
        self._pause = pause_seconds
        self._failing = False
        self._refusing = False
        self._paused_until = 0.0
        self._kept: Debts = {}
        self._unsent: Debts = {}
        self._under_way: Debts = {}
        self._sender: threading.Thread | None = None
        self._renew_threading()
        _guards.add(self)

    @property
    def counts_marks(self) -> bool:
        """Do marks of overlapping writers of one tag count in the guarded store?"""
        return self.store.counts_marks

    @property
    def holds(self) -> bool:
        """Does a tag that was marked in the place of many get its version back in the guarded store?"""
        # A store of somebody else's may not know the word.
        return bool(getattr(self.store, "holds", False))

    @property
    def unsent(self) -> frozenset[str]:
        """The tags that this process does not trust, because an invalidation of theirs did not get through."""
        with self._debts_lock:
            return frozenset((*self._kept, *self._unsent, *self._under_way))

    def peek(self, key: str, tags: Sequence[str]) -> Snapshot | None:
        """What this process itself holds of *key* and *tags*, where that is what the store would say; without waiting.

        While anything is wrong (the store does not answer, a tag is in debt) nothing is held. A debt that is made in
        between is of a commit that this look came before.
        """
        if self._is_in_doubt():
            return None
        return self._peek(key, tags)

    def peek_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """What this process itself holds of *keys* and *tags*, if all of it held at one moment; as :meth:`peek`."""
        if self._is_in_doubt() or not self._keeps_copies:
            return None
        held: Snapshots | None = self.store.peek_many(keys, tags)  # type: ignore[attr-defined]
        return held

    def may_await(self) -> bool:
        """Can a coroutine look at the store on its loop? Not while anything is wrong: a thread has to put it right."""
        return not self._is_in_doubt() and self._may_await()

    async def aread_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """As :meth:`read_many`, waiting on the running loop; ``None`` where a thread has to ask."""
        if self._is_in_doubt() or self._aread_many is None:
            return None
        try:
            seen = await self._aread_many(keys, tags)
        except Exception as error:  # noqa: BLE001 - see the class
            self._failed(error)
            return None
        # A debt that was made while we asked is of a commit that we may have missed.
        return None if self._is_in_doubt() else seen

    def _is_in_doubt(self) -> bool:
        return bool(self._failing or self._kept or self._unsent or self._under_way)

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags*; nothing is known while the store is down."""
        if near:
            held = self.peek(key, tags)
            if held is not None:
                return held
        nothing = Snapshot(entry=None, versions=(None,) * len(tags))
        if near and self._keeps_copies:
            return self._look(tags, lambda: self.store.read(key, tags, near=True), nothing)
        return self._look(tags, lambda: self.store.read(key, tags), nothing)

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags*; nothing is known while the store is down."""
        nothing = Snapshots(entries=(None,) * len(keys), versions=(None,) * len(tags))
        if near and self._keeps_copies:
            return self._look(tags, lambda: self.store.read_many(keys, tags, near=True, own=own), nothing)
        return self._look(tags, lambda: self.store.read_many(keys, tags), nothing)

    def _look(self, tags: Sequence[str], ask: Callable[[], _Seen], nothing: _Seen) -> _Seen:
        if not self._is_usable():
            return nothing
        doubted = self._doubted(tags)
        try:
            seen = ask()
        except Exception as error:  # noqa: BLE001 - see the class
            self._failed(error)
            return nothing
        self._answered()
        versions = self._without(doubted, tags, seen.versions)
        if versions is seen.versions:
            return seen
        if isinstance(seen, Snapshot):
            # Without what was decoded beside the copy: that was valid by other versions.
            return replace(seen, versions=versions, held=None)
        return replace(seen, versions=versions)

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* and take the lease on *key*; neither while the store is down."""
        nothing = Fill(versions=(None,) * len(tags), lease=None, is_down=True)
        if not self._is_usable():
            return nothing
        doubted = self._doubted(tags)
        try:
            begun = self.store.begin_fill(key, tags, lease_seconds)
        except Exception as error:  # noqa: BLE001 - see the class
            self._refused(error)
            return nothing
        self._answered()
        versions = self._without(doubted, tags, begun.versions)
        return begun if versions is begun.versions else Fill(versions=versions, lease=begun.lease)

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds, if the store takes it."""
        self._store(lambda: self.store.fill(key, entry, lease, timeout))

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds, if the store takes them."""
        self._store(lambda: self.store.fill_many(entries, timeout))

    @property
    def renews(self) -> bool:
        """Can the guarded store change how an entry begins?"""
        return bool(getattr(self.store, "renews", False))

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before* and the store takes it."""
        self._store(lambda: self.store.renew(key, before, after))

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*, if the store can be reached: what stays is judged by its versions."""
        self._store(lambda: self.store.drop(keys))

    def _store(self, change: Callable[[], None]) -> bool:
        if not self._is_usable():
            return False
        try:
            change()
        except Exception as error:  # noqa: BLE001 - see the class
            self._refused(error)
            return False
        self._refusing = False
        self._answered()
        return True

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes. Was it done?"""
        enrolled: list[bool] = []
        return self._store(lambda: enrolled.append(self.store.enroll(members, seconds))) and enrolled[0]

    def enrolled(self, index: str) -> list[str]:
        """The members of *index*.

        Raises:
            StoreUnreachable: If the store cannot tell.
        """
        return self._insist(lambda: self.store.enrolled(index))

    def _insist(self, ask: Callable[[], T]) -> T:
        try:
            answer = ask()
        except Exception as error:
            self._failed(error)
            raise StoreUnreachable(f"The cache store does not answer: {error!r}. Try again when it does.") from error
        self._answered()
        return answer

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back; if that fails, it ends by time."""
        if not self._is_usable():
            return
        try:
            self.store.release(key, lease)
        except Exception as error:  # noqa: BLE001 - see the class
            self._refused(error)
        else:
            self._answered()

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending for *seconds*.

        Tried also during a pause: a failed read must not make the writes of the next second go unannounced.

        Raises:
            InvalidationNotSent: If the store did not take it. Part of it may have arrived, so call :meth:`done` all the
            same.
        """
        try:
            self._mark(tags, writer, seconds, held)
        except Exception as error:
            self._failed(error)
            raise InvalidationNotSent(
                f"The marks of {len(tags) + len(held)} tags could not be sent: {error!r}."
            ) from error
        self._answered()

    def _mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str]) -> None:
        begun = monotonic()
        try:
            self.store.mark(tags, writer, seconds, *([held] if held else ()))
        except Exception:
            # A connection that was cut fails at once, and the next one may be fine. A server that kept us waiting
            # would do so again. Marking twice is marking once.
            if monotonic() - begun > AT_ONCE_SECONDS:
                raise
            self.store.mark(tags, writer, seconds, *([held] if held else ()))

    def keep(self, tags: Iterable[str], writer: str) -> None:
        """Do not trust *tags* from now on: the *writer*'s mark failed, and it goes on nevertheless.

        Ends when a :meth:`done` of the same *writer* for them got through, be it after a rollback. Nothing is sent
        before that: an invalidation before the commit would be forgotten by the time it matters.
        """
        with self._debts_lock:
            _add(self._kept, tags, writer)

    def done(
        self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None, *, wait: bool = True
    ) -> None:
        """End the *writer*'s mark on *tags* and drop their versions: now, or as soon as the store takes it.

        A hold whose end is not taken now becomes a mark: in the end its tag moves.

        Args:
            tags: that were marked.
            writer: whose marks they are.
            held: the tags under each one that was held.
            wait: for the store's answer. Not where it takes what is posted and the mark surely stands: then nobody
                trusts the tags before the end of it has arrived.
        """
        marked, tags = tags, with_held(tags, held)
        if not self._failing:
            posted: dict[str, Any] = {}
            if not (wait or self._kept) and getattr(self.store, "posts", False):
                posted["wait"] = False
            try:
                self.store.done(marked, writer, *([held] if held else ()), **posted)
            except Exception as error:  # noqa: BLE001 - see the class
                self._failed(error)
            else:
                with self._debts_lock:
                    _remove(self._kept, tags, writer)
                return
        # Down: the write is committed and its caller need not wait for a time-out.
        with self._debts_lock:
            _add(self._unsent, tags, writer)
            _remove(self._kept, tags, writer)
            if self._sender is None:
                self._sender = threading.Thread(target=self._send, name="everfresh-unsent", daemon=True)
                self._sender.start()

    def owe(self, tags: Iterable[str]) -> None:
        """Do not trust *tags* before their invalidation is sent: a store that this one replaces could not send it."""
        with self._debts_lock:
            _add(self._unsent, tags, f"heir of {os.getpid()}")

    def retry(self) -> bool:
        """Send what is unsent, once. Returns whether nothing is left; at once if another thread is at it."""
        if not self._retrying.acquire(blocking=False):
            return False
        try:
            with self._debts_lock:
                # Taken out, so that a debt which a writer adds for the same tag while we send the older one is not
                # settled by it.
                self._under_way, self._unsent = self._unsent, {}
            try:
                self._pay()
            finally:
                with self._debts_lock:
                    for tag, writers in self._under_way.items():
                        self._unsent.setdefault(tag, set()).update(writers)
                    self._under_way = {}
            return not self._unsent
        finally:
            self._retrying.release()

    def close(self) -> None:
        """Stop the background thread, try a last time and close connections.

        What is unsent then is left to the ends of its marks, and logged.
        """
        self._stop.set()
        sender = self._sender
        if sender is not None:
            sender.join()
        if self._unsent and not self.retry():
            logger.error("Everfresh ends with %d tags whose invalidation could not be sent.", len(self._unsent))
        if (close := getattr(self.store, "close", None)) is not None:
            close()

    def _pay(self) -> None:
        by_writer: defaultdict[str, list[str]] = defaultdict(list)
        for tag, writers in self._under_way.items():
            for writer in writers:
                by_writer[writer].append(tag)
        try:
            for writer, tags in by_writer.items():
                self.store.done(tags, writer)
                with self._debts_lock:
                    _remove(self._under_way, tags, writer)
        except Exception as error:  # noqa: BLE001 - see the class
            self._failed(error)
        else:
            self._answered()

    def _send(self) -> None:
        """The background thread: lives as long as there are debts."""
        delay = FIRST_DELAY_SECONDS
        while not self._stop.wait(delay):
            self.retry()
            with self._debts_lock:
                # Critical section: whoever adds a debt sees either a thread that will look again, or none and starts
                # one.
                if not self._unsent and not self._under_way:
                    self._sender = None
                    return
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    def _is_usable(self) -> bool:
        if self._failing:
            now = monotonic()
            if now < self._paused_until:
                return False
            # One reader finds out whether the store is back; the others go on without it for another pause, or until it
            # is.
            self._paused_until = now + self._pause
        if self._unsent:
            self.retry()
            return not self._failing
        return True

    def _failed(self, error: Exception) -> None:
        self._paused_until = monotonic() + self._pause
        if not self._failing:
            self._failing = True
            logger.warning("The cache store does not answer; Everfresh does without it: %r", error)

    def _answered(self) -> None:
        if self._failing:
            self._failing = False
            logger.info("The cache store answers again.")

    def _refused(self, error: Exception) -> None:
        """A store that does not take entries may still serve them (one too large, a full server), so there is no pause.

        If it is down, the next read finds out.
        """
        if not self._refusing:
            self._refusing = True
            logger.warning("The cache store does not take an entry: %r", error)

    def _doubted(self, tags: Sequence[str]) -> frozenset[str]:
        if not (self._kept or self._unsent or self._under_way):
            return frozenset()
        return self.unsent.intersection(tags)

    def _without(
        self, doubted: frozenset[str], tags: Sequence[str], versions: tuple[bytes | None, ...]
    ) -> tuple[bytes | None, ...]:
        """The *versions* without those of tags that were in debt before the store was asked, or are now.

        Before: a debt paid while we asked leaves us with the version from before it. Now: one made while we asked is of
        a commit that we may have missed.
        """
        doubted |= self._doubted(tags)
        if not doubted:
            return versions
        return tuple(None if tag in doubted else version for tag, version in zip(tags, versions, strict=True))

    def _renew_threading(self) -> None:
        self._debts_lock = threading.Lock()
        self._retrying = threading.Lock()
        self._stop = threading.Event()
        self._sender = None

    def _after_fork(self) -> None:
        """In the child: locks may be held by threads that do not exist here, and nobody sends.

        All debts become the child's own, sent again before it next uses the store. Those kept for transactions of the
        parent would never be done here; sent early they are harmless, since the parent sends them too, after its
        commit.
        """
        self._renew_threading()
        for debts in (self._kept, self._under_way):
            for tag, writers in debts.items():
                self._unsent.setdefault(tag, set()).update(writers)
        self._kept, self._under_way = {}, {}
        if (after_fork := getattr(self.store, "after_fork", None)) is not None:
            after_fork()


def _never() -> bool:
    """The ``may_await`` of a store whose answers only a thread can wait for."""
    return False


def _hold_nothing(key: str, tags: Sequence[str]) -> None:
    """The ``peek`` of a store without copies."""


def _add(debts: Debts, tags: Iterable[str], writer: str) -> None:
    for tag in tags:
        debts.setdefault(tag, set()).add(writer)


def _remove(debts: Debts, tags: Iterable[str], writer: str) -> None:
    for tag in tags:
        writers = debts.get(tag)
        if writers is not None:
            writers.discard(writer)
            if not writers:
                del debts[tag]


_guards: weakref.WeakSet[GuardedStore] = weakref.WeakSet()


def _after_fork() -> None:
    for guard in list(_guards):
        guard._after_fork()


with contextlib.suppress(AttributeError):  # no fork on Windows
    os.register_at_fork(after_in_child=_after_fork)
