"""Memcached, through either of Django's clients."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends import memcached
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from everfresh.compat.cachebot.backends.base import MoreMethods
from everfresh.compat.cachebot.logger import logging_operations

__all__ = ["MemcachedCache", "PyLibMCCache"]


class _Native(MoreMethods):
    """The server appends by itself, whoever else does."""

    def append(self, key: str, value: str, version: int | None = None) -> bool:
        """Put *value* at the end of what is stored, if anything is. Was anything?"""
        return bool(self._cache.append(self.make_and_validate_key(key, version=version), value))

    def prepend(self, key: str, value: str, version: int | None = None) -> bool:
        """Put *value* before what is stored, if anything is. Was anything?"""
        return bool(self._cache.prepend(self.make_and_validate_key(key, version=version), value))

    def replace(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        """Store *value* if anything is stored. Was anything?"""
        name = self.make_and_validate_key(key, version=version)
        return bool(self._cache.replace(name, value, self.get_backend_timeout(timeout)))


@logging_operations
class MemcachedCache(_Native, memcached.PyMemcacheCache):
    """Through pymemcache."""


@logging_operations
class PyLibMCCache(_Native, memcached.PyLibMCCache):
    """Through pylibmc."""
