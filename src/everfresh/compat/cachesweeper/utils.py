"""cache-sweeper's functions: versions of records, as numbers to look at.

No fragment hangs on these numbers. An evicted one begins again at 0, and nothing comes back to life with it.
"""

from __future__ import annotations

from functools import partial
from hashlib import md5
from typing import Any

from django.core.cache import BaseCache, caches
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.db.models import Model

from everfresh.conf import settings
from everfresh.given import canonical
from everfresh.keys import digest, encode
from everfresh.records import invalidate_for, version_of

__all__ = [
    "cache_token_key_for_record",
    "generate_fragment_cache_key_for_record",
    "invalidate_cache_for",
    "invalidate_cache_handler",
    "token_of",
    "update_cache_token_for_record",
    "update_cache_token_for_record_with_attribute",
    "update_cache_token_for_record_with_counter",
]

_LONGEST_KEY = 100
"""Characters of a readable key of a primary key; with more it is hashed, for Memcached takes 250 in all."""


def cache_token_key_for_record(record: Model) -> str:
    """The key of the record's version in Django's cache: ``<module>:<class>:<primary key>`` (CS-2).

    A primary key that would make no good key is hashed. Where the record is of another database than the default one,
    that is part of the key.

    Raises:
        ValueError: for a record that is not saved.
    """
    if record.pk is None:
        raise ValueError(f"{record!r} is not saved, so it has no version.")
    key = str(record.pk)
    if len(key) > _LONGEST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
        key = digest(encode(canonical(record.pk)))
    place = "" if _alias(record) == DEFAULT_DB_ALIAS else f"@{_alias(record)}"
    return f"{type(record).__module__}:{type(record).__qualname__}:{key}{place}"


def generate_fragment_cache_key_for_record(record: Model, *keys: Any) -> str:
    """A key for what a project itself keeps of a record, until the record is swept (CS-3).

    The tag's fragments are not stored under it. Its version is a random one: a key that was given once is never given
    again after `invalidate_cache_for`, whatever the cache has lost.

    Raises:
        ValueError: for a record that is not saved.
        Unencodable: for a key that has no stable name.
    """
    return f"cachesweeper.{cache_token_key_for_record(record)}.{version_of(record)}.{digest(encode(canonical(keys)))}"


def token_of(record: Model) -> int | str:
    """The record's version; 0 from now on, where nothing is known of it (CS-3, CS-6)."""
    token: int | str | None = _cache().get_or_set(cache_token_key_for_record(record), 0, None)
    return token or 0


def update_cache_token_for_record(record: Model, using: str | None = None) -> int | str:
    """Give the record a new version, and return it: by an attribute, or by counting (CS-5)."""
    if using:
        return update_cache_token_for_record_with_attribute(record, using)
    return update_cache_token_for_record_with_counter(record)


def update_cache_token_for_record_with_attribute(record: Model, using: str) -> str:
    """Make the hash of an attribute the record's version, and return it (CS-4)."""
    token = _hashed(record, using)
    _cache().set(cache_token_key_for_record(record), token, None)
    return token


def update_cache_token_for_record_with_counter(record: Model) -> int:
    """Count the record's version up, from 0, and return it (CS-4)."""
    cache, key = _cache(), cache_token_key_for_record(record)
    if isinstance(cache.get(key), str):
        # It was one by an attribute.
        cache.set(key, 1, None)
        return 1
    if cache.add(key, 0, None):
        return 0
    return cache.incr(key)


def invalidate_cache_for(record: Model, using: str | None = None) -> int | str:
    """Sweep a record: its fragments are rendered anew. Returns the new version (CS-4).

    Inside a transaction it takes effect at COMMIT. Changes of the row itself need none of this.

    Args:
        record: a saved instance.
        using: the name of an attribute of which the version is made; left out: a counter.

    Raises:
        ValueError: for a record that is not saved.
    """
    token = _hashed(record, using) if using else _upcoming(record)
    invalidate_for(record)
    update = partial(update_cache_token_for_record, record, using)
    if not connections[_alias(record)].in_atomic_block:
        return update()
    transaction.on_commit(update, using=_alias(record))
    return token


def invalidate_cache_handler(sender: Any, **kwargs: Any) -> None:  # noqa: ARG001  signals pass it
    """A receiver of signals that come with an ``instance``: sweeps that (CS-5)."""
    invalidate_cache_for(kwargs["instance"])


def _cache() -> BaseCache:
    return caches[settings().cache]


def _upcoming(record: Model) -> int:
    token: int | str | None = _cache().get(cache_token_key_for_record(record))
    return 0 if token is None else token + 1 if isinstance(token, int) else 1


def _hashed(record: Model, using: str) -> str:
    return md5(str(getattr(record, using)).encode(), usedforsecurity=False).hexdigest()


def _alias(record: Model) -> str:
    return record._state.db or router.db_for_write(type(record), instance=record)
