"""Which store serves which cache alias."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache

from everfresh.exceptions import StoreMisconfigured
from everfresh.stores import close_stores, open_store
from everfresh.stores.django import DjangoStore
from everfresh.stores.near import NearStore
from everfresh.stores.redis import RedisStore
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django.fixtures import SettingsWrapper

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"


class Foreign(BaseCache):
    """Shaped like the backends of django-redis and django-valkey, which need not be installed."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._server = server
        self._params = params
        self._ignore_exceptions = params.get("OPTIONS", {}).get("IGNORE_EXCEPTIONS", False)


class DjangoRedis(Foreign):
    """Goes by the name of django-redis's backend."""


class DjangoValkey(Foreign):
    """Goes by the name of django-valkey's backend."""


DjangoRedis.__module__, DjangoRedis.__qualname__ = "django_redis.cache", "RedisCache"
DjangoValkey.__module__, DjangoValkey.__qualname__ = "django_valkey.cache", "ValkeyCache"


class OwnRedisCache(RedisCache):
    """A project's own subclass."""


class Sentinel(servers.RedisServer):
    """A Redis server in the role of a sentinel of the service called "service"."""

    primary_port = 0

    def prepare(self) -> None:
        (self.directory / "sentinel.conf").write_text(f"sentinel monitor service {self.host} {self.primary_port} 1\n")

    def command(self) -> list[str]:
        program, *options = super().command()
        return [program, "sentinel.conf", *options[:4], "--sentinel"]


@pytest.fixture
def alias(settings: SettingsWrapper) -> Iterator[Callable[..., str]]:
    """Call it with a backend and its parameters; the name of the alias it made."""

    def make(backend: str, location: Any = "", **params: Any) -> str:
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location, **params}}
        return "default"

    yield make
    close_stores()


def connection_kwargs(store: Any) -> dict[str, Any]:
    """What the pool of a guarded Redis store makes its connections of."""
    assert isinstance(store.store, NearStore)
    assert isinstance(store.store.store, RedisStore)
    return {
        name: value
        for name, value in store.store.store.connections.pool.connection_kwargs.items()
        if not name.endswith("_func")
    }


class TestDjangosOwn:
    def test_plain_backend(self, alias: Callable[..., str]) -> None:
        """Any backend that is no Redis gets the plain store."""
        store = open_store(alias(LOCMEM))

        assert isinstance(store.store, DjangoStore)
        assert store.begin_fill("key", ["tag"], 5).versions == store.read("key", ["tag"]).versions != (None,)

    @pytest.mark.parametrize("backend", [REDIS, "tests.stores.test_aliases.OwnRedisCache"])
    def test_redis_backend(self, alias: Callable[..., str], redis: servers.RedisServer, backend: str) -> None:
        """Django's Redis backend, or a subclass, gets the Redis store: first server, same options, same key prefix."""
        location = [f"{redis.url}/3", "redis://replica.invalid:1"]
        options = {"client_name": "everfresh", "serializer": "no.such.Serializer", "db": 2}
        options |= {"pool_class": "redis.BlockingConnectionPool", "parser_class": "redis.connection._RESP3Parser"}
        store = open_store(alias(backend, location, KEY_PREFIX="site", VERSION=7, OPTIONS=options), timeout_seconds=0.3)

        used = connection_kwargs(store)
        assert (used["port"], used["db"], used["client_name"]) == (redis.port, 3, "everfresh")
        assert (used["socket_timeout"], used["socket_connect_timeout"]) == (0.3, 0.3)
        assert store.begin_fill("key", ["tag"], 5).versions == store.read("key", ["tag"]).versions != (None,)
        assert store.store.store._prefix == "site:7:ef:"  # type: ignore[attr-defined]

    def test_options_win(self, alias: Callable[..., str]) -> None:
        """A time-out in OPTIONS is the user's word, and goes before the setting for all stores."""
        store = open_store(alias(REDIS, "redis://h", OPTIONS={"socket_timeout": 9}), timeout_seconds=0.3)

        assert connection_kwargs(store)["socket_timeout"] == 9


class TestOthers:
    @pytest.mark.parametrize("name", ["DjangoRedis", "DjangoValkey"])
    @pytest.mark.parametrize(
        "location",
        [
            "{scheme}://:secret@host:7/2",
            "{scheme}://:secret@host:7/2,{scheme}://replica",
            ["{scheme}://:secret@host:7/2"],
        ],
    )
    def test_single_server(self, alias: Callable[..., str], name: str, location: Any) -> None:
        """django-redis and django-valkey get the Redis store on their first server, with their pool's options."""
        scheme = "redis" if name == "DjangoRedis" else "valkey"
        location = [each.format(scheme=scheme) for each in ([location] if isinstance(location, str) else location)]
        options = {
            "CONNECTION_POOL_KWARGS": {"client_name": "everfresh"},
            "CLIENT_CLASS": f"{scheme}.client.HerdClient",
        }
        store = open_store(
            alias(f"tests.stores.test_aliases.{name}", location if len(location) > 1 else location[0], OPTIONS=options)
        )

        used = connection_kwargs(store)
        assert (used["host"], used["port"], used["db"], used["password"]) == ("host", 7, 2, "secret")
        assert used["client_name"] == "everfresh"

    def test_password_in_the_options(self, alias: Callable[..., str]) -> None:
        """A password in OPTIONS is used."""
        store = open_store(
            alias("tests.stores.test_aliases.DjangoRedis", "redis://host", OPTIONS={"PASSWORD": "secret"})
        )

        assert connection_kwargs(store)["password"] == "secret"

    @pytest.mark.parametrize("client_class", ["django_redis.client.ShardClient", "my.OwnClient"])
    def test_several_servers(self, alias: Callable[..., str], client_class: str) -> None:
        """Where keys are spread by the backend's own client, it goes on doing that."""
        store = open_store(
            alias(
                "tests.stores.test_aliases.DjangoRedis",
                ["redis://a", "redis://b"],
                OPTIONS={"CLIENT_CLASS": client_class},
            )
        )

        assert isinstance(store.store, DjangoStore)

    def test_sentinel(self, alias: Callable[..., str], redis: servers.RedisServer) -> None:
        """With sentinels, the store is on the primary that they name."""
        sentinel = Sentinel()
        sentinel.primary_port = redis.port
        with sentinel.launch():
            store = open_store(
                alias(
                    "tests.stores.test_aliases.DjangoRedis",
                    "redis://service/4",
                    OPTIONS={
                        "CLIENT_CLASS": "django_redis.client.SentinelClient",
                        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
                        "SENTINELS": [(sentinel.host, sentinel.port)],
                    },
                )
            )
            assert store.begin_fill("key", ["tag"], 5).versions == store.read("key", ["tag"]).versions != (None,)
            assert connection_kwargs(store)["db"] == 4
            # Near copies too.
            store.fill("key", b"entry", b"", 60)
            store.read("other", ["tag"], near=True)
            assert store.read("key", ["tag"], near=True).held is not None
            close_stores()
            # Those to the sentinel too.
            pool = store.store.store.connections.pool  # type: ignore[attr-defined]
            pools = [pool, *(each.connection_pool for each in pool.sentinel_manager.sentinels)]
            assert [[each._sock for each in one._available_connections] for one in pools] == [[None], [None]]

    def test_hidden_errors(self, alias: Callable[..., str]) -> None:
        """A backend that hides its errors would drop invalidations, so it is refused with the way out."""
        options = {"IGNORE_EXCEPTIONS": True, "CLIENT_CLASS": "django_redis.client.ShardClient"}
        with pytest.raises(StoreMisconfigured) as caught:
            open_store(alias("tests.stores.test_aliases.DjangoRedis", "redis://a", OPTIONS=options))

        assert str(caught.value) == (
            "The cache 'default' hides its errors: leave out IGNORE_EXCEPTIONS (ignore_exc), or name another cache."
        )

    def test_hidden_errors_of_memcached(self, alias: Callable[..., str]) -> None:
        """So is Memcached with ``ignore_exc``."""
        backend = "django.core.cache.backends.memcached.PyMemcacheCache"
        with pytest.raises(StoreMisconfigured, match="hides its errors"):
            open_store(alias(backend, "127.0.0.1:1", OPTIONS={"ignore_exc": True}))


class TestOneForEachProcess:
    def test_the_same_store(self, alias: Callable[..., str]) -> None:
        """Each process has one store for an alias, whichever thread asks."""
        name = alias(LOCMEM)
        others: list[object] = []
        thread = threading.Thread(target=lambda: others.append(open_store(name)))
        thread.start()
        thread.join()

        assert others == [open_store(name)]

    def test_each_thread_its_backend(self, alias: Callable[..., str]) -> None:
        """The plain store uses the backend object of the thread that asks, as Django wants it."""
        store = open_store(alias(LOCMEM)).store
        assert isinstance(store, DjangoStore)
        seen: list[object] = [store._cache._connections[store._cache._alias], caches["default"]]
        thread = threading.Thread(target=lambda: seen.append(caches["default"]))
        thread.start()
        thread.join()

        assert seen[0] is seen[1]
        assert seen[0] is not seen[2]

    @pytest.mark.slow
    def test_forked_child(self, alias: Callable[..., str], memcached: servers.MemcachedServer) -> None:
        """A forked child opens a connection of its own, and parent and child do not read each other's replies."""
        name = alias("django.core.cache.backends.memcached.PyMemcacheCache", f"{memcached.host}:{memcached.port}")
        store = open_store(name)
        store.fill("parent", b"parent", b"", None)
        here = caches[name]
        child = os.fork()
        if child == 0:
            wrong = 1
            try:
                if caches[name] is not here:
                    for turn in range(50):
                        store.fill("child", b"child %d" % turn, b"", None)
                        if store.read("child", []).entry != b"child %d" % turn:
                            break
                    else:
                        wrong = 0
            finally:
                os._exit(wrong)
        for _ in range(50):
            assert store.read("parent", []).entry == b"parent"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert caches[name] is here

    def test_forked_child_of_one_that_never_used_it(self, alias: Callable[..., str]) -> None:
        """There is nothing to leave alone then."""
        store = open_store(alias(LOCMEM)).store
        assert isinstance(store, DjangoStore)
        del caches["default"]
        store.after_fork()

        assert store.read("key", []).entry is None

    def test_other_settings(self, alias: Callable[..., str]) -> None:
        """When CACHES changes, as in tests, the store is another one."""
        before = open_store(alias(LOCMEM, "one"))

        assert open_store(alias(LOCMEM, "two")) is not before

    def test_no_such_alias(self, alias: Callable[..., str]) -> None:
        """An alias that CACHES lacks is said to be missing."""
        alias(LOCMEM)
        with pytest.raises(StoreMisconfigured, match=r"^CACHES has no usable 'missing': "):
            open_store("missing")
