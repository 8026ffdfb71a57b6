"""The connection that near copies hang on: what it proves, and what becomes of the copies without it."""

from __future__ import annotations

import logging
import select
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import redis as client

from everfresh.stores import copies, pushes
from tests import servers
from tests.stores.nearby import ENTRY, TAGS, Network, connected, exchanges, hold, something_comes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from everfresh.stores.near import NearStore
    from everfresh.stores.redis import RedisStore


class Clock:
    """The near cache's time, which the test can let pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        real = copies.monotonic
        monkeypatch.setattr(copies, "monotonic", lambda: real() + self.passed)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The near cache's time."""
    return Clock(monkeypatch)


@pytest.fixture
def network(server: servers.RedisServer) -> Iterator[Network]:
    """The way to the server."""
    network = Network(server.port)
    yield network
    network.close()


def beginning(store: NearStore) -> str:
    """Of the names of all keys on the store's server."""
    return store.store.beginning(store.store.incarnation)


class TestLost:
    def test_killed(self, near_store: NearStore, other: RedisStore, direct: client.Redis, clock: Clock) -> None:
        """When the server closes the connection, all copies go, reads ask the server, and a new one is opened."""
        hold(near_store)
        [info] = direct.client_list(_type="pubsub")
        assert direct.client_kill_filter(_id=info["id"])
        other.done(TAGS, "writer")
        something_comes(near_store)

        assert near_store.peek("key", TAGS) is None
        assert near_store.read("key", TAGS, near=True).versions == (None, None)
        assert (near_store._pushes is None) == (copies.monotonic() < near_store._open_at)
        clock.passed += copies.PAUSE_SECONDS
        connected(near_store)
        assert hold(near_store)
        assert len(near_store._kept) == 1

    def test_restart(self, near_store: NearStore, server: servers.RedisServer, clock: Clock) -> None:
        """A server that comes back shows nothing of what it had, and is tracked anew."""
        hold(near_store)
        server.restart()
        clock.passed += copies.PAUSE_SECONDS

        assert near_store.read("key", TAGS, near=True).entry is None
        connected(near_store)
        assert hold(near_store)

    def test_another_server(self, near_store: NearStore, clock: Clock) -> None:
        """Once this process has met another server, the connection to the one before proves nothing any more."""
        hold(near_store)
        with servers.redis_server() as successor:
            # The address leads elsewhere now, as after a failover by name, and the old primary lives on.
            near_store.store.connections.pool.connection_kwargs["port"] = successor.port
            for connection, _ in near_store.store.connections._idle:
                connection.disconnect()
                connection.port = successor.port
            near_store.mark(["else"], "writer", 30)

            assert near_store.peek("key", TAGS) is None
            clock.passed += copies.PAUSE_SECONDS
            assert near_store.read("key", TAGS, near=True).entry is None
            connected(near_store)
            assert hold(near_store)

    def test_buffer_overflow(self, near_store: NearStore, direct: client.Redis) -> None:
        """A process that does not read for long costs the server no more than its limit, and then begins anew."""
        hold(near_store)
        direct.config_set("client-output-buffer-limit", "pubsub 100000 0 0")
        name = beginning(near_store) + "t{" + "x" * 100_000
        for _ in range(1000):
            direct.set(name, "", px=1)
            if not direct.client_list(_type="pubsub"):
                break
        else:
            pytest.fail("The server keeps everything.")
        something_comes(near_store)

        assert near_store.peek("key", TAGS) is None
        assert near_store._pushes is None

    def test_more_than_can_be_followed(
        self, near_store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flood of changes ends the connection instead of being followed."""
        monkeypatch.setattr(pushes, "MOST_BYTES", 1000)
        hold(near_store)
        other.mark([f"tag{number}" for number in range(200)], "writer", 30)

        assert near_store.peek("key", TAGS) is None
        assert near_store._pushes is None

    @pytest.mark.parametrize("name", ["line\r\nend", "\r\n", "$7\r\nseven"])
    def test_foreign_names(self, near_store: NearStore, direct: client.Redis, name: str) -> None:
        """A key of somebody else's with a line end in its name, under our prefix: everything begins anew."""
        hold(near_store)
        direct.set(f"{beginning(near_store)}t{{{name}}}", "")

        assert near_store.peek("key", TAGS) is None
        assert near_store._pushes is None

    def test_interrupted(self, near_store: NearStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C between taking what was pushed and forgetting it leaves no copy."""
        hold(near_store)
        other.mark(TAGS, "writer", 30)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(near_store._kept, "drop", interrupt)
            with pytest.raises(KeyboardInterrupt):
                near_store.peek("key", TAGS)

        assert near_store.peek("key", TAGS) is None
        assert near_store._find("key") is None

    def test_closed(self, near_store: NearStore, direct: client.Redis) -> None:
        """A store that is closed leaves no connection, and works again when it is used."""
        hold(near_store)
        near_store.close()

        assert near_store.peek("key", TAGS) is None
        assert near_store.read("key", TAGS, near=True).entry == ENTRY


class TestSilence:
    def test_bound(self, opened: Callable[..., NearStore], network: Network, other: RedisStore, clock: Clock) -> None:
        """Where nothing arrives, a copy is looked at for so long and no longer; then reads ask the server."""
        store = connected(opened(network.url, silence_seconds=10.0))
        held = hold(store)
        assert store._pushes is not None
        proved = store._proved
        with network.stopped(store._pushes._sock):
            other.mark(TAGS, "writer", 30)
            for passed in (1, 4, 7, 9.9):
                clock.passed += proved + passed - copies.monotonic()
                assert store.peek("key", TAGS) is held
            clock.passed += proved + 10 - copies.monotonic()
            assert store.peek("key", TAGS) is None
            assert store.read("key", TAGS, near=True).versions == (None, None)
        something_comes(store)
        assert store.peek("key", TAGS) is None
        other.done(TAGS, "writer")
        assert hold(store)

    def test_long_silence(self, opened: Callable[..., NearStore], network: Network, clock: Clock) -> None:
        """A connection on which no answer comes for long is closed, and another one opened."""
        store = connected(opened(network.url))
        hold(store)
        before = store._pushes
        assert before is not None
        with network.stopped(before._sock):
            clock.passed += 20.0
            assert store.peek("key", TAGS) is None
            assert store._pushes is before
            clock.passed += copies.PATIENCE_SECONDS + 0.1
            assert store.peek("key", TAGS) is None
            assert store._pushes is None
            connected(store)
            assert hold(store)

    def test_idle(self, near_store: NearStore, clock: Clock) -> None:
        """After an idle time the first read asks the server, once; then the copies from before are looked at again."""
        held = hold(near_store)
        hold(near_store, "other")
        clock.passed += 100.0

        assert exchanges(lambda: near_store.read("other", TAGS, near=True)) == 1
        something_comes(near_store)
        assert near_store.peek("key", TAGS) is held

    def test_pings(self, near_store: NearStore, clock: Clock) -> None:
        """While there are near reads, pings go out in time, so that no read ever has to do without the copies."""
        held = hold(near_store)
        for _ in range(20):
            clock.passed += 3.4
            assert near_store.peek("key", TAGS) is held
            if near_store._pinged is not None:
                something_comes(near_store)
        assert copies.monotonic() - near_store._proved < 10.0

    def test_proof_is_of_when_the_ping_was_sent(
        self, opened: Callable[..., NearStore], network: Network, clock: Clock
    ) -> None:
        """An answer that comes late proves what was, not what is."""
        store = connected(opened(network.url, silence_seconds=3.0))
        held = hold(store)
        assert store._pushes is not None
        with network.stopped(store._pushes._sock):
            clock.passed += 1.5
            assert store.peek("key", TAGS) is held
        something_comes(store)
        clock.passed += 3.0

        assert store.peek("key", TAGS) is None


class TestRefused:
    @pytest.mark.parametrize("command", ["CLIENT", "HELLO"])
    def test_command_unknown(
        self, opened: Callable[..., NearStore], caplog: pytest.LogCaptureFixture, clock: Clock, command: str
    ) -> None:
        """Where a server knows no tracking, or no RESP3, reads go on without copies, and one warning says why."""
        with servers.redis_server("--rename-command", command, "") as old:
            store = opened(old.url, redis={"protocol": 2})
            store.begin_fill("key", TAGS, 0)
            store.fill("key", ENTRY, b"", None)
            for _ in range(3):
                assert store.read("key", TAGS, near=True).entry == ENTRY
                clock.passed += 1000.0

            assert store.peek("key", TAGS) is None
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "Use Redis 6 or Valkey" in warnings[0]

    def test_no_subscription(self, opened: Callable[..., NearStore], direct: client.Redis) -> None:
        """A user who may subscribe to nothing reads near all the same."""
        direct.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "resetchannels", "+@all")
        store = connected(opened(redis={"username": "app", "password": "secret"}))

        assert hold(store)
        assert direct.client_list(_type="pubsub") == []

    def test_pushes_that_do_not_come(
        self,
        opened: Callable[..., NearStore],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        clock: Clock,
    ) -> None:
        """Where tracking is granted and nothing comes, as through some proxies, nothing is kept."""
        with monkeypatch.context() as patch:
            track = pushes.Pushes.track
            patch.setattr(pushes.Pushes, "track", lambda self, _, channel: track(self, ["other:"], channel))
            store = opened(redis={"timeout_seconds": 0.1})
            store.begin_fill("key", TAGS, 0)
            store.fill("key", ENTRY, b"", None)
            for _ in range(3):
                assert store.read("key", TAGS, near=True).entry == ENTRY
                clock.passed += copies.PAUSE_SECONDS

            assert store.peek("key", TAGS) is None
        assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1
        connected(store)
        assert hold(store)

    def test_tries_have_pauses(
        self, opened: Callable[..., NearStore], monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        """A connection that cannot be opened is tried for once a second, by one reader."""
        tries = []

        def refuse(_: object) -> None:
            tries.append(1)
            raise client.ConnectionError("refused")

        monkeypatch.setattr(copies, "Pushes", refuse)
        store = opened()
        for _ in range(5):
            store.read("key", TAGS, near=True)
        assert len(tries) == 1
        clock.passed += copies.PAUSE_SECONDS
        store.read("key", TAGS, near=True)
        assert len(tries) == 2


class TestKinds:
    def test_without_epoll(
        self, opened: Callable[..., NearStore], other: RedisStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is no epoll, everybody tries to take, and sees the same."""
        monkeypatch.delattr(select, "epoll")
        store = connected(opened())
        held = hold(store)
        assert store.peek("key", TAGS) is held
        other.mark(TAGS, "writer", 30)

        assert store.peek("key", TAGS) is None

    def test_unix_socket(self, opened: Callable[..., NearStore], tmp_path: Path) -> None:
        """Through a socket in the file system."""
        path = tmp_path / "redis.sock"
        with servers.redis_server("--unixsocket", str(path)):
            store = connected(opened(f"unix://{path}", redis={"connection_class": client.UnixDomainSocketConnection}))
            hold(store)
            store.store.mark(TAGS, "writer", 30)

            assert store.peek("key", TAGS) is None

    def test_tls(self, opened: Callable[..., NearStore], tmp_path: Path) -> None:
        """Through TLS, where what came may lie in other places than the socket: also a flood of changes."""
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        with servers.redis_server() as probe:
            port = probe.port
        options = ["--tls-port", f"{port}", "--tls-cert-file", f"{certificate}", "--tls-key-file", f"{key}"]
        with servers.redis_server(*options, "--tls-auth-clients", "no"):
            ssl: dict[str, Any] = {"connection_class": client.SSLConnection, "ssl_cert_reqs": "none"}
            store = connected(opened(f"rediss://127.0.0.1:{port}", redis=ssl))
            for count in (1, 3000):
                store.store.done(TAGS, "writer")
                held = hold(store)
                assert store.peek("key", TAGS) is held
                store.store.mark([f"tag{number}" for number in range(count)], "writer", 30)
                store.store.mark(TAGS, "writer", 30)

                assert store.peek("key", TAGS) is None
            assert store._pushes is not None


class TestMessages:
    """What comes is read the same in whatever pieces it comes."""

    WIRE = (
        b">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\none\r\n$3\r\ntwo\r\n"
        b">3\r\n$9\r\nsubscribe\r\n$4\r\nnear\r\n:1\r\n+PONG\r\n"
        b">4\r\n$6\r\nMOVING\r\n:1\r\n,1.5\r\n%1\r\n+a\r\n*1\r\n$-1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n"
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\nthree\r\n"
    )

    class Wire:
        """A socket that has some pieces to give."""

        def __init__(self, *pieces: bytes) -> None:
            self.pieces = list(pieces)

        def recv(self, _: int) -> bytes:
            if not self.pieces:
                raise BlockingIOError
            return self.pieces.pop(0)

    def bare(self, *pieces: bytes) -> pushes.Pushes:
        listener = object.__new__(pushes.Pushes)
        listener._rest, listener._sock = b"", self.Wire(*pieces)
        return listener

    def test_any_pieces(self) -> None:
        """Cut anywhere, and taken at once or one after the other."""
        whole = pushes.Told([b"one", b"two", b"three"], is_all=True, pongs=1)
        for cut in range(1, len(self.WIRE)):
            assert self.bare(self.WIRE[:cut], self.WIRE[cut:]).take() == whole
            listener = self.bare(self.WIRE[:cut])
            first = listener.take()
            listener._sock.pieces.append(self.WIRE[cut:])
            second = listener.take()
            assert [*first.names, *second.names] == whole.names
            assert (first.is_all or second.is_all, first.pongs + second.pongs) == (True, 1)
        assert self.bare().take() == pushes.Told()

    @pytest.mark.parametrize("wire", [b"HTTP/1.1 400\r\n", b"\r\n", b"$x\r\n", b"$3\r\nfour\r\n", b"?\r\n"])
    def test_no_resp3(self, wire: bytes) -> None:
        """What is no RESP3 ends the connection."""
        with pytest.raises(client.InvalidResponse):
            self.bare(wire).take()

    def test_end(self) -> None:
        """The end of the stream is an error, also behind a message."""
        with pytest.raises(client.ConnectionError):
            self.bare(b"+PONG\r\n", b"").take()
