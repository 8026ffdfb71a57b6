"""The store on Redis: the contract, the round trips, and servers that restart, forget or refuse."""

from __future__ import annotations

import gc
import os
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis as client
from redis.connection import Connection

from everfresh.stores import connections
from everfresh.stores.redis import RedisStore
from everfresh.testing import StoreContract
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everfresh.stores.base import Store


class CountingConnection(Connection):
    """Counts what it writes to the socket in one go."""

    requests = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        type(self).requests += 1
        super().send_packed_command(command, check_health)


class TestRedisContract(StoreContract):
    @pytest.fixture(autouse=True)
    def server(self, redis: servers.RedisServer) -> Iterator[None]:
        self.url = redis.url
        self.opened: list[RedisStore] = []
        yield
        for store in self.opened:
            store.close()

    def make_store(self) -> Store:
        self.opened.append(RedisStore.from_url(self.url, "contract:", connection_class=CountingConnection))
        return self.opened[-1]

    def names(self, name: str) -> list[bytes]:
        """The server's keys whose names end with *name* in braces."""
        with client.Redis.from_url(self.url) as direct:
            return list(direct.scan_iter(f"contract:*{{{name}}}"))

    def evict(self, tag: str) -> None:
        with client.Redis.from_url(self.url) as direct:
            for name in self.names(tag):
                if name.split(b":")[2].startswith(b"t{"):
                    direct.delete(name)

    def spoil(self, key: str, tag: str) -> None:
        store = self.opened[0]
        with client.Redis.from_url(self.url) as direct:
            direct.rpush(f"contract:{store.incarnation}:e{{{key}}}", "a list")
            direct.set(f"contract:{store.incarnation}:t{{{tag}}}", "nine byte")

    def round_trips(self) -> int:
        return CountingConnection.requests

    def test_everything_has_a_lifetime(self) -> None:
        """No key of the store is for ever, so that it can live beside others on a server that evicts `volatile-*`."""
        self.store.begin_fill(self.key, self.tags, 5)
        self.store.fill(self.key, b"entry", b"", None)
        self.store.mark(self.tags[1:], "writer", 5)
        self.store.mark(self.tags[1:], "other", 7)

        with client.Redis.from_url(self.url) as direct:
            left = {
                (name.split(b":")[2][:1], each in self.tags[1:]): direct.pttl(name)
                for each in (self.key, *self.tags)
                for name in self.names(each)
            }
        week = 7 * 24 * 3600 * 1000
        lifetimes = {
            (b"e", False): week,
            (b"l", False): 5000,
            (b"t", False): week,
            (b"t", True): 7000,
            (b"p", True): 7000,
        }
        assert left.keys() == lifetimes.keys()
        # Some of each has passed, more of it on a busy machine.
        assert all(lifetimes[kind] - 4000 < milliseconds <= lifetimes[kind] for kind, milliseconds in left.items())

    def lose_record(self, tag: str) -> None:
        """Evict the pending record of *tag*."""
        with client.Redis.from_url(self.url) as direct:
            assert direct.delete(f"contract:{self.opened[0].incarnation}:p{{{tag}}}") == 1

    def test_evicted_pending_record(self) -> None:
        """The marker in the version's place keeps a tag pending whose record was evicted, until the mark's deadline.

        Else a reader would store what it read before the commit, to be served after it: stale until `done`, and for
        ever if the writer dies before that.
        """
        self.store.mark([self.tag], "writer", self.short_seconds)
        self.lose_record(self.tag)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_evicted_pending_record_of_two(self) -> None:
        """Writers who overlap with one whose record was evicted do not end its mark, whenever they began."""
        self.store.mark([self.tag], "before", 5)
        self.store.mark([self.tag], "evicted", self.short_seconds)
        self.lose_record(self.tag)
        self.store.done([self.tag], "before")
        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

        self.store.mark([self.tag], "after", 5)
        self.store.done([self.tag], "after")

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

    def test_evicted_pending_record_of_the_one_left(self) -> None:
        """The first writer to be done leaves the marker to the other, whose mark stands in two places still."""
        self.store.mark([self.tag], "first", 5)
        self.store.mark([self.tag], "second", 5)
        self.store.done([self.tag], "first")
        self.lose_record(self.tag)

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

    def test_evicted_marker_of_a_lone_writer(self) -> None:
        """Who marks a tag whose marker was evicted finds the record of the writer before, and leaves it pending."""
        self.store.mark([self.tag], "first", 5)
        self.evict(self.tag)
        self.store.mark([self.tag], "second", 5)
        self.store.done([self.tag], "second")

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

    def test_version_of_another_type(self) -> None:
        """begin_fill puts a version in the place of what cannot be one."""
        self.store.read(self.key, [])
        with client.Redis.from_url(self.url) as direct:
            direct.rpush(f"contract:{self.opened[0].incarnation}:t{{{self.tag}}}", "a list")

        assert (
            self.store.begin_fill(self.key, [self.tag], 5).versions
            == self.store.read("", [self.tag]).versions
            != (None,)
        )

    def test_versions_are_renewed(self) -> None:
        """A fill that meets a version in the second half of its life renews it; one in the first half is let alone."""
        self.store.begin_fill(self.key, self.tags[:2], 5)
        with client.Redis.from_url(self.url) as direct:
            day = 24 * 3600 * 1000
            direct.pexpire(self.names(self.tags[0])[0], 3 * day)
            direct.pexpire(self.names(self.tags[1])[0], 4 * day)

            self.store.begin_fill(self.key, self.tags[:2], 5)

            assert round(direct.pttl(self.names(self.tags[0])[0]) / day, 2) == 7
            assert round(direct.pttl(self.names(self.tags[1])[0]) / day, 2) == 4

    def test_scripts_are_loaded_again(self) -> None:
        """A server that lost its scripts gets them again, also in the middle of a long request."""
        tags = [f"{self.tag}:{number}" for number in range(2500)]
        with client.Redis.from_url(self.url) as direct:
            direct.script_flush()
            fill = self.store.begin_fill(self.key, tags, 5)
            assert fill.lease is not None
            assert self.store.read(self.key, tags).versions == fill.versions
            direct.script_flush()
            self.store.mark(tags, "writer", 5)

        assert set(self.store.read(self.key, tags).versions) == {None}

    def test_forked_child(self) -> None:
        """A forked child opens a connection of its own, and parent and child do not read each other's answers."""
        self.store.fill(self.key, b"parent", b"", None)
        child = os.fork()
        if child == 0:
            wrong = 1
            try:
                for turn in range(50):
                    entry = f"child {turn}".encode()
                    self.store.fill("child" + self.key, entry, b"", None)
                    if self.store.read("child" + self.key, []).entry != entry:
                        break
                else:
                    wrong = 0
            finally:
                os._exit(wrong)
        for _ in range(50):
            assert self.store.read(self.key, []).entry == b"parent"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def store(server: servers.RedisServer) -> Iterator[RedisStore]:
    """A store on it, with a short time-out."""
    store = RedisStore.from_url(server.url, timeout_seconds=0.2)
    yield store
    store.close()


def filled(store: RedisStore, entry: bytes) -> tuple[bytes | None, ...]:
    """Fill "key" with *entry*; the versions it has."""
    fill = store.begin_fill("key", ["tag"], 0)
    store.fill("key", entry, b"", None)
    return fill.versions


class TestIncarnations:
    def test_server_back_from_an_old_snapshot(self, server: servers.RedisServer, store: RedisStore) -> None:
        """A server that restarts from an old snapshot shows nothing of what it knew: its versions may be revived."""
        old = filled(store, b"old")
        with client.Redis.from_url(server.url) as direct:
            direct.save()
        store.mark(["tag"], "writer", 5)
        store.done(["tag"], "writer")
        assert filled(store, b"new") != old

        server.kill()
        server.start()

        # The old entry and the old version are on the server again, side by side, and would make a stale hit for ever.
        with client.Redis.from_url(server.url) as direct:
            assert {direct.get(name) for name in direct.scan_iter()} == {b"old", *old}
        snapshot = store.read("key", ["tag"])
        assert (snapshot.entry, snapshot.versions) == (None, (None,))
        assert None not in filled(store, b"newest")
        assert store.read("key", []).entry == b"newest"

    def test_connection_to_the_server_before(self, server: servers.RedisServer, store: RedisStore) -> None:
        """Once a new connection has met another server, no older connection to the one before is used as it is."""
        with servers.redis_server() as other:
            filled(store, b"old")
            store.read("key", [])
            old_connection, _ = store.connections._idle.pop()
            # The address leads elsewhere now, as after a failover by name.
            store.connections.pool.connection_kwargs["port"] = other.port
            assert store.read("key", ["tag"]).entry is None
            old_connection.port = other.port
            store.connections._idle.append((old_connection, None))

            assert store.read("key", ["tag"]).entry is None
            assert filled(store, b"new") == store.read("key", ["tag"]).versions
            with client.Redis.from_url(other.url) as direct:
                assert b"new" in {direct.get(name) for name in direct.scan_iter()}

    def test_server_replaced_in_the_middle(
        self, server: servers.RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A command whose connection was renewed behind our back, to another server, fails: its keys were old."""
        filled(store, b"old")
        pack = Connection.pack_commands
        restarted: list[bool] = []

        def replaced(connection: Connection, commands: Any) -> Any:
            if not restarted and commands[0][0] == "EVALSHA":
                restarted.append(True)
                server.kill()
                server.start()
                connection.disconnect()
            return pack(connection, commands)

        monkeypatch.setattr(Connection, "pack_commands", replaced)

        with pytest.raises(client.ConnectionError, match="replaced by another one"):
            store.mark(["tag"], "writer", 5)
        store.mark(["tag"], "writer", 5)

        assert store.begin_fill("key", ["tag"], 0).versions == (None,)

    def test_server_that_keeps_info_to_itself(self, server: servers.RedisServer) -> None:
        """Where INFO is refused, there is one incarnation, and all else works."""
        with client.Redis.from_url(server.url) as direct:
            direct.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-info")
        store = RedisStore.from_url(server.url, "mine:", username="app", password="secret")

        assert filled(store, b"entry") == store.read("key", ["tag"]).versions
        with client.Redis.from_url(server.url) as direct:
            assert set(direct.keys()) == {b"mine:0:e{key}", b"mine:0:t{tag}"}
        store.close()


class TestEnds:
    """No socket is left to the garbage collector: it may come to it before it comes to what would close it."""

    def test_a_store_that_nobody_holds(self, server: servers.RedisServer) -> None:
        """It takes its connections with it, at once."""
        store = RedisStore.from_url(server.url)
        filled(store, b"entry")
        [[connection, _]] = store.connections._idle
        assert connection._sock is not None
        gc.disable()
        try:
            del store
            assert connection._sock is None
        finally:
            gc.enable()

    def test_closed_while_it_is_asked(
        self, server: servers.RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection that is busy then is closed when it has its answer, and so is that of who asks later."""
        filled(store, b"entry")
        converse = connections._converse

        def closing(*args: Any) -> Any:
            store.close()
            return converse(*args)

        with monkeypatch.context() as patch:
            patch.setattr(connections, "_converse", closing)
            assert store.read("key", []).entry == b"entry"
        assert [each._sock for each in store.connections.pool._available_connections] == [None]
        assert store.read("key", []).entry == b"entry"
        assert [each._sock for each in store.connections.pool._available_connections] == [None]


class TestLargeWrites:
    @pytest.mark.parametrize("holds", [False, True])
    def test_ends_at_once(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch, holds: bool) -> None:
        """However many tags a write moved, nobody comes between the ends of its marks, to stamp a hit anew."""
        moved = [f"tag:{number}" for number in range(2500)]
        tags, held = ([], {"epoch": moved}) if holds else (moved, {})
        sent: list[list[Any]] = []
        pack = Connection.pack_commands

        def noted(connection: Connection, commands: Any) -> Any:
            sent.append([command[0] for command in commands])
            return pack(connection, commands)

        store.mark(tags, "writer", 30, list(held))
        monkeypatch.setattr(Connection, "pack_commands", noted)
        store.done(tags, "writer", held)

        assert sent == [["MULTI", "EVAL", "EVAL", "EVAL", "EXEC"]]
        assert None not in store.begin_fill("key", ["epoch", *moved], 0).versions


class TestTrouble:
    def test_silent_server(self, server: servers.RedisServer, store: RedisStore) -> None:
        """A server that says nothing costs one time-out, and the late answer is nobody's."""
        filled(store, b"entry")
        server.pause()
        with pytest.raises(client.TimeoutError):
            store.read("key", ["tag"])
        server.resume()

        assert store.read("nothing", []).entry is None
        assert store.read("key", ["tag"]).entry == b"entry"

    def test_server_gone_and_back(self, server: servers.RedisServer, store: RedisStore) -> None:
        """Without a server every operation raises; with one again, the next operation works."""
        filled(store, b"entry")
        server.kill()
        for operation in (lambda: store.read("key", []), lambda: store.mark(["tag"], "writer", 5)):
            with pytest.raises(client.ConnectionError):
                operation()
        server.start()

        assert filled(store, b"entry") != (None,)

    def test_interrupted_reader(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer that nobody read, as after Ctrl-C, is not taken for the answer of the next command."""
        filled(store, b"entry")
        read = Connection.read_response

        def interrupt(*args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Connection, "read_response", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.read("key", ["tag"])
        monkeypatch.setattr(Connection, "read_response", read)

        assert store.read("nothing", []).entry is None

    def test_demoted_primary(self, server: servers.RedisServer, store: RedisStore) -> None:
        """A primary that became a replica refuses a mark, and every connection to it is given up."""
        filled(store, b"entry")
        with client.Redis.from_url(server.url) as direct:
            direct.replicaof("127.0.0.1", 1)
            direct.config_set("replica-serve-stale-data", "yes")
            with pytest.raises(client.exceptions.ReadOnlyError):
                store.mark(["tag"], "writer", 5)

        assert [each._sock for each, _ in store.connections._idle] == [None]

    def test_full_server(self, server: servers.RedisServer, store: RedisStore) -> None:
        """A full server that may not evict refuses fills and marks, and still serves and invalidates."""
        versions = filled(store, b"entry")
        with client.Redis.from_url(server.url) as direct:
            direct.config_set("maxmemory-policy", "noeviction")
            direct.config_set("maxmemory", "1mb")
            with pytest.raises(client.ResponseError):
                store.fill("key", secrets.token_bytes(3_000_000), b"", None)
                store.mark(["tag"], "writer", 5)
        assert store.read("key", ["tag"]).versions == versions

        store.done(["tag"], "writer")

        assert store.read("key", ["tag"]).versions == (None,)

    def test_threads_at_a_restart(self, server: servers.RedisServer, store: RedisStore) -> None:
        """Threads that work while the server restarts meet errors and misses, and never another's answer."""
        go_on = threading.Event()
        wrong: list[object] = []

        def work(number: int) -> None:
            while not go_on.is_set():
                try:
                    store.fill(f"key:{number}", b"%d" % number, b"", None)
                    entry = store.read(f"key:{number}", ["tag"]).entry
                except client.RedisError:
                    continue
                if entry not in {None, b"%d" % number}:
                    wrong.append(entry)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            server.kill()
            server.start()
        go_on.set()
        for thread in threads:
            thread.join()

        assert wrong == []
        assert store.read("key:0", []).entry in {None, b"0"}
