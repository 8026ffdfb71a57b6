"""The overlay: a store that one transaction keeps to itself and throws away."""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING

from everfresh.stores.base import NO_KEY, Fill, Snapshot, Snapshots, Store, new_versions, with_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["LocalStore"]

TAGS_PER_ENTRY = 10


class LocalStore:
    """A store in a dictionary, for one thread, of at most *limit* entries; the oldest goes first.

    With *under*, the store that is shared with others, the version of a tag is made of the local one and the one there,
    and is known only when both are: entries that live here are dropped by this transaction's own writes (:meth:`move`)
    as well as by other people's commits, and nothing that is read here is ever stored there.
    """

    counts_marks = True
    renews = True
    holds = False

    def __init__(self, under: Store | None = None, limit: int = 1000) -> None:
        self._under = under
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything: the transaction rolled back, in whole or in part."""
        self._entries: dict[str, tuple[bytes, float | None]] = {}
        self._versions: dict[str, bytes] = {}
        self._pending: dict[str, dict[str, float]] = {}
        self._leases: dict[str, tuple[bytes, float]] = {}
        self._indexes: dict[str, dict[str, float | None]] = {}

    def move(self, tags: Iterable[str]) -> None:
        """Drop the local versions of *tags*: the transaction wrote rows of theirs."""
        for tag in tags:
            self._versions.pop(tag, None)

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags*: one round trip of the store below, or none."""
        snapshots = self.read_many([key], tags)
        return Snapshot(entry=snapshots.entries[0], versions=snapshots.versions)

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags*: one round trip of the store below, or none."""
        entries = tuple(map(self._entry, keys))
        local = [self._versions.get(tag) for tag in tags]
        if self._under is None:
            return Snapshots(entries=entries, versions=tuple(local))
        return Snapshots(entries=entries, versions=_blend(local, self._under.read(NO_KEY, tags).versions))

    def _entry(self, key: str) -> bytes | None:
        entry, deadline = self._entries.get(key, (None, None))
        return None if deadline is not None and deadline <= monotonic() else entry

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* that are missing, here and below, and take the lease on *key*, only here."""
        local = []
        for tag, candidate in zip(tags, new_versions(len(tags)), strict=True):
            local.append(None if self._is_pending(tag) else self._versions.setdefault(tag, candidate))
        _shorten(self._versions, self._limit * TAGS_PER_ENTRY)
        lease = self._lease(key, lease_seconds)
        if self._under is None:
            return Fill(versions=tuple(local), lease=lease)
        return Fill(versions=_blend(local, self._under.begin_fill(NO_KEY, tags, 0).versions), lease=lease)

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds, here only, and give the *lease* back."""
        self.fill_many({key: entry}, timeout)
        self.release(key, lease)

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds, here only."""
        deadline = None if timeout is None else monotonic() + timeout
        for key, entry in entries.items():
            self._entries.pop(key, None)  # so that what is new stands last
            self._entries[key] = (entry, deadline)
        _shorten(self._entries, self._limit)

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before*, which is as long."""
        entry, deadline = self._entries.get(key, (b"", None))
        if entry.startswith(before):
            self._entries[key] = (after + entry[len(before) :], deadline)

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*, those that live here."""
        for key in keys:
            self._entries.pop(key, None)

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours."""
        if self._leases.get(key, (None, 0))[0] == lease:
            del self._leases[key]

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending here: no version until :meth:`done` of the same *writer* or for *seconds*."""
        tags = [*tags, *held]
        for tag in tags:
            self._pending.setdefault(tag, {})[writer] = monotonic() + seconds
        self.move(tags)

    def done(self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None) -> None:
        """End the *writer*'s mark on *tags* and *held* and drop their versions here."""
        tags = with_held(tags, held)
        for tag in tags:
            self._pending.get(tag, {}).pop(writer, None)
        self.move(tags)

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes, here only, for *seconds*."""
        deadline = None if seconds is None else monotonic() + seconds
        for index, member in members:
            self._indexes.setdefault(index, {})[member] = deadline
        return True

    def enrolled(self, index: str) -> list[str]:
        """The members of *index*, those that were put in here."""
        now, members = monotonic(), self._indexes.get(index, {})
        return [member for member, deadline in members.items() if deadline is None or deadline > now]

    def _is_pending(self, tag: str) -> bool:
        return any(deadline > monotonic() for deadline in self._pending.get(tag, {}).values())

    def _lease(self, key: str, seconds: float) -> bytes | None:
        held_until = self._leases.get(key, (b"", 0.0))[1]
        if seconds <= 0 or held_until > monotonic():
            return None
        token = secrets.token_bytes(12)
        self._leases[key] = (token, monotonic() + seconds)
        return token


def _blend(local: Sequence[bytes | None], below: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
    """One version out of each two: as long and as random as they are, and another one as soon as either is."""
    return tuple(
        None if one is None or other is None else bytes(a ^ b for a, b in zip(one, other, strict=True))
        for one, other in zip(local, below, strict=True)
    )


def _shorten(mapping: dict[str, bytes] | dict[str, tuple[bytes, float | None]], limit: int) -> None:
    while len(mapping) > limit:
        del mapping[next(iter(mapping))]
