"""The guard: a store that fails costs hits, never an answer and never an invalidation."""

from __future__ import annotations

import gc
import logging
import os
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from everfresh.exceptions import InvalidationNotSent
from everfresh.stores import guard as guarding
from everfresh.stores.guard import GuardedStore
from everfresh.stores.local import LocalStore
from everfresh.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from everfresh.stores.base import Fill, Snapshot, Snapshots


class Flaky(LocalStore):
    """A store that can be down, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.asked: list[str] = []

    def ask(self, operation: str) -> None:
        """Note the *operation*, and fail it while down."""
        self.asked.append(operation)
        if self.down:
            raise OSError("nobody there")

    def read(self, key: str, tags: Sequence[str]) -> Snapshot:
        self.ask("read")
        return super().read(key, tags)

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        self.ask("begin_fill")
        return super().begin_fill(key, tags, lease_seconds)

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        self.ask("fill")
        super().fill(key, entry, lease, timeout)

    def release(self, key: str, lease: bytes) -> None:
        self.ask("release")
        super().release(key, lease)

    def mark(self, tags: Sequence[str], writer: str, seconds: float) -> None:
        self.ask("mark")
        super().mark(tags, writer, seconds)

    def done(self, tags: Sequence[str], writer: str) -> None:
        self.ask(f"done {writer} {' '.join(sorted(tags))}")
        super().done(tags, writer)


class TestGuardedContract(StoreContract):
    """A guard before a healthy store is not noticed."""

    threads = 1

    def make_store(self) -> GuardedStore:
        self.inner = getattr(self, "inner", None) or LocalStore()
        return GuardedStore(self.inner)

    def evict(self, tag: str) -> None:
        self.inner.move([tag])


class FlakyMany(LocalStore):
    """A store whose operations on many entries can be down."""

    down = True

    def ask(self) -> None:
        """Fail while down."""
        if self.down:
            raise OSError("nobody there")

    def read_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots:
        self.ask()
        return super().read_many(keys, tags)

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        self.ask()
        super().fill_many(entries, timeout)

    def drop(self, keys: Sequence[str]) -> None:
        self.ask()
        super().drop(keys)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The guard's clock: a list of one number."""
    now = [1000.0]
    monkeypatch.setattr(guarding, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def inner(now: list[float]) -> Flaky:
    """The store behind the guard."""
    return Flaky()


@pytest.fixture
def store(inner: Flaky, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedStore]:
    """The guard, with a pause of one second, and a thread that waits for ever before it tries again."""
    monkeypatch.setattr(guarding, "FIRST_DELAY_SECONDS", 1e6)
    store = GuardedStore(inner, pause_seconds=1)
    yield store
    inner.down = False
    store.close()


def nothing_known(store: GuardedStore) -> bool:
    """Does a read show neither entry nor version?"""
    snapshot = store.read("key", ["tag"])
    return (snapshot.entry, snapshot.versions) == (None, (None,))


class TestReaders:
    def test_nothing_is_known_while_the_store_is_down(self, store: GuardedStore, inner: Flaky) -> None:
        """No operation of a reader raises, and each says that nothing is known."""
        inner.down = True

        fill = store.begin_fill("key", ["tag", "other"], 5)
        assert (fill.versions, fill.lease) == ((None, None), None)
        store.fill("key", b"entry", b"lease", None)
        store.release("key", b"lease")
        assert nothing_known(store)
        assert inner.asked == ["begin_fill", "fill", "release", "read"]

    def test_nothing_is_known_of_many(self, now: list[float]) -> None:
        """The same for operations on many entries, and what was stored is served again afterwards."""
        inner = FlakyMany()
        store = GuardedStore(inner, pause_seconds=1)
        store.fill_many({"key": b"entry"}, None)
        store.drop(["key"])
        seen = store.read_many(["key", "other"], ["tag"])
        assert (seen.entries, seen.versions) == ((None, None), (None,))

        inner.down = False
        now[0] += 1.1
        store.fill_many({"key": b"entry"}, None)
        assert store.read_many(["key", "other"], []).entries == (b"entry", None)

    def test_doubted_tags_of_many(self, store: GuardedStore) -> None:
        """A tag whose invalidation did not get through has no version in a look at many entries either."""
        store.begin_fill("key", ["tag", "other"], 0)
        store.fill_many({"key": b"entry"}, None)
        store.keep(["tag"], "writer")

        seen = store.read_many(["key"], ["tag", "other"])

        assert seen.entries == (b"entry",)
        assert [version is None for version in seen.versions] == [True, False]

    def test_pause(self, store: GuardedStore, inner: Flaky, now: list[float]) -> None:
        """After a failed read the store is left alone for the pause, then asked by one reader, then used by all."""
        inner.down = True
        for _ in range(3):
            assert nothing_known(store)
            store.begin_fill("key", ["tag"], 5)
            store.fill("key", b"entry", b"lease", None)
            store.release("key", b"lease")
        assert inner.asked == ["read"]

        now[0] += 1.1
        assert nothing_known(store)
        assert nothing_known(store)
        assert inner.asked == ["read", "read"]

        inner.down = False
        now[0] += 1.1
        assert store.begin_fill("key", ["tag"], 5).lease is not None
        assert store.read("key", ["tag"]).versions != (None,)
        assert store.read("key", ["tag"]).versions != (None,)

    def test_one_reader_finds_out(self, store: GuardedStore, inner: Flaky, now: list[float]) -> None:
        """While one reader finds out whether the store is back, the others do not wait for it."""
        inner.down = True
        nothing_known(store)
        now[0] += 1.1
        others: list[bool] = []
        inner.ask = lambda operation: others.append(nothing_known(store)) or 1 / 0  # type: ignore[method-assign]

        assert nothing_known(store)

        assert others == [True]

    def test_refused_fill(self, store: GuardedStore, inner: Flaky) -> None:
        """A store that does not take an entry is still read."""
        inner.down = True
        store.fill("key", b"too large", b"", None)
        inner.down = False

        store.begin_fill("key", ["tag"], 5)

        assert store.read("key", ["tag"]).versions != (None,)

    def test_logged_once(
        self, store: GuardedStore, inner: Flaky, now: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        """An outage is one warning at its beginning and one line at its end."""
        caplog.set_level(logging.INFO, "everfresh")
        inner.down = True
        for _ in range(3):
            store.read("key", [])
            now[0] += 1.1
        inner.down = False
        store.read("key", [])
        store.read("key", [])

        assert [record.getMessage() for record in caplog.records] == [
            "The cache store does not answer; Everfresh does without it: OSError('nobody there')",
            "The cache store answers again.",
        ]


class TestWriters:
    def test_failed_mark(self, store: GuardedStore, inner: Flaky) -> None:
        """A mark that could not be sent is the caller's to decide on."""
        inner.down = True

        with pytest.raises(InvalidationNotSent) as caught:
            store.mark(["one", "two"], "writer", 5)

        assert str(caught.value) == "The marks of 2 tags could not be sent: OSError('nobody there')."
        assert isinstance(caught.value.__cause__, OSError)

    def test_cut_connection(self, store: GuardedStore, inner: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mark that fails at once, as on a connection that was cut, is tried once more."""
        failures: list[Any] = [None]

        def fail_once(operation: str) -> None:
            inner.asked.append(operation)
            if failures:
                failures.pop()
                raise OSError("connection reset")

        monkeypatch.setattr(inner, "ask", fail_once)

        store.mark(["tag"], "writer", 5)

        assert inner.asked == ["mark", "mark"]
        assert store.read("key", ["tag"]).versions == (None,)

    def test_slow_failure(self, store: GuardedStore, inner: Flaky, now: list[float]) -> None:
        """A mark that failed after a wait is not tried again: the writer would wait twice."""

        def time_out(operation: str) -> None:
            inner.asked.append(operation)
            now[0] += 0.5
            raise TimeoutError

        inner.ask = time_out  # type: ignore[method-assign]

        with pytest.raises(InvalidationNotSent):
            store.mark(["tag"], "writer", 5)

        assert inner.asked == ["mark"]
        del inner.ask  # type: ignore[misc]

    def test_mark_during_a_pause(self, store: GuardedStore, inner: Flaky) -> None:
        """A mark is tried also during a pause, and one that gets through ends the pause."""
        store.begin_fill("key", ["tag"], 5)
        inner.down = True
        assert nothing_known(store)
        inner.down = False

        store.mark(["other"], "writer", 5)

        assert store.read("key", ["tag"]).versions != (None,)

    def test_unsent_done(self, store: GuardedStore, inner: Flaky) -> None:
        """What could not be sent raises nothing, is not trusted in this process, and is sent by the next use."""
        versions = store.begin_fill("key", ["tag", "other"], 5).versions
        inner.down = True
        store.done(["tag"], "writer")
        assert store.unsent == {"tag"}
        inner.down = False
        store.mark(["elsewhere"], "another writer", 5)  # the store is back, and this was no read
        inner.asked.clear()

        assert store.read("key", ["tag", "other"]).versions == (None, versions[1])

        assert inner.asked == ["done writer tag", "read"]
        assert store.unsent == frozenset()

    def test_done_during_a_pause_is_not_waited_for(self, store: GuardedStore, inner: Flaky) -> None:
        """While the store is down, a writer hands its done over and goes on."""
        inner.down = True
        nothing_known(store)
        inner.asked.clear()

        store.done(["tag"], "writer")

        assert inner.asked == []
        assert store.unsent == {"tag"}

    def test_retry(self, store: GuardedStore, inner: Flaky) -> None:
        """Retry sends one done for each writer, keeps what fails, and says whether anything is left."""
        inner.down = True
        store.done(["one", "two"], "early")
        store.done(["two"], "late")
        assert not store.retry()
        assert store.unsent == {"one", "two"}
        inner.down = False
        inner.asked.clear()

        assert store.retry()

        assert sorted(inner.asked) == ["done early one two", "done late two"]
        assert store.unsent == frozenset()

    def test_debt_made_during_a_retry(self, store: GuardedStore, inner: Flaky) -> None:
        """A debt that is made while an older one for the same tag and writer is paid stays a debt."""
        inner.down = True
        store.done(["tag"], "writer")
        inner.down = False
        ask = inner.ask

        def interrupted(operation: str) -> None:
            ask(operation)
            inner.ask = ask  # type: ignore[method-assign]
            inner.down = True
            assert not store.retry()  # another thread's, which must not wait for this one
            store.done(["tag"], "writer")
            inner.down = False

        inner.ask = interrupted  # type: ignore[method-assign]
        store.retry()

        assert store.unsent == {"tag"}

    def test_debt_paid_during_a_read(self, store: GuardedStore, inner: Flaky) -> None:
        """A read that began while a tag was in debt does not trust it, though the debt is paid before the read ends."""
        store.begin_fill("key", ["tag"], 5)
        store.keep(["tag"], "writer")
        ask = inner.ask

        def interrupted(operation: str) -> None:
            inner.ask = ask  # type: ignore[method-assign]
            store.done(["tag"], "writer")
            store.begin_fill("key", ["tag"], 5)

        inner.ask = interrupted  # type: ignore[method-assign]

        assert store.read("key", ["tag"]).versions == (None,)
        assert store.read("key", ["tag"]).versions != (None,)

    def test_debt_made_during_a_read(self, store: GuardedStore, inner: Flaky) -> None:
        """A read that ends after a tag came into debt does not trust it."""
        store.begin_fill("key", ["tag"], 5)
        ask = inner.ask

        def interrupted(operation: str) -> None:
            inner.ask = ask  # type: ignore[method-assign]
            store.keep(["tag"], "writer")

        inner.ask = interrupted  # type: ignore[method-assign]

        assert store.begin_fill("key", ["tag"], 5).versions == (None,)

    def test_keep(self, store: GuardedStore, inner: Flaky) -> None:
        """A kept tag is not trusted until its writer's done gets through; until then nothing is sent for it."""
        store.begin_fill("key", ["tag"], 5)
        store.keep(["tag"], "writer")
        inner.asked.clear()
        assert store.retry()
        assert store.read("key", ["tag"]).versions == (None,)
        assert store.begin_fill("key", ["tag"], 5).versions == (None,)
        assert inner.asked == ["read", "begin_fill"]

        store.done(["tag"], "another writer")
        assert store.unsent == {"tag"}
        inner.down = True
        store.done(["tag"], "writer")
        assert store.unsent == {"tag"}
        inner.down = False
        assert store.retry()

        assert store.begin_fill("key", ["tag"], 5).versions != (None,)


class TestBackground:
    def test_thread(self, inner: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
        """A background thread sends what is unsent, and is gone when nothing is."""
        monkeypatch.setattr(guarding, "FIRST_DELAY_SECONDS", 0.001)
        store = GuardedStore(inner)
        for turn in range(3):
            inner.down = True
            store.done([f"tag {turn}"], "writer")
            sender = store._sender
            assert sender is not None
            assert sender.daemon
            inner.down = False
            sender.join(10)

            assert store.unsent == frozenset()
            assert store._sender is None

    def test_close(self, inner: Flaky, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """Close ends the thread, tries once more, and says what is left."""
        monkeypatch.setattr(guarding, "FIRST_DELAY_SECONDS", 1e6)
        store = GuardedStore(inner)
        inner.down = True
        store.done(["tag"], "writer")
        store.close()
        assert caplog.records[-1].getMessage() == "Everfresh ends with 1 tags whose invalidation could not be sent."

        inner.down = False
        store.close()

        assert store.unsent == frozenset()

    def test_forked_child(self, store: GuardedStore, inner: Flaky) -> None:
        """A forked child does not trust what its parent did not, sends it itself, and has locks that nobody holds."""
        store.begin_fill("key", ["tag", "kept"], 5)
        store.keep(["kept"], "goes on")
        inner.down = True
        store.done(["tag"], "writer")
        inner.down = False
        with store._debts_lock, store._retrying:
            child = os.fork()
            if child == 0:
                wrong = 1
                try:
                    if store.unsent == {"tag", "kept"} and store._sender is None and store.retry() and not store.unsent:
                        wrong = 0
                finally:
                    os._exit(wrong)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.unsent == {"tag", "kept"}

    def test_no_leak(self) -> None:
        """A guard that nobody uses any more is gone, fork hook or not."""
        reference = weakref.ref(GuardedStore(LocalStore()))
        gc.collect()

        assert reference() is None


def test_everything_is_passed_on(inner: Flaky) -> None:
    """The guard says what the store says of itself."""

    class Uncounted(LocalStore):
        counts_marks: Any = False

    assert GuardedStore(inner).counts_marks
    assert not GuardedStore(Uncounted()).counts_marks
