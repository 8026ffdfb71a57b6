"""The manager of ormcache (OC-2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from everfresh.compat.ormcache.query import CachedQuerySet, seconds
from everfresh.managers import CacheManager as EverfreshCacheManager
from everfresh.policies import with_policy

__all__ = ["CacheManager"]


class CacheManager(EverfreshCacheManager):
    """All its querysets are cached, as lists that point to rows.

    Args:
        key_prefix: a name that all its answers share.
        timeout: minutes; ``None`` is ``DEFAULT_CACHE_TIME``.
        expire_on: which changes of the model's rows end its answers; left out: all three.
    """

    _queryset_class = CachedQuerySet

    def __init__(
        self, key_prefix: str | None = None, timeout: float | None = None, expire_on: Iterable[str] | None = None
    ) -> None:
        super().__init__(cache_all=True, rows=True, key_prefix=key_prefix, expire_on=expire_on)
        self._minutes = timeout

    def get_queryset(self) -> Any:
        """The manager's querysets, with the timeout that holds now."""
        return with_policy(super().get_queryset(), timeout=seconds(self._minutes), has_timeout=True)
