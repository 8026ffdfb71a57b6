"""Where entries and tag versions live."""

from __future__ import annotations

from everfresh.conf import settings
from everfresh.stores.aliases import close_stores, open_store, usable_store
from everfresh.stores.base import NO_KEY, NOT_DECODED, Fill, Held, Snapshot, Snapshots, Store
from everfresh.stores.guard import GuardedStore
from everfresh.stores.local import LocalStore

__all__ = [
    "NOT_DECODED",
    "NO_KEY",
    "Fill",
    "GuardedStore",
    "Held",
    "LocalStore",
    "Snapshot",
    "Snapshots",
    "Store",
    "close_stores",
    "current_store",
    "open_store",
]


def current_store() -> GuardedStore:
    """The store in the cache that the settings name now."""
    conf = settings()
    limits = conf.limits
    return usable_store(
        conf.cache,
        timeout_seconds=limits.store_seconds,
        near_bytes=limits.near_bytes,
        near_seconds=limits.near_seconds,
    )
