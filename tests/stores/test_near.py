"""The near cache on a real server: what a copy is, when it goes, and what it costs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis as client

from everfresh.stores import GuardedStore, copies, pushes
from everfresh.stores.base import NO_KEY, NOT_DECODED
from everfresh.stores.near import NearStore
from everfresh.stores.redis import RedisStore
from everfresh.testing import StoreContract
from tests import servers
from tests.stores.nearby import (
    ENTRY,
    TAGS,
    CountingConnection,
    Network,
    answered,
    connected,
    exchanges,
    hold,
    settle,
    something_comes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from everfresh.stores import Snapshot, Snapshots, Store


class AlwaysNear(NearStore):
    """All reads are near."""

    def read(self, key: str, tags: Sequence[str], *, near: bool = True) -> Snapshot:
        return super().read(key, tags, near=True)

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = True, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        return super().read_many(keys, tags, near=True, own=[tuple(tags)] * len(keys))


class TestNearContract(StoreContract):
    """Whoever reads near sees the same, all rules hold."""

    @pytest.fixture(autouse=True)
    def server(self, redis: servers.RedisServer) -> Iterator[None]:
        self.url = redis.url
        self.opened: list[NearStore] = []
        yield
        for store in self.opened:
            store.close()

    def make_store(self) -> Store:
        self.opened.append(AlwaysNear(RedisStore.from_url(self.url, "contract:", connection_class=CountingConnection)))
        # Opens the connection, which is no exchange of any operation.
        self.opened[-1].read(self.key, self.tags)
        return self.opened[-1]

    def evict(self, tag: str) -> None:
        with client.Redis.from_url(self.url) as direct:
            for name in direct.scan_iter(f"contract:*:t{{{tag}}}"):
                direct.delete(name)

    def spoil(self, key: str, tag: str) -> None:
        incarnation = self.opened[0].store.incarnation
        with client.Redis.from_url(self.url) as direct:
            direct.rpush(f"contract:{incarnation}:e{{{key}}}", "a list")
            direct.set(f"contract:{incarnation}:t{{{tag}}}", "nine byte")

    def round_trips(self) -> int:
        return CountingConnection.requests


@pytest.fixture
def store(near_store: NearStore) -> NearStore:
    """The reader's store, with an open connection."""
    return near_store


class TestCopies:
    def test_hit(self, store: NearStore) -> None:
        """What a copy shows is what the server says, the same object each time, at no exchange."""
        held = hold(store)
        far = store.read("key", TAGS)

        assert exchanges(lambda: store.read("key", TAGS, near=True)) == 0
        assert store.read("key", TAGS, near=True) is store.peek("key", TAGS) is held
        assert (held.entry, held.versions) == (far.entry, far.versions)
        assert exchanges(lambda: store.read("key", TAGS)) == 1

    def test_first_read_keeps_what_it_returns(self, store: NearStore) -> None:
        """The read that leaves a copy returns it, so that what is decoded first is there for the next."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)

        first = store.read("key", TAGS, near=True)

        assert first.held is not None
        assert first.held.value is NOT_DECODED
        assert store.peek("key", TAGS) is first

    def test_far_reads_leave_nothing(self, store: NearStore) -> None:
        """A read that is not near leaves no copy, nor does one that asks for tags only."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)

        store.read("key", TAGS)
        store.read(NO_KEY, TAGS, near=True)

        assert store.peek("key", TAGS) is None
        assert store.peek(NO_KEY, TAGS) is None

    @pytest.mark.parametrize("missing", ["entry", "version", "mark"])
    def test_no_answer_is_not_kept(self, store: NearStore, missing: str) -> None:
        """What is missing or pending is not kept."""
        if missing != "version":
            store.begin_fill("key", TAGS, 0)
        if missing != "entry":
            store.fill("key", ENTRY, b"", None)
        if missing == "mark":
            store.mark(TAGS[:1], "writer", 30)

        store.read("key", TAGS, near=True)

        assert store.peek("key", TAGS) is None

    def test_other_tags(self, store: NearStore) -> None:
        """A copy is found by who asks for the same tags, in whatever sequence, and by nobody else."""
        held = hold(store)

        assert store.peek("key", list(TAGS)) is held
        assert store.peek("key", TAGS[:1]) is None
        assert store.peek("key", TAGS[::-1]) is None
        assert len(store.read("key", TAGS[:1], near=True).versions) == 1

    def test_end_of_lifetime(self, opened: Callable[..., NearStore], monkeypatch: pytest.MonkeyPatch) -> None:
        """No copy is looked at after the end of its entry's time, also when the server does not say that it ended."""
        store = connected(opened(silence_seconds=1000.0))
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", 60.0)
        settle(store)
        store.read("key", TAGS, near=True)
        begun = copies.monotonic()

        monkeypatch.setattr(copies, "monotonic", lambda: begun + 59.0)
        assert store.peek("key", TAGS) is not None
        monkeypatch.setattr(copies, "monotonic", lambda: begun + 60.0)
        assert store.peek("key", TAGS) is None

    def test_bound(self, opened: Callable[..., NearStore]) -> None:
        """Copies take no more than the limit together, and one that is too large for its queue is not kept."""
        store = connected(opened(limit_bytes=100_000))
        for number in range(100):
            hold(store, f"key{number}", (f"tag{number}", "all"))

        assert 0 < store._kept.size <= 100_000
        store.fill("large", b"x" * 100_000, b"", None)
        store.read("large", (), near=True)
        assert store.peek("large", ()) is None


class TestChanges:
    def test_by_others(self, store: NearStore, other: RedisStore) -> None:
        """The next look after another process's mark, done, fill or drop finds no copy of what it changed."""
        changes: list[Callable[[], object]] = [
            lambda: other.mark(TAGS[1:], "writer", 30),
            lambda: other.done(TAGS[1:], "writer"),
            lambda: other.fill("key", b"newer", b"", None),
            lambda: other.fill_many({"key": b"newest"}, None),
            lambda: other.drop(["key"]),
        ]
        for change in changes:
            if store.peek("key", TAGS) is None:
                store.done(TAGS, "writer")
                hold(store)
            untouched = hold(store, "untouched", ("three",))

            change()
            answered(other)

            assert store.peek("key", TAGS) is None
            assert store.read("key", TAGS, near=True).entry == other.read("key", TAGS).entry
            assert store.peek("untouched", ("three",)) is untouched

    def test_own(self, store: NearStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """What this process changes it forgets itself, though nothing was pushed yet; also when sending failed."""
        for change in (
            lambda: store.mark(TAGS[1:], "writer", 30),
            lambda: store.done(TAGS[1:], "writer"),
            lambda: store.fill("key", b"newer", b"", None),
            lambda: store.fill_many({"key": b"newest"}, None),
            lambda: store.drop(["key"]),
        ):
            for fails in (False, True):
                store.done(TAGS, "writer")
                hold(store)
                with monkeypatch.context() as patch:
                    # Nothing comes from the server.
                    patch.setattr(store._pushes, "take", pushes.Told)
                    if fails:
                        break_off(store, patch)
                        with pytest.raises(client.ConnectionError):
                            change()
                    else:
                        change()

                    assert store.peek("key", TAGS) is None

    def test_eviction(self, store: NearStore, direct: client.Redis) -> None:
        """A version that the server loses, for whatever reason, takes the copies with it."""
        hold(store)
        direct.delete(*direct.keys("*t{two}"))

        assert store.peek("key", TAGS) is None

    @pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
    def test_flush(self, store: NearStore, direct: client.Redis, command: str) -> None:
        """A server that is emptied empties the process."""
        hold(store)
        hold(store, "other", ("three",))
        direct.execute_command(command)
        something_comes(store)  # behind the answer, which for a write comes behind it

        assert store.peek("key", TAGS) is None
        assert store.peek("other", ("three",)) is None
        assert hold(store)


class TestMany:
    """A list of entries is one look, at copies that held at one moment."""

    KEYS = tuple(f"key{number}" for number in range(100))
    OWN = tuple((f"tag{number}", "all") for number in range(100))
    ALL = (*(tag for tag, _ in OWN), "all")

    @pytest.fixture(autouse=True)
    def stored(self, store: NearStore, other: RedisStore) -> None:
        other.begin_fill("", self.ALL, 0)
        other.fill_many({key: key.encode() for key in self.KEYS}, None)
        store.store.look(self.KEYS, ())  # the server learns the script
        settle(store)

    def read(self, store: NearStore) -> Snapshots:
        return store.read_many(self.KEYS, self.ALL, near=True, own=self.OWN)

    def test_hit(self, store: NearStore) -> None:
        """What copies show is what the server says, at no exchange; each of them serves a reader of one as well."""
        assert exchanges(lambda: self.read(store)) == 1
        one = store.peek("key7", ("tag7", "all"))
        settle(store)

        held: list[Snapshots] = []
        assert exchanges(lambda: held.append(self.read(store))) == 0
        assert held == [store.read_many(self.KEYS, self.ALL)]
        assert exchanges(lambda: store.read_many(self.KEYS[3:5], self.ALL[4:], near=True)) == 0
        assert one is not None
        assert (one.entry, one.versions) == (b"key7", (held[0].versions[7], held[0].versions[100]))

    def test_own_tags_unknown(self, store: NearStore) -> None:
        """Who does not say which tags are whose leaves no copies, and is not told nonsense."""
        for _ in range(2):
            assert exchanges(lambda: store.read_many(self.KEYS, self.ALL, near=True)) == 1
        store.read_many(self.KEYS, (), near=True, own=self.OWN)
        assert store.peek("key7", ("tag7", "all")) is None

    @pytest.mark.parametrize("missing", ["key", "tag", "copy"])
    def test_not_all(self, store: NearStore, missing: str) -> None:
        """When one thing is not held, the server is asked for it, and for all tags."""
        self.read(store)
        settle(store)
        if missing == "copy":
            store._kept.drop(["key7"], ())
        keys = (*self.KEYS, "nothing") if missing == "key" else self.KEYS
        tags = (*self.ALL, "nothing") if missing == "tag" else self.ALL

        own = (*self.OWN, ()) if missing == "key" else self.OWN
        seen: list[Snapshots] = []
        assert exchanges(lambda: seen.append(store.read_many(keys, tags, near=True, own=own))) == 1
        assert seen == [store.read_many(keys, tags)]

    def test_change(self, store: NearStore, other: RedisStore) -> None:
        """A change of one entry, or of one tag, is seen by the next look."""
        self.read(store)
        settle(store)
        other.fill("key7", b"newer", b"", None)
        answered(other)
        assert self.read(store).entries[7] == b"newer"
        settle(store)
        assert exchanges(lambda: self.read(store)) == 0

        other.mark(["tag7"], "writer", 30)

        assert self.read(store).versions[7] is None

    def test_end_of_lifetime(self, opened: Callable[..., NearStore], monkeypatch: pytest.MonkeyPatch) -> None:
        """Each copy has the lifetime of its own entry."""
        store = connected(opened(silence_seconds=1000.0))
        store.fill_many({"key7": b"short"}, 60.0)
        settle(store)
        self.read(store)
        settle(store)
        assert exchanges(lambda: self.read(store)) == 0
        begun = copies.monotonic()
        monkeypatch.setattr(copies, "monotonic", lambda: begun + 61.0)

        assert exchanges(lambda: store.read_many(self.KEYS[:7], self.ALL, near=True)) == 0
        assert exchanges(lambda: self.read(store)) == 1

    def test_one_moment(self, opened: Callable[..., NearStore], server: servers.RedisServer, other: RedisStore) -> None:
        """A copy from after a change does not stand beside one from before it, whose push is late."""
        network = Network(server.port)
        store = connected(opened(network.url, silence_seconds=1000.0))
        settle(store)
        self.read(store)
        settle(store)
        assert exchanges(lambda: self.read(store)) == 0
        assert store._pushes is not None
        with network.stopped(store._pushes._sock):
            other.done(["tag7", "tag8"], "writer")
            other.begin_fill("", self.ALL, 0)
            other.fill_many({"key7": b"newer", "key8": b"newer"}, None)
            # As after an eviction here.
            store._kept.drop(["key8"], ())
            assert store.read("key8", ("tag8", "all"), near=True).entry == b"newer"
            assert store.read("key7", ("tag7", "all"), near=True).entry == b"key7"

            # Nor does a version from after it, of something that was read before, stand beside such a copy.
            beside = ("tag7", "all", "tag8")
            assert exchanges(lambda: store.read_many(["key7"], beside, near=True)) == 1
            # The entry from before goes by the versions from after, which it has not.
            assert exchanges(lambda: store.read_many(["key7", "key8"], ("all",), near=True)) == 1
            assert self.read(store).versions == other.read_many((), self.ALL).versions
        network.close()


def break_off(store: NearStore, patch: pytest.MonkeyPatch) -> None:
    """Let everything that is asked of the server or sent to it end as on a connection that is lost."""

    def broken(*_: object, **__: object) -> None:
        raise client.ConnectionError("nobody there")

    patch.setattr(store.store.connections, "ask", broken)
    patch.setattr(store.store.connections, "post", broken)


class TestRaces:
    def test_change_between_look_and_keep(
        self, store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader that looked before a change, and comes back after another one heard of it, leaves no copy."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)
        look = store.store.look

        def slow(keys: Sequence[str], tags: Sequence[str]) -> Any:
            seen = look(keys, tags)
            other.mark(TAGS[:1], "writer", 30)
            assert store.peek("another", ()) is None  # listens
            return seen

        with monkeypatch.context() as patch:
            patch.setattr(store.store, "look", slow)
            assert None not in store.read("key", TAGS, near=True).versions

        assert store.peek("key", TAGS) is None
        assert None in store.read("key", TAGS, near=True).versions

    def test_change_heard_after_keep(
        self, store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader that looked before a change, and comes back before anybody heard of it, leaves a copy unseen."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)
        look = store.store.look

        def slow(keys: Sequence[str], tags: Sequence[str]) -> Any:
            seen = look(keys, tags)
            other.mark(TAGS[:1], "writer", 30)
            return seen

        with monkeypatch.context() as patch:
            patch.setattr(store.store, "look", slow)
            store.read("key", TAGS, near=True)

        assert len(store._kept) == 1
        assert store.peek("key", TAGS) is None

    def test_own_change_between_look_and_keep(self, store: NearStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same for a change by this process, before the server's word of it has come."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)
        look = store.store.look

        def slow(keys: Sequence[str], tags: Sequence[str]) -> Any:
            seen = look(keys, tags)
            store.mark(TAGS[:1], "writer", 30)
            return seen

        with monkeypatch.context() as patch:
            patch.setattr(store.store, "look", slow)
            patch.setattr(store._pushes, "take", pushes.Told)
            store.read("key", TAGS, near=True)

            assert store.peek("key", TAGS) is None

    def test_change_of_something_else(
        self, store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change that is heard while a reader is under way keeps him from nothing, if it is of something else."""
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)
        look = store.store.look

        def slow(keys: Sequence[str], tags: Sequence[str]) -> Any:
            seen = look(keys, tags)
            other.mark(["else"], "writer", 30)
            store.peek("another", ())
            return seen

        monkeypatch.setattr(store.store, "look", slow)
        store.read("key", TAGS, near=True)

        assert store.peek("key", TAGS) is not None
        assert (store._recent_keys, store._recent_tags) == ({}, {})

    def test_more_changes_than_are_remembered(
        self, store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When changes have to be forgotten, no reader who began before leaves a copy."""
        monkeypatch.setattr(copies, "MOST_RECENT", 5)
        store.begin_fill("key", TAGS, 0)
        store.fill("key", ENTRY, b"", None)
        settle(store)
        look = store.store.look

        def slow(keys: Sequence[str], tags: Sequence[str]) -> Any:
            seen = look(keys, tags)
            other.mark(TAGS[:1], "writer", 30)
            store.peek("another", ())
            other.mark([f"else{number}" for number in range(6)], "writer", 30)
            store.peek("another", ())
            return seen

        with monkeypatch.context() as patch:
            patch.setattr(store.store, "look", slow)
            store.read("key", TAGS, near=True)

        assert len(store._kept) == 0
        assert hold(store, "later", ("three",))

    def test_second_reader_waits_for_what_the_first_took(
        self, store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While one thread forgets what it took from the connection, another one, who finds nothing there, waits."""
        hold(store)
        taken, go_on = threading.Event(), threading.Event()
        drop = store._kept.drop

        def slow(*names: Any) -> None:
            taken.set()
            assert go_on.wait(10)
            drop(*names)

        monkeypatch.setattr(store._kept, "drop", slow)
        other.mark(TAGS[:1], "writer", 30)
        seen: list[Snapshot | None] = []
        first = threading.Thread(target=lambda: store.peek("another", ()))
        second = threading.Thread(target=lambda: seen.append(store.peek("key", TAGS)))
        first.start()
        assert taken.wait(10)
        assert not store._ready()
        second.start()
        second.join(0.1)
        is_waiting = second.is_alive()
        go_on.set()
        first.join()
        second.join()

        assert is_waiting
        assert seen == [None]


class TestGuarded:
    def test_hit(self, store: NearStore) -> None:
        """Behind the guard a hit is the same object."""
        guard = GuardedStore(store)
        held = hold(store)

        assert guard.peek("key", TAGS) is guard.read("key", TAGS, near=True) is held

    def test_doubt(self, store: NearStore) -> None:
        """While a tag is in debt nothing is held, and what was decoded beside a copy is not handed out."""
        guard = GuardedStore(store)
        held = hold(store)
        guard.keep(TAGS[:1], "writer")

        seen = guard.read("key", TAGS, near=True)

        assert guard.peek("key", TAGS) is None
        assert seen.versions == (None, held.versions[1])
        assert seen.held is None

    def test_pause(self, store: NearStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the store does not answer nothing is held, though the connection for changes may be well."""
        guard = GuardedStore(store, pause_seconds=1000.0)
        held = hold(store)
        with monkeypatch.context() as patch:
            break_off(store, patch)
            assert guard.read("key", TAGS).entry is None

        assert guard.peek("key", TAGS) is None
        assert guard.read("key", TAGS, near=True).entry is None
        assert store.peek("key", TAGS) is held

    def test_failure(self, store: NearStore, server: servers.RedisServer) -> None:
        """A store that does not answer shows no copies either, and comes back with them."""
        guard = GuardedStore(store, pause_seconds=0.0)
        hold(store)
        server.kill()

        assert guard.read("key", TAGS, near=True).entry is None
        assert guard.peek("key", TAGS) is None
        server.start()
        store._open_at = 0.0
        guard.read("nothing", (), near=True)
        assert hold(store)
        assert guard.peek("key", TAGS) is not None

    def test_store_without_copies(self) -> None:
        """Of a store that keeps none, peek says so, and near reads are reads."""
        from everfresh.stores import LocalStore

        guard = GuardedStore(LocalStore())
        guard.begin_fill("key", TAGS, 0)
        guard.fill("key", ENTRY, b"", None)

        assert guard.peek("key", TAGS) is None
        assert guard.read("key", TAGS, near=True).entry == guard.read_many(["key"], TAGS, near=True).entries[0] == ENTRY


class TestConnection:
    def test_opened_late(self, opened: Callable[..., NearStore], direct: client.Redis) -> None:
        """The connection is opened by the first near read, and not before."""
        store = opened()
        store.begin_fill("key", TAGS, 0)
        store.read("key", TAGS)
        assert store._pushes is None

        store.read("key", TAGS, near=True)

        assert store._pushes is not None

    def test_fork(self, store: NearStore, other: RedisStore) -> None:
        """A forked child begins without copies, on a connection of its own, and leaves the parent's alone."""
        hold(store)
        guard = GuardedStore(store)  # which is told of forks
        child = os.fork()
        if child == 0:
            wrong = 1
            try:
                assert guard.peek("key", TAGS) is None
                guard.read("key", TAGS, near=True)
                guard.read("key", TAGS, near=True)
                assert guard.peek("key", TAGS) is not None
                for _ in range(20):
                    other.mark(TAGS, "child", 30)
                    other.done(TAGS, "child")
                    assert guard.peek("key", TAGS) is None
                    hold(store)
                wrong = 0
            finally:
                os._exit(wrong)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store._pushes is not None
        assert store.peek("key", TAGS) is None
        assert hold(store)
