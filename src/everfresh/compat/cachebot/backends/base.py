"""What cachebot's backends have besides what Django's have (CB-21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from everfresh.compat.cachebot.logger import CacheLog, operations

__all__ = ["MoreMethods"]

_Base = BaseCache if TYPE_CHECKING else object


class MoreMethods(_Base):  # type: ignore[misc,valid-type]
    """By ``get``, ``set``, ``add`` and ``incr``: of two that append to one key at a time, one may undo the other."""

    _logger: CacheLog = operations

    def append(self, key: str, value: str, version: int | None = None) -> bool:
        """Put *value* at the end of what is stored, if anything is. Was anything?"""
        return self._join(key, "", value, version)

    def prepend(self, key: str, value: str, version: int | None = None) -> bool:
        """Put *value* before what is stored, if anything is. Was anything?"""
        return self._join(key, value, "", version)

    def _join(self, key: str, before: str, after: str, version: int | None) -> bool:
        stored = self.get(key, version=version)
        if stored is None:
            return False
        self.set(key, before + stored + after, version=version)
        return True

    def replace(
        self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store *value* if anything is stored. Was anything?"""
        if not self.has_key(key, version=version):
            return False
        self.set(key, value, timeout=timeout, version=version)
        return True

    def smart_incr(self, key: str, delta: int = 1, default: int = 0, version: int | None = None) -> int:
        """Add *delta* to a counter that begins at *default*. Gives its new value."""
        try:
            return int(self.incr(key, delta, version=version))
        except ValueError:
            if self.add(key, default + delta, timeout=None, version=version):
                return default + delta
            # Another one has made it meanwhile.
            return int(self.incr(key, delta, version=version))

    def smart_decr(self, key: str, delta: int = 1, default: int = 0, version: int | None = None) -> int:
        """Take *delta* from a counter that begins at *default*. Gives its new value; Memcached stops at 0."""
        try:
            return int(self.decr(key, delta, version=version))
        except ValueError:
            start = default - delta
            if self.add(key, start, timeout=None, version=version):
                return start
            return int(self.decr(key, delta, version=version))
