"""What the tests of near copies share: an entry, a count of exchanges, and a network that can be stopped."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from redis.connection import Connection

from everfresh.stores import copies
from tests import servers

if TYPE_CHECKING:
    from everfresh.stores import Snapshot
    from everfresh.stores.near import NearStore
    from everfresh.stores.redis import RedisStore

TAGS = ("one", "two")
ENTRY = b"entry"


class CountingConnection(Connection):
    """Counts what it writes to the socket in one go."""

    requests = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        type(self).requests += 1
        super().send_packed_command(command, check_health)


def connected(store: NearStore) -> NearStore:
    """*store*, after its first near read."""
    store.read("nothing", (), near=True)
    assert store._pushes is not None
    return store


def hold(store: NearStore, key: str = "key", tags: Sequence[str] = TAGS, entry: bytes = ENTRY) -> Snapshot:
    """The copy of an entry, which is stored first."""
    store.begin_fill(key, tags, 0)
    store.fill(key, entry, b"", None)
    settle(store)
    store.read(key, tags, near=True)
    held = store.peek(key, tags)
    assert held is not None
    return held


def answered(store: RedisStore) -> None:
    """Wait until the server has done all that was posted to it."""
    store.connections.ask(lambda _: [("PING",)])


def settle(store: NearStore) -> None:
    """Wait until the store has heard of all that changed so far."""
    answered(store.store)
    for _ in range(2):
        store.peek("nothing", ())
        assert store._pushes is not None
        if store._pinged is None:
            store._pushes.ping()
            store._pinged = copies.monotonic()
        while store._pinged is not None:
            something_comes(store)
            store.peek("nothing", ())


def something_comes(store: NearStore) -> None:
    """Wait until there is something to take."""
    assert store._pushes is not None
    assert select.select([store._pushes._sock], [], [], 10)[0]


def exchanges(work: Callable[[], object]) -> int:
    """How often *work* writes to a server."""
    before = CountingConnection.requests
    work()
    return CountingConnection.requests - before


class Network:
    """Carries what goes between clients and the server at *port*, and can stop to, for one client alone."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server((servers.HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows: dict[int, threading.Event] = {}
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where clients find the server."""
        return f"redis://{servers.HOST}:{self.port}"

    @contextlib.contextmanager
    def stopped(self, client: Any) -> Iterator[None]:
        """Nothing comes to the socket *client*, and nothing from it arrives, while the block runs."""
        flow = self._flows[client.getsockname()[1]]
        flow.clear()
        try:
            yield
        finally:
            flow.set()

    def close(self) -> None:
        """Break all connections."""
        for flow in self._flows.values():
            flow.set()
        for each in self._sockets:
            # A thread that waits for it would not notice that it is closed.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, (_, number) = self._listener.accept()
                far = socket.create_connection((servers.HOST, self._to))
                self._sockets += [near, far]
                self._flows[number] = flow = threading.Event()
                flow.set()
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(*pair, flow), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, flow: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                flow.wait()
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
