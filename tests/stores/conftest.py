"""Servers for the stores' tests, one of each kind for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis as client

from everfresh.stores.near import NearStore
from everfresh.stores.redis import RedisStore
from tests import servers
from tests.stores.nearby import CountingConnection, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.RedisServer]:
    """A Redis of our own."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[servers.MemcachedServer]:
    """A Memcached of our own."""
    with servers.memcached_server() as server:
        yield server


@pytest.fixture
def server() -> Iterator[servers.RedisServer]:
    """A Redis that the test may mistreat."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def opened(server: servers.RedisServer) -> Iterator[Callable[..., NearStore]]:
    """Makes stores with near copies on it, or on another address; a busy machine is no silent one."""
    made: list[NearStore] = []

    def make(url: str = server.url, redis: dict[str, Any] | None = None, **options: Any) -> NearStore:
        kwargs = {"timeout_seconds": 5.0, "connection_class": CountingConnection, **(redis or {})}
        made.append(NearStore(RedisStore.from_url(url, **kwargs), **{"silence_seconds": 10.0, **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def near_store(opened: Callable[..., NearStore]) -> NearStore:
    """The reader's store, with an open connection."""
    return connected(opened())


@pytest.fixture
def other(server: servers.RedisServer) -> Iterator[RedisStore]:
    """Another process's store."""
    store = RedisStore.from_url(server.url)
    yield store
    store.close()


@pytest.fixture
def direct(server: servers.RedisServer) -> Iterator[client.Redis]:
    """A client of no store."""
    with client.Redis.from_url(server.url) as direct:
        yield direct
