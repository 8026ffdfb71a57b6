"""Nothing is stored."""

from __future__ import annotations

from django.core.cache.backends import dummy

from everfresh.compat.cachebot.backends.base import MoreMethods
from everfresh.compat.cachebot.logger import logging_operations

__all__ = ["DummyCache"]


@logging_operations
class DummyCache(MoreMethods, dummy.DummyCache):
    """Django's, with the methods."""
