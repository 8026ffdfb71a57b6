"""Where entries and tag versions live."""

from __future__ import annotations

from everfresh.conf import settings
from everfresh.stores.aliases import close_stores, open_store, usable_store
from everfresh.stores.base import NO_KEY, Fill, Snapshot, Snapshots, Store
from everfresh.stores.guard import GuardedStore
from everfresh.stores.local import LocalStore

__all__ = [
    "NO_KEY",
    "Fill",
    "GuardedStore",
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
    return usable_store(conf.cache, timeout_seconds=conf.limits.store_seconds)
