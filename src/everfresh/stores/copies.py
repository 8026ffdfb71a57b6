"""Copies in this process of what Redis says, for as long as it says so: the near cache.

A copy is *exactly what the server said of a set of keys* (an entry and its tags), kept *only as long as the server has
not pushed a change of any of them*. So this is no second protocol, and knows nothing of what versions mean: a look at a
copy is a look at the server, at the moment when the reader listened.

The reader listens itself, before each look: the server sends its pushes before it answers whoever made the change, so a
change that anybody knows of has arrived. A thread that listened for all would be late by as long as others keep the
interpreter busy.
"""

from __future__ import annotations

import logging
import secrets
import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from redis.exceptions import ResponseError

from everfresh.stores.base import Snapshot, Snapshots
from everfresh.stores.kept import MOST_HITS, Kept
from everfresh.stores.pushes import Pushes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from everfresh.stores.redis import Look, RedisStore

__all__ = ["Copies"]

logger = logging.getLogger("everfresh")

PAUSE_SECONDS: Final = 1.0
"""Between two tries to open a connection."""

PATIENCE_SECONDS: Final = 5.0
"""For the answer to a ping; a connection that is silent for longer is closed."""

MOST_RECENT: Final = 10_000
"""So many changes are remembered for readers who are under way."""

_ENTRY: Final = ord("e")


class Copies:
    """Of what *store* says, at most *limit_bytes*. May be shared by threads, and survives a fork.

    No copy is looked at unless the server has answered a ping that was sent at most *silence_seconds* before: by so
    much can a copy be old, at most, where a network delivers nothing and does not say so.

    The connection is opened at the first near read, and again after an error, behind the answer from the server.
    """

    def __init__(self, store: RedisStore, *, limit_bytes: int = 64_000_000, silence_seconds: float = 1.0) -> None:
        self.store = store
        self._limit = limit_bytes
        self._silence = silence_seconds
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        """Held by whoever listens, and changes what is kept. Looking at a copy takes no lock."""
        self._opening = threading.Lock()
        self._kept = Kept(self._limit)
        self._find, self._find_mark = self._kept.find, self._kept.find_mark
        self._pushes: Pushes | None = None
        self._ready: Callable[[], object] = _always
        self._is_listening = False
        self._incarnation: str | None = None
        self._letter = 0
        """Where in the server's name of a key stands what kind of key it is."""
        self._open_at = -inf
        self._has_failed = False
        self._calm_until = -inf
        """Before this moment nobody needs to think of pings."""
        self._proved = -inf
        """When the latest ping was sent that was answered: all that changed before it has arrived."""
        self._newest = -inf
        """When the latest copies were read that wait for a proof."""
        self._pinged: float | None = None
        """When the ping was sent that is not answered yet."""
        # What keeps a reader from leaving a copy that is older than a change it did not see: see `_keep`.
        self._clock = 0
        self._recent_keys: dict[str, int] = {}
        self._recent_tags: dict[str, int] = {}
        self._forgotten = 0
        self._asking = 0

    def peek(self, key: str, tags: Sequence[str]) -> Snapshot | None:
        """The copy of what the server says of *key* and *tags* now, if there is one. Never waits for the server."""
        now = monotonic()
        if not self._may_look(now):
            return None
        copy = self._find(key)
        if copy is None or (copy.tags != tags and copy.tags != tuple(tags)) or copy.until <= now:
            return None
        if copy.hits < MOST_HITS:
            copy.hits += 1  # a thread's may be lost, and nothing with it
        return copy.snapshot

    def _may_look(self, now: float) -> bool:
        """Is what is kept what the server says now, as far as one can hear?"""
        # In this order: who finds nothing to take, because another thread has just taken it and did not yet forget what
        # it read there, must see that this one is listening, and wait for it.
        return (
            not (
                self._ready()
                or self._is_listening
                or now >= self._calm_until
                or self._incarnation != self.store.incarnation
            )
        ) or self._listen(now)

    def peek_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """The copies of what the server says of *keys* and *tags*, if there are all, and all held at one moment."""
        entries, moment = self._held(keys)
        versions = self._versions(tags, moment)
        return None if versions is None else Snapshots(entries=tuple(entries), versions=versions)

    def _held(self, keys: Sequence[str]) -> tuple[list[bytes | None], float]:
        """The entries of copies, None where there is none; and the moment at which all of them held, if they did.

        It is the latest at which nothing was under way. A copy that was read since may be of after a change whose push
        has not arrived, on another connection than the answer; beside one from before that change it would show what
        never was.
        """
        now = monotonic()
        if not self._may_look(now):
            return [None] * len(keys), -inf
        moment = proved = self._proved
        entries: list[bytes | None] = []
        for key in keys:
            copy = self._find(key)
            if copy is None or copy.until <= now:
                moment = -inf
                entries.append(None)
                continue
            if copy.seen > proved:
                moment = -inf
            if copy.hits < MOST_HITS:
                copy.hits += 1
            entries.append(copy.snapshot.entry)
        return entries, moment

    def _versions(self, tags: Sequence[str], moment: float) -> tuple[bytes | None, ...] | None:
        """The versions at *moment*, if all are known to have been the same then as they are now."""
        versions = []
        for tag in tags:
            mark = self._find_mark(tag)
            if mark is None or (version := mark.version) is None or mark.seen > moment:
                return None
            versions.append(version)
        return None if moment == -inf else tuple(versions)

    def close(self) -> None:
        """Forget all copies and close the connections."""
        with self._lock:
            self._hang_up()
        self.store.close()

    def after_fork(self) -> None:
        """In a forked child: the connection is the parent's, and so is what comes on it."""
        self._start()
        self.store.after_fork()

    # What the server said, and when it did

    def _look(
        self, keys: Sequence[str], tags: Sequence[str], own: Sequence[tuple[str, ...]]
    ) -> tuple[Look, Snapshot | None]:
        """Look at the server, and keep copies of what did not change since. Also the last that was kept."""
        with self._lock:
            is_open, begun = self._pushes is not None, self._clock
            self._asking += 1
        kept = None
        try:
            asked = monotonic()
            look = self.store.look(keys, tags)
            seen = monotonic()
            with self._lock:
                # Else it was another server that answered.
                if is_open and look.incarnation == self._incarnation:
                    kept = self._keep(keys, tags, own, look, begun, asked, seen)
                    if len(keys) > 1:
                        # Together they are of use only after the next proof: who comes next shall ask for it.
                        self._newest, self._calm_until = seen, -inf
        finally:
            with self._lock:
                self._asking -= 1
                if not self._asking:
                    self._recent_keys.clear()
                    self._recent_tags.clear()
        if not is_open:
            self._open()
        return look, kept

    def _keep(
        self,
        keys: Sequence[str],
        tags: Sequence[str],
        own: Sequence[tuple[str, ...]],
        look: Look,
        begun: int,
        asked: float,
        seen: float,
    ) -> Snapshot | None:
        """Keep what is an answer and did not change since *begun*, as far as is known.

        What changed later will still be heard, by whoever next looks for a copy.
        """
        kept, live = None, dict(zip(tags, look.versions, strict=True))
        for key, names, entry, lifetime in zip(keys, own, look.entries, look.lifetimes, strict=True):
            versions = tuple([live.get(name) for name in names])
            # What is missing or pending is about to change.
            if entry is None or lifetime <= 0 or None in versions:
                continue
            if self._clock == begun or self._is_so(key, names, begun):
                kept = self._kept.put(key, names, entry, versions, seen=seen, until=asked + lifetime)
        return kept

    def _is_so(self, key: str, tags: tuple[str, ...], begun: int) -> bool:
        recent = self._recent_tags
        return (
            begun >= self._forgotten
            and self._recent_keys.get(key, 0) <= begun
            and all(recent.get(tag, 0) <= begun for tag in tags)
        )

    def _forget_own(self, *, keys: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """What this process itself changed, or tried to: it need not wait to be told.

        After it was sent, for a reader may have looked in between; and also when that failed, for it may have arrived.
        """
        # A connection that is opened from here on keeps nothing that was read before it.
        if self._pushes is not None:
            with self._lock:
                self._forget(keys, tags)

    def _forget_pushed(self, names: Sequence[bytes]) -> None:
        at = self._letter
        keys: list[str] = []
        tags: list[str] = []
        for name in names:
            (keys if name[at] == _ENTRY else tags).append(name[at + 2 : -1].decode(errors="replace"))
        self._forget(keys, tags)

    def _forget(self, keys: Iterable[str], tags: Iterable[str]) -> None:
        self._clock += 1
        self._kept.drop(keys, tags)
        if self._asking:
            # A reader under way may have looked before the change, and come back with what was.
            self._recent_keys.update(dict.fromkeys(keys, self._clock))
            self._recent_tags.update(dict.fromkeys(tags, self._clock))
            if len(self._recent_keys) + len(self._recent_tags) > MOST_RECENT:
                self._recent_keys.clear()
                self._recent_tags.clear()
                self._forgotten = self._clock

    def _forget_all(self) -> None:
        self._clock += 1
        self._kept.clear()
        self._recent_keys.clear()
        self._recent_tags.clear()
        self._forgotten = self._clock

    # The connection

    def _listen(self, now: float) -> bool:
        """Take what the server has pushed, and forget what changed. May copies be looked at?"""
        pushes = self._pushes
        if pushes is None:
            return False
        with self._lock:
            if pushes is not self._pushes:
                return False
            self._is_listening = True
            try:
                if pushes.incarnation != self.store.incarnation:
                    raise ConnectionError("Another server has taken its place.")
                told = pushes.take()
                if told.is_all:
                    self._forget_all()
                elif told.names:
                    self._forget_pushed(told.names)
                return self._is_alive(pushes, told.pongs, now)
            except Exception as error:  # noqa: BLE001  whatever came or did not: there is always the server to ask
                logger.info("The near cache begins anew, for its connection was lost: %r", error)
                self._hang_up()
                return False
            except BaseException:
                # KeyboardInterrupt, or a greenlet killed: what was taken may not be forgotten yet.
                self._hang_up()
                raise
            finally:
                self._is_listening = False

    def _is_alive(self, pushes: Pushes, pongs: int, now: float) -> bool:
        """Has all arrived that changed before *now*, less the time of silence? Asks for the next proof in time."""
        if pongs and self._pinged is not None:
            self._proved, self._pinged = self._pinged, None
        if self._pinged is None:
            if now >= self._proved + self._silence / 3 or self._newest > self._proved:
                pushes.ping()
                self._pinged = now
        elif now > self._pinged + PATIENCE_SECONDS:
            raise ConnectionError(f"No answer to a ping of {now - self._pinged:.1f} seconds ago.")
        self._calm_until = self._proved + (self._silence / 3 if self._pinged is None else self._silence)
        return now < self._proved + self._silence

    def _open(self) -> None:
        """Open the connection, if it is time to try, and no other thread does."""
        if monotonic() < self._open_at or not self._opening.acquire(blocking=False):
            return
        pushes = None
        try:
            if self._pushes is not None:
                return
            begun = monotonic()
            self._open_at = begun + PAUSE_SECONDS
            pushes = Pushes(self.store.connections.pool)
            beginning = self.store.beginning(pushes.incarnation)
            pushes.track((f"{beginning}e{{", f"{beginning}t{{"), f"{beginning}near")
            self._prove(pushes, beginning)
            with self._lock:
                self._forget_all()
                self._pushes, self._ready = pushes, pushes.ready
                self._incarnation, self._letter = pushes.incarnation, len(beginning.encode())
                self._proved, self._pinged, self._calm_until = begun, None, begun
            self._has_failed = False
        except Exception as error:  # noqa: BLE001  as above
            if pushes is not None:
                pushes.close()
            self._could_not_open(error)
        finally:
            self._opening.release()

    def _prove(self, pushes: Pushes, beginning: str) -> None:
        """See the server say that a key changed: what stands between us may promise it, and let nothing through."""
        key = f"near:{secrets.token_hex(8)}"
        try:
            self.store.connections.ask(lambda at: [("SET", f"{at}e{{{key}}}", b"", "PX", 1000)])
        except ResponseError as error:
            # A replica, or a server that is full: it may be another one, or have room, the next time.
            raise ConnectionError(f"The server takes no entry: {error!r}") from error
        pushes.wait_for(f"{beginning}e{{{key}}}".encode())

    def _could_not_open(self, error: Exception) -> None:
        if isinstance(error, ResponseError):
            self._open_at = inf
            logger.warning(
                "There is no near cache in this process, for the server refuses what it needs: %r. Every read asks the "
                "server. Use Redis 6 or Valkey, allow this user HELLO and CLIENT TRACKING, or take NEAR out of the "
                "settings.",
                error,
            )
        elif not self._has_failed:
            self._has_failed = True
            logger.warning(
                "The near cache has no connection, and tries again every %g seconds; until then every read asks the "
                "server: %r",
                PAUSE_SECONDS,
                error,
            )

    def _hang_up(self) -> None:
        self._forget_all()
        if self._pushes is not None:
            self._pushes.close()
        self._pushes, self._ready, self._incarnation = None, _always, None
        self._calm_until = -inf


def _always() -> bool:
    return True
