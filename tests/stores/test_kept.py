"""The bounded memory of copies."""

from __future__ import annotations

import random
from math import inf

import pytest

from everfresh.stores.base import Snapshot
from everfresh.stores.kept import BURIED_AT_ONCE, Copy, Kept


def put(
    kept: Kept, key: str, *tags: str, entry: bytes = b"entry", version: bytes = b"version1", until: float = inf
) -> Copy | None:
    """Keep a copy of *key* under *tags*."""
    kept.put(key, tags, entry, (version,) * len(tags), seen=0.0, until=until)
    return kept.find(key)


SIZE = Copy("key", ("tag",), Snapshot(entry=b"entry", versions=(b"version1",)), 0.0, inf).size


def test_dropped_by_key_and_by_tag() -> None:
    """A copy goes with its key, and with any of its tags, and takes nothing else along."""
    kept = Kept(100 * SIZE)
    for key, tags in {"one": ("a", "b"), "two": ("b", "c"), "three": ("c", "c")}.items():
        put(kept, key, *tags)
    kept.drop((), ("a", "unknown"))
    assert [kept.find(key) is not None for key in ("one", "two", "three")] == [False, True, True]

    kept.drop(("two", "unknown"), ())

    assert [kept.find(key) is not None for key in ("one", "two", "three")] == [False, False, True]
    kept.drop((), ("c",))
    assert len(kept) == 0


def test_the_dead_are_buried() -> None:
    """What is dropped leaves nothing behind, though not at once."""
    kept = Kept(1000 * SIZE)
    for number in range(100):
        put(kept, f"key{number}", "all", f"tag{number}")
    kept.drop((), ("all", "tag7"))
    assert len(kept) == 0
    for number in range(2 * 100 // BURIED_AT_ONCE):
        put(kept, "last", "last", version=bytes([number]))
    kept.drop(("last",), ())
    put(kept, "end")

    assert kept.size == Copy("end", (), Snapshot(entry=b"entry", versions=()), 0.0, inf).size
    assert kept.find_mark("tag9") is kept.find_mark("last") is None


def test_a_new_copy_under_a_tag_that_was_dropped() -> None:
    """The burial of what had a tag before leaves the tag to who has it now."""
    kept = Kept(100 * SIZE)
    put(kept, "key", "tag")
    kept.drop((), ("tag",))
    put(kept, "key", "tag", version=b"version2")
    put(kept, "other", "tag", version=b"version2")
    kept.drop(("other",), ())
    put(kept, "third")

    mark = kept.find_mark("tag")
    assert mark is not None
    assert (mark.version, [each.key for each in mark.copies]) == (b"version2", ["key"])
    kept.drop((), ("tag",))
    assert kept.find("key") is None


def test_the_same_again() -> None:
    """A copy that says the same keeps what hangs on the one before; another one takes its place."""
    kept = Kept(100 * SIZE)
    first = put(kept, "key", "tag")
    assert first is put(kept, "key", "tag", until=7.0)
    assert first is not None
    assert first.until == 7.0

    other = put(kept, "key", "tag", entry=b"other")

    assert other is not None
    assert other.snapshot.entry == b"other"
    assert len(kept) == 1


def test_bound() -> None:
    """Whatever is put, found and dropped, no more bytes are counted than the limit, and each copy once."""
    chance, kept = random.Random(6), Kept(50 * SIZE)
    for turn in range(20_000):
        key = f"key{min(int(chance.expovariate(0.02)), 500)}"
        copy = kept.find(key)
        if copy is not None:
            copy.hits = min(3, copy.hits + 1)
        elif chance.random() < 0.95:
            put(kept, key, f"tag{chance.randrange(50)}", entry=b"x" * chance.randrange(100))
        else:
            kept.drop((), (f"tag{chance.randrange(50)}",))
        assert kept.size <= 50 * SIZE, turn
    assert len(kept) > 20
    assert sum(each.size for each in (*kept._small, *kept._main)) == kept.size
    assert {*kept._copies.values(), *kept._dead} == {*kept._small, *kept._main}
    assert len(kept._ghosts) <= len(kept) + 1


def test_scan() -> None:
    """What is asked for again and again outlives a scan of ten times as much."""
    kept = Kept(50 * SIZE)
    for _ in range(3):
        for number in range(10):
            copy = kept.find(f"hot{number}")
            if copy is None:
                put(kept, f"hot{number}", "tag")
            else:
                copy.hits += 1
    for number in range(500):
        put(kept, f"cold{number}", "tag")

    assert all(kept.find(f"hot{number}") is not None for number in range(10))


def test_comes_back() -> None:
    """One that went unasked, and is asked for soon after, is kept for longer."""
    kept = Kept(50 * SIZE)
    for number in range(60):
        put(kept, f"key{number}", "tag")
    assert kept.find("key9") is None
    again = put(kept, "key9", "tag")

    assert again is not None
    assert again.is_main


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_too_large(size: int) -> None:
    """One copy takes no more than the small queue, and one that is larger pushes nothing out."""
    kept = Kept(50 * SIZE)
    put(kept, "key", "tag")
    put(kept, "large", "tag", entry=bytes(size))

    assert kept.find("key") is not None
    assert kept.find("large") is None


def test_clear() -> None:
    """After clear there is nothing, and room for all."""
    kept = Kept(50 * SIZE)
    for number in range(60):
        put(kept, f"key{number}", "tag")
    kept.clear()

    assert (len(kept), kept.size, kept.find("key59"), kept.find_mark("tag")) == (0, 0, None, None)
    put(kept, "key", "tag")
    assert kept.find("key") is not None
