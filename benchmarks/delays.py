"""Links with a delay: a proxy in a process of its own, between the contenders and the servers.

What arrives is passed on when its time has come, in both directions, and nothing waits for anything else: the delay is
that of a longer cable, not of a narrower one. ``python -m benchmarks.delays SECONDS PORT…`` prints the ports it listens
on and ends with its standard input.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter

__all__ = ["delayed", "round_trip"]

HOST = "127.0.0.1"
FULL = 4 << 20  # bytes under way on one link, above which its sender must wait


@contextmanager
def delayed(seconds: float, *ports: int) -> Iterator[list[int]]:
    """The ports that lead to *ports*, each way taking *seconds*."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.delays", str(seconds), *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def round_trip(port: int, question: bytes = b"PING\r\n", turns: int = 200) -> float:
    """The seconds that an answer of a server (Redis, for this question) takes: the lower quartile."""
    taken = []
    with socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(turns):
            before = perf_counter()
            connection.sendall(question)
            connection.recv(1024)
            taken.append(perf_counter() - before)
    return quantiles(taken, n=4)[0]


# In the process


@dataclass
class Clock:
    """When to wake so as to be in time on the average: a timer is late, by more on one machine than on another."""

    delay: float
    lead: float = 0.0
    """Seconds by which we wake before the time."""

    def is_time(self, due: float) -> bool:
        """Has this time come? If so, learn from how late it is."""
        late = perf_counter() - due
        if late < -self.lead:
            return False
        # Who was kept from running for long learns little from it.
        self.lead += 0.05 * max(-1e-4, min(late, 1e-4))
        self.lead = max(0.0, min(self.lead, self.delay))
        return True


@dataclass(eq=False)
class Link:
    """One direction of one connection."""

    source: socket.socket
    target: socket.socket
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    """What is under way, with the time at which it arrives; empty bytes are the end."""

    size: int = 0
    blocked: bool = False
    """Does the target take no more for now?"""

    ended: bool = False

    def hear(self, delay: float) -> None:
        """Take what the source has sent."""
        try:
            said = self.source.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self.ended = not said
        self.size += len(said)
        self.waiting.append((perf_counter() + delay, said))

    def pass_on(self, clock: Clock) -> None:
        """Give the target what has arrived."""
        self.blocked = False
        while self.waiting and clock.is_time(self.waiting[0][0]):
            due, said = self.waiting.popleft()
            if not said:
                with suppress(OSError):
                    self.target.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = self.target.send(said)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.ended = True
                self.waiting.clear()
                return
            self.size -= sent
            if sent < len(said):
                self.waiting.appendleft((due, said[sent:]))
                self.blocked = True
                return


def serve(delay: float, ports: list[int]) -> None:
    """Pass everything on until the standard input ends."""
    with suppress(OSError):  # wake within a microsecond of the time, not within fifty
        Path("/proc/self/timerslack_ns").write_text("1000")
    doors = {_listener(): port for port in ports}
    print(json.dumps([door.getsockname()[1] for door in doors]), flush=True)
    links: list[Link] = []
    clock = Clock(delay)
    while True:
        hearing = {link.source: link for link in links if not link.ended and link.size < FULL}
        full = {link.target: link for link in links if link.blocked}
        readable, _, _ = select.select([sys.stdin, *doors, *hearing], [*full], [], _until_next(links, clock))
        for socket_ in readable:
            if socket_ is sys.stdin:
                return
            if socket_ in doors:
                links += _connected(socket_.accept()[0], doors[socket_])
            else:
                hearing[socket_].hear(delay)
        for link in links:
            link.pass_on(clock)
        _close_ended(links)


def _until_next(links: list[Link], clock: Clock) -> float | None:
    times = [link.waiting[0][0] for link in links if link.waiting and not link.blocked]
    return max(0.0, min(times) - clock.lead - perf_counter()) if times else None


def _listener() -> socket.socket:
    listener = socket.create_server((HOST, 0), backlog=128)
    listener.setblocking(False)
    return listener


def _connected(client: socket.socket, port: int) -> list[Link]:
    server = socket.create_connection((HOST, port))
    for each in (client, server):
        each.setblocking(False)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return [Link(client, server), Link(server, client)]


def _close_ended(links: list[Link]) -> None:
    over = {link.source: link.target for link in links if link.ended and not link.waiting}
    for source, target in over.items():
        if source in over and over.get(target) is source:
            source.close()
            links[:] = [link for link in links if link.source not in (source, target)]
            target.close()


if __name__ == "__main__":
    serve(float(sys.argv[1]), [int(port) for port in sys.argv[2:]])
