"""The store on Redis that keeps copies in this process: what is asked of it with ``near`` may come from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everfresh.stores.base import NO_KEY, Snapshot, Snapshots, with_held
from everfresh.stores.copies import Copies
from everfresh.stores.redis import TAGS_PER_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everfresh.stores.base import Fill

__all__ = ["NearStore"]


class NearStore(Copies):
    """A `RedisStore` with copies. What this process itself changes, or tries to change, it forgets at once."""

    @property
    def counts_marks(self) -> bool:
        """Do marks of overlapping writers of one tag count?"""
        return self.store.counts_marks

    @property
    def holds(self) -> bool:
        """Does a tag that was marked in the place of many get its version back?"""
        return self.store.holds

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags*: at the copy, or in one round trip."""
        if not near or key == NO_KEY:
            return self.store.read(key, tags)
        held = self.peek(key, tags)
        if held is not None:
            return held
        look, kept = self._look((key,), tags, (tuple(tags),))
        return Snapshot(entry=look.entries[0], versions=look.versions) if kept is None else kept

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags*: at copies, if there are all, or in one round trip.

        With *own*, the tags of each key (all of which stand in *tags*), a near look leaves copies.
        """
        if not near:
            return self.store.read_many(keys, tags)
        entries, proved = self._held(keys)
        versions = self._versions(tags, proved)
        if versions is None:
            missing = [at for at, entry in enumerate(entries) if entry is None]
            if len(own) != len(keys) or len(missing) > TAGS_PER_SCRIPT:
                return self.store.read_many(keys, tags)
            # Whatever the age of an entry, versions that are the server's at one moment tell whether it holds at that
            # moment. So only those are asked for which are not here.
            look = self._look([keys[at] for at in missing], tags, [own[at] for at in missing])[0]
            versions = look.versions
            for at, entry in zip(missing, look.entries, strict=True):
                entries[at] = entry
        return Snapshots(entries=tuple(entries), versions=versions)

    def may_await(self) -> bool:
        """Can coroutines of the running loop look at the server without a thread?"""
        return self.store.may_await()

    async def aread_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """Look at the server, waiting on the running loop, and leave no copies."""
        return await self.store.aread_many(keys, tags)

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* that are missing, and take the lease on *key*."""
        return self.store.begin_fill(key, tags, lease_seconds)

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds and give the *lease* back."""
        try:
            self.store.fill(key, entry, lease, timeout)
        finally:
            self._forget_own(keys=[key])

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds."""
        try:
            self.store.fill_many(entries, timeout)
        finally:
            self._forget_own(keys=entries)

    @property
    def renews(self) -> bool:
        """Can it change how an entry begins?"""
        return self.store.renews

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before*, which is as long."""
        try:
            self.store.renew(key, before, after)
        finally:
            self._forget_own(keys=[key])

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*."""
        try:
            self.store.drop(keys)
        finally:
            self._forget_own(keys=keys)

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours."""
        self.store.release(key, lease)

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending: no version until :meth:`done` of the same *writer* or for *seconds*."""
        try:
            self.store.mark(tags, writer, seconds, held)
        finally:
            self._forget_own(tags=[*tags, *held])

    @property
    def posts(self) -> bool:
        """Can it send the end of a mark without waiting for the answer?"""
        return self.store.posts

    def done(
        self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None, *, wait: bool = True
    ) -> None:
        """End the *writer*'s marks: drop the versions of *tags*, and those under *held*, which then get theirs back."""
        try:
            self.store.done(tags, writer, held, wait=wait)
        finally:
            self._forget_own(tags=with_held(tags, held))

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes, for *seconds*."""
        return self.store.enroll(members, seconds)

    def enrolled(self, index: str) -> list[str]:
        """The members of *index* whose time is not over."""
        return self.store.enrolled(index)
