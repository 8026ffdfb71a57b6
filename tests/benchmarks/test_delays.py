"""The proxy that makes links slow."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import perf_counter

import pytest

from benchmarks.delays import Clock, delayed, round_trip

DELAY = 0.02  # seconds; long beside what a busy machine adds


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears, to any number of clients."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(client: socket.socket) -> None:
            with client:
                while said := client.recv(1 << 16):
                    client.sendall(said)

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=[client], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def received(client: socket.socket, size: int) -> bytes:
    """So many bytes."""
    parts = []
    while size:
        parts.append(client.recv(min(size, 1 << 16)))
        assert parts[-1]
        size -= len(parts[-1])
    return b"".join(parts)


def test_each_way_takes_the_delay(echo: int) -> None:
    """A question and its answer take twice the delay, and what a busy machine adds."""
    with delayed(DELAY, echo) as (port,):
        assert 1.95 * DELAY < round_trip(port, turns=5) < 5 * DELAY


def test_what_is_under_way_does_not_wait_for_one_another(echo: int) -> None:
    """A hundred small messages and two megabytes, sent at once, take little longer than one; nothing is changed."""
    sent = bytes(range(256)) * 8192
    with delayed(DELAY, echo) as (port,), socket.create_connection(("127.0.0.1", port)) as client:
        begin = perf_counter()
        sender = threading.Thread(
            target=lambda: [client.sendall(b"x" * 10) for _ in range(100)] + [client.sendall(sent)]
        )
        sender.start()
        assert b"x" * 1000 + sent == received(client, 1000 + len(sent))
        sender.join()

        assert perf_counter() - begin < 50 * DELAY


def test_the_end_of_a_connection_is_passed_on(echo: int) -> None:
    """Who has said all and hears the other's last word sees the end."""
    with delayed(DELAY, echo) as (port,), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert b"last" == received(client, 4)
        assert b"" == client.recv(10)


def test_the_clock_wakes_earlier_where_timers_are_late() -> None:
    """What is always late by some microseconds is woken for so much earlier; one long pause changes little."""
    clock = Clock(delay=0.001)
    for _ in range(200):
        assert clock.is_time(perf_counter() - 5e-5 + clock.lead)
    learned = clock.lead
    clock.is_time(perf_counter() - 1)

    assert 1e-5 < learned < 1e-3
    assert clock.lead - learned <= 5e-6 + 1e-9
    assert not clock.is_time(perf_counter() + 1)
