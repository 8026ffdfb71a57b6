"""A store over any of Django's cache backends: memory, files, database, Memcached, or somebody else's.

The API of ``django.core.cache`` has ``add`` but no compare-and-set and no counting that survives eviction, so this is
the protocol with one simplification: a tag holds either a version or *one* pending marker, and the last mark wins. The
window that remains: two writers of one tag overlap, and a reader comes between the commit of one of them and that one's
``done``. Whatever it stores then is dropped by that ``done``, unless the writer dies before it.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from typing import TYPE_CHECKING, Any
from zlib import crc32

from django.utils.connection import ConnectionProxy

from everfresh.exceptions import InvalidationNotSent
from everfresh.stores.base import VERSION_BYTES, Fill, Snapshot, Snapshots, new_versions, with_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django.core.cache.backends.base import BaseCache

__all__ = ["DjangoStore"]

PENDING = b"pending for "  # longer than a version, so that neither can be taken for the other


class DjangoStore:
    """Entries and tags in *cache*, a backend object or a proxy that finds the running thread's own one."""

    counts_marks = False
    holds = False
    renews = False

    def __init__(self, cache: BaseCache | ConnectionProxy[BaseCache]) -> None:
        self._cache: Any = cache

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags* in one ``get_many``."""
        snapshots = self.read_many([key], tags)
        return Snapshot(entry=snapshots.entries[0], versions=snapshots.versions)

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags* in one ``get_many``."""
        found = self._cache.get_many([*map(_entry, keys), *map(_tag, tags)])
        entries = [found.get(_entry(key)) for key in keys]
        return Snapshots(
            entries=tuple(entry if isinstance(entry, bytes) else None for entry in entries),
            versions=tuple(_version(found.get(_tag(tag))) for tag in tags),
        )

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* that are missing, except of pending ones, and take the lease on *key*."""
        names = [_tag(tag) for tag in tags]
        found = self._cache.get_many(names)
        lost = []
        for name, candidate in zip(names, new_versions(len(names)), strict=True):
            if name in found:
                continue
            # `add` and never `set`: between our look and now a writer may have marked the tag, and a version written
            # over its marker would let readers store what that writer is about to change.
            if self._cache.add(name, candidate, None):
                found[name] = candidate
            else:
                lost.append(name)
        if lost:
            # Another reader's version, which we share, or a writer's marker, which reads as None.
            found.update(self._cache.get_many(lost))
        return Fill(versions=tuple(_version(found.get(name)) for name in names), lease=self._lease(key, lease_seconds))

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds, rounded up, and give the *lease* back."""
        self._cache.set(_entry(key), entry, None if timeout is None else _whole(timeout))
        self.release(key, lease)

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds, rounded up."""
        items = {_entry(key): entry for key, entry in entries.items()}
        self._cache.set_many(items, None if timeout is None else _whole(timeout))

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Nothing: no backend can say when an entry ends, and storing it anew would prolong it."""

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*."""
        self._cache.delete_many([_entry(key) for key in keys])

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours.

        A lease that ends between the look and the deletion takes the next reader's with it: one query asked twice.
        """
        if self._cache.get(_lease(key)) == lease:
            self._cache.delete(_lease(key))

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending for *seconds*, rounded up, until anybody's :meth:`done`.

        Raises:
            InvalidationNotSent: If the backend refused a tag, or still shows a version under one.
        """
        names = [_tag(tag) for tag in (*tags, *held)]
        marker = PENDING + writer.encode()
        # One second more than asked, because some backends cut lifetimes to whole seconds of the clock: an item for one
        # second may be gone at once. A mark that ends late costs hits, one that ends early costs the promise.
        failed = self._cache.set_many(dict.fromkeys(names, marker), _whole(seconds) + 1)
        # Not every backend reports what it could not write (the database's swallows its errors), so we look. A marker
        # that is missing altogether was evicted, as it could be at any later time; a version in its place would be
        # trusted.
        left = [name for name, value in self._cache.get_many(names).items() if _version(value) is not None]
        if failed or left:
            raise InvalidationNotSent(
                f"The cache did not take the pending markers of {len({*(failed or ()), *left})} of {len(names)} tags."
            )

    def done(self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None) -> None:
        """Drop whatever *tags* and *held* hold: the writer's marker, another writer's, or a version."""
        self._cache.delete_many([_tag(tag) for tag in with_held(tags, held)])

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes, for *seconds*; not where others keep a part of an index busy for long."""
        deadline = None if seconds is None else time.time() + seconds
        return self._change(members, deadline)

    def enrolled(self, index: str) -> list[str]:
        """The members of *index* whose time is not over."""
        now = time.time()
        return [
            member
            for part in self._cache.get_many(_parts(index)).values()
            for member, deadline in part.items()
            if deadline is None or deadline > now
        ]

    def _change(self, members: Iterable[tuple[str, str]], deadline: float | None) -> bool:
        """Give *members* this *deadline*; one that is over takes them out. Was it done?"""
        by_part: dict[str, list[str]] = {}
        for index, member in members:
            by_part.setdefault(_part(index, member), []).append(member)
        return all(self._change_part(part, dict.fromkeys(each, deadline)) for part, each in by_part.items())

    def _change_part(self, part: str, deadlines: Mapping[str, float | None]) -> bool:
        # No backend changes a part of what it holds, so those who do take turns.
        turn = f"{part}:turn"
        for _ in range(_TURNS):
            if self._cache.add(turn, 1, _TURN_SECONDS):
                break
            time.sleep(_BETWEEN_TURNS_SECONDS)
        else:
            return False
        try:
            now, members = time.time(), self._cache.get(part) or {}
            members.update(deadlines)
            kept = {member: deadline for member, deadline in members.items() if deadline is None or deadline > now}
            self._cache.set(part, kept, None)
        finally:
            self._cache.delete(turn)
        return True

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connection alone, on which each would read the other's replies.

        Not even closed, which some client libraries do by telling the server. The next use makes another object.
        """
        if isinstance(self._cache, ConnectionProxy):
            handler, alias = self._cache._connections, self._cache._alias
            with contextlib.suppress(AttributeError):  # this thread has not used it yet
                _inherited.append(getattr(handler._connections, alias))
                del handler[alias]

    def _lease(self, key: str, seconds: float) -> bytes | None:
        token = secrets.token_bytes(12)
        return token if seconds > 0 and self._cache.add(_lease(key), token, _whole(seconds)) else None


_inherited: list[object] = []
"""Kept alive, for its end might be heard by the server."""


_PARTS = 32
"""Of one index: readers who enroll at a time wait for each other less, and none outgrows what a backend takes."""

_TURNS, _BETWEEN_TURNS_SECONDS, _TURN_SECONDS = 50, 0.01, 5


def _parts(index: str) -> list[str]:
    return [f"ef:i:{index}:{number}" for number in range(_PARTS)]


def _part(index: str, member: str) -> str:
    return f"ef:i:{index}:{crc32(member.encode()) % _PARTS}"


def _entry(key: str) -> str:
    return f"ef:e:{key}"


def _lease(key: str) -> str:
    return f"ef:l:{key}"


def _tag(tag: str) -> str:
    return f"ef:t:{tag}"


def _version(value: object) -> bytes | None:
    """The *value* if it is a version; None for a marker, nothing, or what somebody else put there."""
    return value if isinstance(value, bytes) and len(value) == VERSION_BYTES else None


def _whole(seconds: float) -> int:
    """Whole seconds, rounded up, as Memcached wants them; at least one, because 0 is "for ever" there."""
    return max(1, math.ceil(seconds))
