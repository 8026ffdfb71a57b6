"""What a process remembers of a store, bounded by bytes: copies by key, and which of them hang on a name.

Eviction is S3-FIFO: what comes anew waits in a small queue, and only what is asked for there moves to the main one, so
that a scan of what nobody asks for twice goes through a tenth of the memory and pushes nothing out. A hit marks its
copy by one number, without a lock and without moving anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from everfresh.stores.base import Snapshot

__all__ = ["Copy", "Kept"]

COPY_BYTES: Final = 900
"""What a copy takes beside its entry and its tags: objects, places in four dicts, the name of its entry."""

TAG_BYTES: Final = 400
"""What a tag of a copy takes: its name here and on the server, its version, a place in a set."""

DECODED: Final = 3
"""How much a decoded answer, which may hang on a copy, is counted for each byte of its entry."""

MOST_HITS: Final = 3
SMALL_SHARE: Final = 10


class Copy:
    """What a store said of one key and its tags at one moment, until *until* (of ``monotonic``)."""

    __slots__ = ("hits", "is_main", "key", "name", "names", "size", "snapshot", "tags", "until")

    def __init__(
        self, key: str, tags: tuple[str, ...], snapshot: Snapshot, name: bytes, names: tuple[bytes, ...], until: float
    ) -> None:
        self.key = key
        self.tags = tags
        self.snapshot = snapshot
        self.name = name
        """The server's name of the entry."""
        self.names = names
        """The server's names of the tags, in their order."""
        self.until = until
        self.hits = 0
        self.is_main = False
        self.size = COPY_BYTES + TAG_BYTES * len(tags) + (1 + DECODED) * len(snapshot.entry or b"")


class Kept:
    """Copies of at most *limit_bytes* together. Who changes anything holds a lock; ``find`` needs none."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._copies: dict[str, Copy] = {}
        self._by_entry: dict[bytes, Copy] = {}
        self._by_tag: dict[bytes, set[Copy]] = {}
        self._small: dict[str, Copy] = {}
        self._main: dict[str, Copy] = {}
        self._ghosts: dict[str, None] = {}
        """Keys that left the small queue unasked; one that comes back was wanted after all."""
        self._small_bytes = 0
        self._main_bytes = 0
        self.find = self._copies.get
        """The copy of a key, or None: the dict's own, which threads may call while another one changes it."""

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def size(self) -> int:
        """Bytes, as counted."""
        return self._small_bytes + self._main_bytes

    def put(self, copy: Copy) -> None:
        """Keep *copy* in place of the one of the same key, if it is not too large; others may have to go."""
        if (before := self._copies.get(copy.key)) is not None:
            self._remove(before)
        if copy.size > self._limit // SMALL_SHARE:
            return
        copy.is_main = copy.key in self._ghosts
        self._ghosts.pop(copy.key, None)
        self._enqueue(copy)
        self._by_entry[copy.name] = copy
        for name in copy.names:
            self._by_tag.setdefault(name, set()).add(copy)
        # Last: from here on it is found.
        self._copies[copy.key] = copy
        while self.size > self._limit:
            self._evict()

    def drop(self, names: Iterable[bytes]) -> None:
        """Forget each copy that has one of *names*, for its entry or for a tag."""
        for name in names:
            if (copy := self._by_entry.get(name)) is not None:
                self._remove(copy)
            for copy in tuple(self._by_tag.get(name, ())):
                self._remove(copy)

    def clear(self) -> None:
        """Forget everything."""
        # In place, all of them: `find` is bound to one.
        for each in (self._copies, self._by_entry, self._by_tag, self._small, self._main, self._ghosts):
            each.clear()
        self._small_bytes = self._main_bytes = 0

    def _evict(self) -> None:
        if self._small and (self._small_bytes > self._limit // SMALL_SHARE or not self._main):
            copy = next(iter(self._small.values()))
            if copy.hits:
                self._dequeue(copy)
                copy.hits, copy.is_main = 0, True
                self._enqueue(copy)
                return
            self._ghosts[copy.key] = None
            while len(self._ghosts) > len(self._copies):
                del self._ghosts[next(iter(self._ghosts))]
        else:
            copy = next(iter(self._main.values()))
            if copy.hits:
                copy.hits -= 1
                self._main[copy.key] = self._main.pop(copy.key)
                return
        self._remove(copy)

    def _remove(self, copy: Copy) -> None:
        del self._copies[copy.key]
        del self._by_entry[copy.name]
        for name in copy.names:
            if (copies := self._by_tag.get(name)) is not None:
                copies.discard(copy)
                if not copies:
                    del self._by_tag[name]
        self._dequeue(copy)

    def _enqueue(self, copy: Copy) -> None:
        if copy.is_main:
            self._main[copy.key] = copy
            self._main_bytes += copy.size
        else:
            self._small[copy.key] = copy
            self._small_bytes += copy.size

    def _dequeue(self, copy: Copy) -> None:
        if copy.is_main:
            del self._main[copy.key]
            self._main_bytes -= copy.size
        else:
            del self._small[copy.key]
            self._small_bytes -= copy.size
