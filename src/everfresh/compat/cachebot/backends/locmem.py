"""The memory of one process."""

from __future__ import annotations

from django.core.cache.backends import locmem

from everfresh.compat.cachebot.backends.base import MoreMethods
from everfresh.compat.cachebot.logger import logging_operations

__all__ = ["LocMemCache"]


@logging_operations
class LocMemCache(MoreMethods, locmem.LocMemCache):
    """Django's, with the methods."""
