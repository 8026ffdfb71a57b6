"""The names of ormcache: ``from everfresh.compat.ormcache import CachedModel, CacheManager``.

What is different, and why, is in the manual: migrating from ormcache. Timeouts are minutes here, as documented there.
"""

from __future__ import annotations

from everfresh.compat.ormcache.manager import CacheManager
from everfresh.compat.ormcache.models import CachedModel
from everfresh.compat.ormcache.query import DEFAULT_CACHE_TIME, CachedQuerySet

__all__ = ["DEFAULT_CACHE_TIME", "CacheManager", "CachedModel", "CachedQuerySet"]
