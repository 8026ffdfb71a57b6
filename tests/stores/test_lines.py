"""Looks that a coroutine waits for: one connection for each event loop, and whose answer is whose."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import warnings
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
import redis as client

from everfresh.stores import Snapshots, lines
from everfresh.stores.redis import RedisStore
from tests import servers
from tests.stores.nearby import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from everfresh.stores.lines import Line


@pytest.fixture
def store(server: servers.RedisServer) -> Iterator[RedisStore]:
    """A store on a server that the test may mistreat."""
    store = RedisStore.from_url(server.url, timeout_seconds=5.0)
    yield store
    store.close()


def put(store: RedisStore, keys: Sequence[str]) -> None:
    """Under each of *keys*, itself."""
    store.fill_many({key: key.encode() for key in keys}, None)


async def opened(store: RedisStore) -> Line:
    """The running loop's line, opened by as many looks as it takes."""
    await happens(store.may_await)
    line = store._lines.line(store.incarnation)
    assert line is not None
    return line


async def happens(what: Callable[[], object]) -> None:
    """Wait until *what* is so."""
    for _ in range(500):
        if what():
            return
        await asyncio.sleep(0.01)
    pytest.fail("It does not happen.")


async def entries(store: RedisStore, *keys: str) -> tuple[bytes | None, ...] | None:
    """What a coroutine is told."""
    seen = await store.aread_many(keys, ())
    return None if seen is None else seen.entries


def connections(direct: client.Redis) -> int:
    """Of all clients but this one."""
    return len(direct.client_list()) - 1


class TestLooks:
    def test_same_as_in_a_thread(self, store: RedisStore) -> None:
        """Entries, versions, and what is missing."""
        versions = store.begin_fill("key", ["one", "two"], 0).versions
        put(store, ["key"])

        async def main() -> Snapshots | None:
            await opened(store)
            return await store.aread_many(["key", "none"], ["two", "none", "one"])

        seen = asyncio.run(main())
        assert seen == Snapshots(entries=(b"key", None), versions=(versions[1], None, versions[0]))
        assert seen == store.read_many(["key", "none"], ["two", "none", "one"])

    def test_first_reads(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """A loop that asks a few times opens nothing; nor do many that ask once."""
        made: list[object] = []
        connect = store._lines._connect
        monkeypatch.setattr(store._lines, "_connect", lambda: made.append(1) or connect())

        async def main(reads: int) -> None:
            for _ in range(reads):
                assert await entries(store, "key") is None
            await asyncio.get_running_loop().shutdown_default_executor()

        asyncio.run(main(lines.FIRST_READS))
        for _ in range(2 * lines.FIRST_READS):
            asyncio.run(main(1))
        assert made == []

    def test_many_at_a_time(self, store: RedisStore, direct: client.Redis) -> None:
        """All of them are answered on one connection, each what it asked for."""
        keys = [f"key{number}" for number in range(500)]
        put(store, keys)
        before = connections(direct)

        async def main() -> list[Any]:
            await opened(store)
            answers = await asyncio.gather(*(entries(store, key) for key in keys))
            assert connections(direct) == before + 1
            return answers

        assert asyncio.run(main()) == [(key.encode(),) for key in keys]

    def test_cancelled(self, store: RedisStore, server: servers.RedisServer) -> None:
        """Who is cancelled while the server thinks leaves the answers of the others theirs."""
        keys = [f"key{number}" for number in range(20)]
        put(store, keys)

        async def main() -> None:
            line = await opened(store)
            server.pause()
            tasks = [asyncio.create_task(entries(store, key)) for key in keys]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.sleep(0)
            server.resume()
            assert await asyncio.gather(*tasks[1::2]) == [(key.encode(),) for key in keys[1::2]]
            assert all(task.cancelled() for task in tasks[::2])
            assert line.is_open
            assert await entries(store, "key3") == (b"key3",)

        asyncio.run(main())

    def test_large(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answers that come in pieces, and questions that go out in pieces."""
        monkeypatch.setattr(lines, "PIECE_BYTES", 100)
        large = os.urandom(1 << 20)
        store.fill_many({"large": large, "small": b"\r\n$-1\r\n"}, None)
        many = [f"{number}" * 1000 for number in range(2000)]

        async def main() -> None:
            line = await opened(store)
            line._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            first, second, third = await asyncio.gather(
                entries(store, "large", "small"), store.aread_many([], many), entries(store, "small")
            )
            assert first == (large, b"\r\n$-1\r\n")
            assert second == Snapshots(entries=(), versions=(None,) * len(many))
            assert third == (b"\r\n$-1\r\n",)

        asyncio.run(main())

    def test_errors(self, store: RedisStore, direct: client.Redis) -> None:
        """What the server refuses is told to whoever asked, and to nobody else."""

        async def main() -> None:
            line = await opened(store)
            with pytest.raises(client.ResponseError, match="wrong number of arguments"):
                await line.mget([])
            assert await entries(store, "key") == (None,)

        asyncio.run(main())

    def test_context(self, store: RedisStore) -> None:
        """Nothing of the task that came first stays with the connection."""

        class Request:
            pass

        current: ContextVar[Request] = ContextVar("current")

        async def first() -> weakref.ref[Request]:
            request = Request()
            current.set(request)
            await opened(store)
            await entries(store, "key")
            return weakref.ref(request)

        async def main() -> None:
            gone = await asyncio.create_task(first())
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None
            assert await entries(store, "key") == (None,)

        asyncio.run(main())


class TestLost:
    def test_restart(self, store: RedisStore, server: servers.RedisServer) -> None:
        """A server that comes back shows nothing of what it had, on a line of its own."""
        put(store, ["key"])

        async def main() -> None:
            before = await opened(store)
            await asyncio.to_thread(server.restart)
            await happens(lambda: not before.is_open)
            assert await entries(store, "key") is None
            after = await opened(store)
            assert after.incarnation != before.incarnation
            assert await entries(store, "key") == (None,)

        asyncio.run(main())

    def test_while_one_waits(self, store: RedisStore, server: servers.RedisServer) -> None:
        """Who waits when the connection is lost is told so at once."""

        async def main() -> None:
            await opened(store)
            server.pause()
            waiting = asyncio.create_task(entries(store, "key"))
            await asyncio.sleep(0)
            server.kill()
            with pytest.raises((client.ConnectionError, ConnectionError)):
                await asyncio.wait_for(waiting, 4)

        asyncio.run(main())

    def test_silence(self, server: servers.RedisServer) -> None:
        """Nobody waits for longer than an exchange may take, and nobody gets a late answer."""
        store = RedisStore.from_url(server.url, timeout_seconds=0.2)
        put(store, ["key", "other"])

        async def main() -> None:
            line = await opened(store)
            assert await entries(store, "key") == (b"key",)
            server.pause()
            try:
                with pytest.raises(client.TimeoutError):
                    await asyncio.wait_for(entries(store, "key"), 4)
                assert not line.is_open
            finally:
                server.resume()
            await opened(store)
            assert await entries(store, "other") == (b"other",)

        asyncio.run(main())
        store.close()

    def test_another_server(self, store: RedisStore) -> None:
        """Once this process has met another server, the line to the one before is used no more."""
        put(store, ["key"])

        async def main() -> None:
            line = await opened(store)
            with servers.redis_server() as successor:
                store.connections.pool.connection_kwargs["port"] = successor.port
                for connection, _ in store.connections._idle:
                    connection.disconnect()
                    connection.port = successor.port
                store.mark(["else"], "writer", 30)
                assert await entries(store, "key") is None
                assert not line.is_open
                await opened(store)
                assert await entries(store, "key") == (None,)

        asyncio.run(main())

    def test_not_asked_for(self, store: RedisStore) -> None:
        """What comes without a question ends the line: from then on, no answer would be known to be whose."""

        async def main() -> None:
            line = await opened(store)
            line._sock.send(b"MGET key\r\n")
            await happens(lambda: not line.is_open)
            assert await entries(store, "key") is None

        asyncio.run(main())

    def test_no_server(self) -> None:
        """Where no connection can be made, a thread is left to tell why."""
        with servers.redis_server() as server:
            store = RedisStore.from_url(server.url)
            store.read_many(["key"], ())

        async def main() -> None:
            for _ in range(2 * lines.FIRST_READS):
                assert not store.may_await()
                await asyncio.sleep(0)
            await asyncio.get_running_loop().shutdown_default_executor()
            await asyncio.sleep(0)
            [seat] = store._lines._seats.values()
            assert not seat.is_opening

        asyncio.run(main())
        store.close()

    def test_loops_that_watch_no_sockets(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """On those it is a thread that asks, and one try to do without is enough."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            tries: list[object] = []

            def refuse(*given: object) -> None:
                tries.append(given)
                raise NotImplementedError

            monkeypatch.setattr(type(loop), "add_reader", refuse)
            for _ in range(5 * lines.FIRST_READS):
                assert not store.may_await()
                await asyncio.sleep(0.005)
            assert len(tries) == 1
            monkeypatch.undo()

        asyncio.run(main())


class TestEnds:
    @pytest.mark.parametrize("busy", [False, True])
    def test_loop(self, store: RedisStore, direct: client.Redis, server: servers.RedisServer, busy: bool) -> None:
        """A loop that ends leaves no connection, also where a task still waited for an answer, and warns of nothing."""
        before = connections(direct)

        async def main() -> weakref.ref[Any]:
            await opened(store)
            assert await entries(store, "key") == (None,)
            if busy:
                server.pause()
                asyncio.create_task(entries(store, "key"))  # noqa: RUF006  it is to be left alone
                await asyncio.sleep(0)
            return weakref.ref(asyncio.get_running_loop())

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loops = [asyncio.run(main())]
            server.resume()
            loops += [asyncio.run(main()) for _ in range(3 * (not busy))]

            async def last() -> None:
                await entries(store, "key")

            asyncio.run(last())
            gc.collect()
        assert [loop() for loop in loops] == [None] * len(loops)
        # One in the pool.
        assert connections(direct) <= before + 1

    def test_line(self, store: RedisStore) -> None:
        """With the line goes its socket, also where somebody still holds the connection."""

        async def main() -> Any:
            return (await opened(store))._connection

        held = asyncio.run(main())
        gc.collect()
        assert held._sock is None

    def test_store(self, store: RedisStore, direct: client.Redis) -> None:
        """A store that is closed, by whatever thread, closes the lines of loops that go on."""
        before = connections(direct)

        async def main() -> None:
            line = await opened(store)
            await asyncio.to_thread(store.close)
            await happens(lambda: not line.is_open)
            assert await entries(store, "key") is None
            await happens(lambda: connections(direct) <= before)

        asyncio.run(main())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="The system does not fork.")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_fork(self, store: RedisStore) -> None:
        """A forked child takes no answer of its parent's, who goes on."""
        put(store, ["key"])

        async def main() -> None:
            await opened(store)
            child = os.fork()
            if not child:
                store.after_fork()
                os._exit(len(store._lines._seats))
            assert await asyncio.to_thread(lambda: os.waitpid(child, 0)[1]) == 0
            assert await entries(store, "key") == (b"key",)

        asyncio.run(main())


class TestAddresses:
    def looks(self, store: RedisStore) -> None:
        """A coroutine is told what is stored."""
        put(store, ["key"])

        async def main() -> None:
            await opened(store)
            assert await asyncio.gather(*(entries(store, "key") for _ in range(50))) == [(b"key",)] * 50

        asyncio.run(main())
        store.close()

    @pytest.mark.parametrize("protocol", [2, 3])
    def test_protocols(self, server: servers.RedisServer, protocol: int) -> None:
        """Either version of the protocol."""
        self.looks(RedisStore.from_url(server.url, protocol=protocol))

    def test_password(self, server: servers.RedisServer, direct: client.Redis) -> None:
        """A server that asks for one."""
        direct.config_set("requirepass", "secret")
        self.looks(RedisStore.from_url(server.url.replace("//", "//:secret@")))

    def test_unix_socket(self, tmp_path: Path) -> None:
        """A socket in the file system."""
        path = tmp_path / "redis.sock"
        with servers.redis_server("--unixsocket", str(path)):
            self.looks(RedisStore.from_url(f"unix://{path}", connection_class=client.UnixDomainSocketConnection))

    def test_tls(self, tmp_path: Path) -> None:
        """An encrypted connection, which may hold more than its socket tells of."""
        key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", servers._free_port()
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        options = ["--tls-port", f"{port}", "--tls-cert-file", f"{certificate}", "--tls-key-file", f"{key}"]
        with servers.redis_server(*options, "--tls-auth-clients", "no"):
            address = f"rediss://127.0.0.1:{port}"
            store = RedisStore.from_url(address, connection_class=client.SSLConnection, ssl_cert_reqs="none")
            large = os.urandom(1 << 20)
            store.fill_many({"large": large}, None)

            async def main() -> None:
                await opened(store)
                assert await entries(store, "large") == (large,)

            asyncio.run(main())
            self.looks(store)

    def test_slow_network(self, server: servers.RedisServer) -> None:
        """A network that stops and goes on delivers what was asked for, in order."""
        network = Network(server.port)
        store = RedisStore.from_url(network.url, timeout_seconds=5.0)
        put(store, ["key", "other"])

        async def main() -> None:
            line = await opened(store)
            with network.stopped(line._sock):
                tasks = [asyncio.create_task(entries(store, key)) for key in ("key", "other")]
                await asyncio.sleep(0.05)
                assert not any(task.done() for task in tasks)
            assert await asyncio.gather(*tasks) == [(b"key",), (b"other",)]

        asyncio.run(main())
        store.close()
        network.close()


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_parse(piece: int) -> None:
    """Answers are found wherever the pieces end."""
    data = b"*3\r\n$2\r\n\r\n\r\n$-1\r\n_\r\n" + b"-ERR no\r\n" + b"*0\r\n"
    found: list[Any] = []
    rest = b""
    for at in range(0, len(data), piece):
        rest += data[at : at + piece]
        while rest:
            try:
                values, following = lines._parse(rest, 0)
            except IndexError:
                break
            found.append(str(values) if isinstance(values, Exception) else values)
            rest = rest[following:]
    assert found == [[b"\r\n", None, None], "ERR no", []]


@pytest.mark.parametrize("data", [b"+OK\r\n", b">2\r\n", b"*1\r\n:1\r\n", b"*x\r\n"])
def test_parse_refuses(data: bytes) -> None:
    """What is no answer to MGET is an error, not an answer."""
    with pytest.raises((client.exceptions.InvalidResponse, ValueError)):
        lines._parse(data, 0)
