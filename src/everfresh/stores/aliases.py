"""From the name of a cache in ``CACHES`` to the store that serves it best, one for each process."""

from __future__ import annotations

import atexit
import logging
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.core.cache import caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.signals import setting_changed
from django.utils.connection import ConnectionProxy
from django.utils.module_loading import import_string

from everfresh.exceptions import StoreMisconfigured
from everfresh.stores.django import DjangoStore
from everfresh.stores.guard import GuardedStore
from everfresh.stores.missing import MissingStore

if TYPE_CHECKING:
    from everfresh.stores.base import Store
    from everfresh.stores.redis import RedisStore

__all__ = ["close_stores", "open_store", "usable_store"]

logger = logging.getLogger("everfresh")

DJANGO_BACKEND = "django.core.cache.backends.redis.RedisCache"
OTHER_BACKENDS = frozenset({"django_redis.cache.RedisCache", "django_valkey.cache.ValkeyCache"})
SINGLE_SERVER_CLIENTS = frozenset({"DefaultClient", "HerdClient", "SentinelClient"})

_stores: dict[str, GuardedStore] = {}
_owed: dict[str, set[str]] = {}
"""By alias: the tags whose invalidation a closed store could not send."""

_opening = threading.Lock()


def open_store(
    alias: str,
    *,
    timeout_seconds: float = 0.5,
    pause_seconds: float = 1.0,
    near_bytes: int = 64_000_000,
    near_seconds: float = 1.0,
) -> GuardedStore:
    """The store in the cache *alias*, opened at the first call in this process.

    Args:
        alias: A key of ``CACHES``.
        timeout_seconds: How long one exchange with Redis may take. Other backends have timeouts of their own.
        pause_seconds: How long readers do without the store after an error.
        near_bytes: Of the copies of what is on Redis that this process keeps for near reads, all together.
        near_seconds: How long Redis may be silent before these are passed over.

    Raises:
        StoreMisconfigured: If there is no such cache, or it hides its errors.
    """
    try:
        found = _stores[alias]
    except KeyError:
        with _opening:
            if alias not in _stores:
                store = _choose(alias, timeout_seconds, near_bytes, near_seconds)
                _stores[alias] = _guarded(alias, store, pause_seconds)
            found = _stores[alias]
    if isinstance(found.store, MissingStore):
        raise found.store.error
    return found


def usable_store(
    alias: str,
    *,
    timeout_seconds: float = 0.5,
    pause_seconds: float = 1.0,
    near_bytes: int = 64_000_000,
    near_seconds: float = 1.0,
) -> GuardedStore:
    """As :func:`open_store`, but a store that cannot be opened counts as one that is down: no reader or writer fails.

    The system checks say what is wrong with the settings, and so does a warning in the log.
    """
    try:
        return _stores[alias]
    except KeyError:
        pass
    try:
        return open_store(
            alias,
            timeout_seconds=timeout_seconds,
            pause_seconds=pause_seconds,
            near_bytes=near_bytes,
            near_seconds=near_seconds,
        )
    except Exception as error:  # noqa: BLE001  whatever a backend raises when it is made
        with _opening:
            return _stores.setdefault(alias, _guarded(alias, MissingStore(error), pause_seconds))


def close_stores() -> None:
    """Close every open store after a last try to send what is unsent; the next :func:`open_store` opens it anew.

    What is left unsent even then is owed by the store that is opened next under the same alias.
    """
    while _stores:
        alias, store = _stores.popitem()
        store.close()
        if store.unsent:
            _owed.setdefault(alias, set()).update(store.unsent)


def _guarded(alias: str, store: Store, pause_seconds: float) -> GuardedStore:
    guarded = GuardedStore(store, pause_seconds)
    if owed := _owed.pop(alias, None):
        guarded.owe(owed)
    return guarded


def _choose(alias: str, timeout_seconds: float, near_bytes: int, near_seconds: float) -> Store:
    try:
        cache = caches[alias]
    except InvalidCacheBackendError as error:
        raise StoreMisconfigured(f"CACHES has no usable {alias!r}: {error}") from error
    if find_spec("redis") is not None and (store := _redis_store(cache, timeout_seconds)) is not None:
        from everfresh.stores.near import NearStore

        return NearStore(store, limit_bytes=near_bytes, silence_seconds=near_seconds)
    options = getattr(cache, "_options", None) or {}
    if getattr(cache, "_ignore_exceptions", False) or options.get("ignore_exc"):
        # django-redis and pymemcache: an invalidation that was not sent would look like one that was.
        raise StoreMisconfigured(
            f"The cache {alias!r} hides its errors: leave out IGNORE_EXCEPTIONS (ignore_exc), or name another cache."
        )
    # A proxy, because Django gives each thread a backend object of its own, which must not leave it.
    return DjangoStore(ConnectionProxy(caches, alias))


def _redis_store(cache: Any, timeout_seconds: float) -> RedisStore | None:
    """A store of our own on the server that *cache* uses, under its key prefix; None if it is no single Redis."""
    paths = {f"{each.__module__}.{each.__qualname__}" for each in type(cache).__mro__}
    prefix = f"{cache.key_prefix}:{cache.version}:ef:"
    if DJANGO_BACKEND in paths:
        from everfresh.stores.redis import RedisStore

        # The first server is the primary. Replicas are no use here: a version that comes late is a version that is
        # wrong.
        options = {name: value for name, value in cache._options.items() if name != "serializer"}
        url = cache._servers[0]
    elif paths & OTHER_BACKENDS:
        from everfresh.stores.redis import RedisStore

        settings = cache._params.get("OPTIONS", {})
        client = str(settings.get("CLIENT_CLASS", "DefaultClient")).rpartition(".")[2]
        if client not in SINGLE_SERVER_CLIENTS or ("CONNECTION_FACTORY" in settings and "SENTINELS" not in settings):
            return None
        server = cache._server
        url = (server.split(",") if isinstance(server, str) else list(server))[0]
        # django-valkey has schemes of its own for the same protocol.
        url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        options = dict(settings.get("CONNECTION_POOL_KWARGS", {}))
        if settings.get("PASSWORD"):
            options["password"] = settings["PASSWORD"]
        if "SENTINELS" in settings:
            return _sentinel_store(url, settings, options, prefix, timeout_seconds)
        if settings.get("CONNECTION_POOL_CLASS"):
            options["pool_class"] = settings["CONNECTION_POOL_CLASS"]
    else:
        return None
    for name in ("pool_class", "parser_class", "connection_class"):
        if isinstance(options.get(name), str):
            options[name] = import_string(options[name])
    return RedisStore.from_url(url, prefix, **{"timeout_seconds": timeout_seconds, **options})


def _sentinel_store(
    url: str, settings: dict[str, Any], options: dict[str, Any], prefix: str, timeout_seconds: float
) -> RedisStore:
    """A store on the primary that the sentinels name; in *url*, the host is the name of the service."""
    import redis.connection
    import redis.sentinel

    from everfresh.stores.redis import RedisStore, connection_options

    # Without types in redis-py.
    parse_url: Any = redis.connection.parse_url
    sentinel_class: Any = redis.sentinel.Sentinel
    pool_class: Any = redis.sentinel.SentinelConnectionPool

    where = parse_url(url)
    sentinel = sentinel_class(
        settings["SENTINELS"], sentinel_kwargs=settings.get("SENTINEL_KWARGS"), **connection_options(timeout_seconds)
    )
    options = connection_options(timeout_seconds) | options
    options |= {name: where[name] for name in ("db", "username", "password") if name in where}
    pool = pool_class(where["host"], sentinel, ssl=urlsplit(url).scheme == "rediss", **options)
    return RedisStore(pool, prefix)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "CACHES":
        close_stores()


setting_changed.connect(_forget, dispatch_uid="everfresh.stores")
atexit.register(close_stores)
