"""The near cache under many threads: nobody reads what is older than a commit he knows of."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from everfresh.stores import GuardedStore
from tests.stores.nearby import connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from everfresh.stores import Fill, Snapshot
    from everfresh.stores.near import NearStore
    from everfresh.stores.redis import RedisStore

KEYS = [f"key{number}" for number in range(6)]
READERS, WRITERS, SECONDS = 6, 2, 3.0


class Rows:
    """A database: one number for each key, and what has been committed before anybody asks."""

    def __init__(self) -> None:
        self.numbers = dict.fromkeys(KEYS, 0)
        self.turns = {key: threading.Lock() for key in KEYS}

    def write(self, key: str, store: RedisStore | GuardedStore, writer: str) -> None:
        """Add one, by the protocol."""
        tags = self.tags(key)[1:]
        with self.turns[key]:
            store.mark(tags, writer, 30)
            self.numbers[key] += 1
            store.done(tags, writer)

    def tags(self, key: str) -> tuple[str, ...]:
        """One that nobody moves, and one of the row."""
        return ("all", f"row:{key}")

    def read(self, key: str, store: GuardedStore) -> tuple[int, bool]:
        """The number of *key*, and whether it is a near one."""
        tags = self.tags(key)
        seen: Snapshot | None = store.peek(key, tags)
        is_near = seen is not None
        seen = seen or store.read(key, tags, near=True)
        versions = b"".join(filter(None, seen.versions))
        if seen.entry is not None and len(versions) == 16 and seen.entry[8:] == versions:
            return int.from_bytes(seen.entry[:8]), is_near
        fill: Fill = store.begin_fill(key, tags, 0)
        number = self.numbers[key]
        if None not in fill.versions:
            store.fill(key, number.to_bytes(8) + b"".join(filter(None, fill.versions)), b"", None)
        return number, False


@pytest.mark.parametrize("writes_here", [True, False])
def test_never_older_than_what_is_known(
    opened: Callable[..., NearStore], other: RedisStore, *, writes_here: bool
) -> None:
    """Every number read is at least the one that was committed when the read began, while others write and break in.

    Here and elsewhere: by writers of this process, whose marks drop copies themselves, and by those of another one.
    """
    rows, near = Rows(), connected(opened())
    guard = GuardedStore(near)
    is_over, stale, hits = threading.Event(), [], [0] * READERS

    def read(reader: int) -> None:
        chance = random.Random(reader)
        while not is_over.is_set():
            key = chance.choice(KEYS)
            known = rows.numbers[key]
            number, is_near = rows.read(key, guard)
            hits[reader] += is_near
            if number < known:
                stale.append((key, known, number, is_near))
                is_over.set()

    def write(writer: int) -> None:
        chance = random.Random(-writer)
        while not is_over.wait(chance.random() / 50):
            rows.write(chance.choice(KEYS), guard if writes_here else other, f"writer {writer}")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    threads += [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    is_over.wait(SECONDS)
    is_over.set()
    for thread in threads:
        thread.join()

    assert stale == []
    assert sum(hits) > 100
    assert sum(rows.numbers.values()) > 10
    assert near._asking == 0
