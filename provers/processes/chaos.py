"""What goes wrong during a run: one thing after another, as long as it lasts."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    from provers.processes.running import Crew
    from tests.servers import Server

__all__ = ["DISASTERS", "Disaster"]

Disaster = Callable[["Crew", "Server"], None]


def kill_writer(crew: Crew, _store: Server) -> None:
    """``kill -9`` of a writer, wherever it is; another one takes its place."""
    crew.kill_one("writer")


def flush_all(_crew: Crew, store: Server) -> None:
    """``FLUSHALL``: every entry, version and mark is gone."""
    _redis(store).flushall()


def kill_clients(_crew: Crew, store: Server) -> None:
    """``CLIENT KILL`` of all connections."""
    _redis(store).client_kill_filter(_type="normal", skipme=True)


def restart_store(_crew: Crew, store: Server) -> None:
    """Redis is killed and comes back, with what it last saved."""
    client = _redis(store)
    if random.random() < 0.5:
        client.save()
    store.kill()
    store.restart()


def evict(_crew: Crew, store: Server) -> None:
    """A third of all keys, of whatever kind, goes as if for want of memory."""
    client = _redis(store)
    keys = list(client.scan_iter(count=10_000))
    if keys:
        client.delete(*random.sample(keys, max(1, len(keys) // 3)))


def freeze_store(_crew: Crew, store: Server) -> None:
    """Redis does not answer for a second."""
    import time

    store.pause()
    time.sleep(1)
    store.resume()


def _redis(store: Server) -> redis.Redis:
    return redis.Redis.from_url(store.url)


DISASTERS: dict[str, Disaster] = {
    "kill -9": kill_writer,
    "FLUSHALL": flush_all,
    "CLIENT KILL": kill_clients,
    "restart": restart_store,
    "evict": evict,
    "freeze": freeze_store,
}
