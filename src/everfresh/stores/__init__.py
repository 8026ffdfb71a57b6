"""Where entries and tag versions live."""

from __future__ import annotations

from everfresh.stores.aliases import close_stores, open_store
from everfresh.stores.base import Fill, Snapshot, Store

__all__ = ["Fill", "Snapshot", "Store", "close_stores", "open_store"]
