"""The overlay of a transaction: the contract, and what it shares with the store below."""

from __future__ import annotations

import unittest

import pytest

from everfresh.stores import local
from everfresh.stores.local import LocalStore
from everfresh.testing import StoreContract


class TestLocalContract(StoreContract):
    threads = 1

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(local, "monotonic", lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def make_store(self) -> LocalStore:
        return LocalStore()

    def evict(self, tag: str) -> None:
        self.store.move([tag])  # type: ignore[attr-defined]

    def test_another_object_sees_the_same(self) -> None:
        """A private store has no other."""
        raise unittest.SkipTest("A private store has no other.")


class TestLocalOverAnotherContract(TestLocalContract):
    def make_store(self) -> LocalStore:
        return LocalStore(LocalStore())


@pytest.fixture
def under() -> LocalStore:
    """The store that everybody shares."""
    return LocalStore()


@pytest.fixture
def overlay(under: LocalStore) -> LocalStore:
    """A transaction's own store above it, with one entry."""
    overlay = LocalStore(under)
    overlay.begin_fill("key", ["tag", "other"], 5)
    overlay.fill("key", b"entry", b"", None)
    return overlay


class TestOverlay:
    def test_keeps_to_itself(self, under: LocalStore, overlay: LocalStore) -> None:
        """Nothing that a transaction stores is seen by others, and its lease does not keep them from filling."""
        assert under.read("key", ["tag"]).entry is None
        assert under.begin_fill("key", ["tag"], 5).lease is not None

    def test_own_writes(self, under: LocalStore, overlay: LocalStore) -> None:
        """A write of the transaction moves its tags here, and only here."""
        shared = under.read("key", ["tag"]).versions
        before = overlay.read("key", ["tag", "other"]).versions

        overlay.move(["tag"])

        assert overlay.read("key", ["tag", "other"]).versions == (None, before[1])
        assert overlay.begin_fill("key", ["tag"], 0).versions not in {before[:1], (None,)}
        assert under.read("key", ["tag"]).versions == shared

    def test_commits_of_others(self, under: LocalStore, overlay: LocalStore) -> None:
        """A commit of somebody else moves the tag here, from before that commit on."""
        before = overlay.read("key", ["tag", "other"]).versions

        under.mark(["tag"], "somebody", 5)
        assert overlay.read("key", ["tag", "other"]).versions == (None, before[1])
        assert overlay.begin_fill("key", ["tag"], 0).versions == (None,)
        under.done(["tag"], "somebody")

        assert overlay.begin_fill("key", ["tag"], 0).versions not in {before[:1], (None,)}

    def test_looks_at_many_at_once(
        self, under: LocalStore, overlay: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Many entries are one look at the versions below; what is dropped or stored here is so only here."""
        under.fill_many({"key": b"shared"}, None)
        overlay.fill_many({"second": b"entry"}, None)
        looks: list[str] = []
        read = under.read
        monkeypatch.setattr(under, "read", lambda key, tags: looks.append(key) or read(key, tags))  # type: ignore[func-returns-value]

        seen = overlay.read_many(["key", "second", "third"], ["tag", "other"])
        overlay.drop(["key"])

        assert (b"entry", b"entry", None) == seen.entries
        assert None not in seen.versions
        assert 1 == len(looks)
        assert (None, b"shared") == (overlay.read("key", []).entry, under.read("key", []).entry)
        assert under.read("second", []).entry is None

    def test_clear(self, overlay: LocalStore) -> None:
        """After a rollback nothing is left."""
        overlay.clear()

        snapshot = overlay.read("key", ["tag"])
        assert (snapshot.entry, snapshot.versions) == (None, (None,))

    def test_bounds(self) -> None:
        """Past its limit the oldest entries go, and so do the oldest versions; an entry stored anew is young again."""
        store = LocalStore(limit=2)
        for key in ("one", "two", "one", "three"):
            store.begin_fill(key, [f"{key}:{number}" for number in range(9)], 5)
            store.fill(key, b"entry", b"", None)

        assert [store.read(key, []).entry for key in ("one", "two", "three")] == [b"entry", None, b"entry"]
        assert store.read("", ["one:0"]).versions == (None,)
        assert None not in store.read("", [f"three:{number}" for number in range(9)]).versions
