"""Servers for the stores' tests, one of each kind for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator


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
