"""What a process remembers of a store, bounded by bytes: copies by key, and which of them hang on a name.

Eviction is S3-FIFO: what comes anew waits in a small queue, and only what is asked for there moves to the main one, so
that a scan of what nobody asks for twice goes through a tenth of the memory and pushes nothing out. A hit marks its
copy by one number, without a lock and without moving anything. Of 20,000 keys asked for by Zipf's law, with room for a
tenth, 75 % were hits, and 68 % with scans in between; by a second chance for the oldest, 70 % and 62 %.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from everfresh.stores.base import Held, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_HITS", "Copy", "Kept"]

COPY_BYTES: Final = 700
"""What a copy takes beside its entry and its tags: objects, and places in three dicts. Measured."""

TAG_BYTES: Final = 350
"""What a tag of a copy takes: its name, its version, a place in a dict and in a set. Less when it is shared."""

DECODED: Final = 3
"""How much a decoded answer, which may hang on a copy, is counted for each byte of its entry."""

MOST_HITS: Final = 3
SMALL_SHARE: Final = 10
BURIED_AT_ONCE: Final = 8


class Copy:
    """What a store said of one key and its tags at a moment before *seen*, to hold until *until* (of ``monotonic``)."""

    __slots__ = ("hits", "is_main", "key", "seen", "size", "snapshot", "tags", "until")

    def __init__(self, key: str, tags: tuple[str, ...], snapshot: Snapshot, seen: float, until: float) -> None:
        self.key = key
        self.tags = tags
        self.snapshot = snapshot
        self.seen = seen
        self.until = until
        self.hits = 0
        self.is_main = False
        self.size = COPY_BYTES + TAG_BYTES * len(tags) + (1 + DECODED) * len(snapshot.entry or b"")


class Mark:
    """A tag of copies, and its version, which was seen first at a moment before *seen*."""

    __slots__ = ("copies", "seen", "version")

    def __init__(self) -> None:
        self.copies: set[Copy] = set()
        self.version: bytes | None = None
        self.seen = 0.0


class Kept:
    """Copies of at most *limit_bytes* together. Who changes anything holds a lock; to find needs none."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._copies: dict[str, Copy] = {}
        self._marks: dict[str, Mark] = {}
        # Ordered ones find their first at once; a dict looks through the places of all that it lost in front of it.
        self._small: OrderedDict[Copy, None] = OrderedDict()
        self._main: OrderedDict[Copy, None] = OrderedDict()
        self._ghosts: OrderedDict[str, None] = OrderedDict()
        """Keys that left the small queue unasked; one that comes back was wanted after all."""
        self._dead: deque[Copy] = deque()
        """Not found any more, and still to be taken out of queues and marks. One write may drop all there is, and the
        reader who hears of it shall not wait for that."""
        self._small_bytes = 0
        self._main_bytes = 0
        # The dicts' own, which threads may call while another one changes them.
        self.find = self._copies.get
        """The copy of a key, or None."""
        self.find_mark = self._marks.get
        """A tag that some copy has, or None."""

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def size(self) -> int:
        """Bytes, as counted, the dead included."""
        return self._small_bytes + self._main_bytes

    def put(
        self,
        key: str,
        tags: tuple[str, ...],
        entry: bytes,
        versions: tuple[bytes | None, ...],
        *,
        seen: float,
        until: float,
    ) -> Snapshot | None:
        """Keep a copy, in place of another one of *key*; older ones may have to go. None: it is too large."""
        for _ in range(min(BURIED_AT_ONCE, len(self._dead))):
            self._bury()
        before = self._copies.get(key)
        if before is not None:
            known = before.snapshot
            if before.tags == tags and known.entry == entry and known.versions == versions:
                # The same, and known for longer: what was decoded stays with it.
                before.until = until
                return known
            self.drop((key,), ())
        copy = Copy(key, tags, Snapshot(entry=entry, versions=versions, held=Held()), seen, until)
        if copy.size > self._limit // SMALL_SHARE:
            return None
        if key in self._ghosts:
            copy.is_main = True
            del self._ghosts[key]
        self._enqueue(copy)
        for tag, version in zip(tags, versions, strict=True):
            mark = self._marks.get(tag)
            if mark is None:
                mark = self._marks[tag] = Mark()
            mark.copies.add(copy)
            if mark.version != version:
                # In this order: who finds the version finds its time.
                mark.seen = seen
                mark.version = version
        # Last: from here on it is found.
        self._copies[key] = copy
        while self.size > self._limit:
            self._evict()
        return copy.snapshot

    def drop(self, keys: Iterable[str], tags: Iterable[str]) -> None:
        """Forget the copies of *keys*, and each copy that has one of *tags*."""
        for key in keys:
            if (copy := self._copies.pop(key, None)) is not None:
                self._dead.append(copy)
        for tag in tags:
            if (mark := self._marks.pop(tag, None)) is not None:
                for copy in mark.copies:
                    if self._copies.get(copy.key) is copy:
                        del self._copies[copy.key]
                        self._dead.append(copy)

    def clear(self) -> None:
        """Forget everything."""
        # In place, all of them: `find` is bound to one.
        for each in (self._copies, self._marks, self._small, self._main, self._ghosts, self._dead):
            each.clear()
        self._small_bytes = self._main_bytes = 0

    def _evict(self) -> None:
        if self._dead:
            self._bury()
        elif self._small and (self._small_bytes > self._limit // SMALL_SHARE or not self._main):
            copy = next(iter(self._small))
            if copy.hits:
                self._dequeue(copy)
                copy.hits, copy.is_main = 0, True
                self._enqueue(copy)
                return
            self._ghosts[copy.key] = None
            while len(self._ghosts) > len(self._copies):
                self._ghosts.popitem(last=False)
            self.drop((copy.key,), ())
        else:
            copy = next(iter(self._main))
            if copy.hits:
                copy.hits -= 1
                self._main.move_to_end(copy)
                return
            self.drop((copy.key,), ())

    def _bury(self) -> None:
        copy = self._dead.popleft()
        for tag in copy.tags:
            # A tag may stand there twice, or was dropped and is another's by now.
            if (mark := self._marks.get(tag)) is not None:
                mark.copies.discard(copy)
                if not mark.copies:
                    del self._marks[tag]
        self._dequeue(copy)

    def _enqueue(self, copy: Copy) -> None:
        if copy.is_main:
            self._main[copy] = None
            self._main_bytes += copy.size
        else:
            self._small[copy] = None
            self._small_bytes += copy.size

    def _dequeue(self, copy: Copy) -> None:
        if copy.is_main:
            del self._main[copy]
            self._main_bytes -= copy.size
        else:
            del self._small[copy]
            self._small_bytes -= copy.size
