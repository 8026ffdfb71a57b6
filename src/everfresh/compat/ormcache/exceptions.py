"""The errors of ormcache (OC-7).

::

    CachedModelException
     +- CacheInvalidationWarning
         +- CacheMissingWarning    a list points to rows that are gone, and on_missing is "raise"
         +- CacheExpiredWarning    never raised, here as there
"""

from __future__ import annotations

from everfresh.exceptions import EverfreshError, RowsMissing

__all__ = ["CacheExpiredWarning", "CacheInvalidationWarning", "CacheMissingWarning", "CachedModelException"]


class CachedModelException(EverfreshError):
    """Base of the others."""


class CacheInvalidationWarning(CachedModelException):
    """Something in the cache holds no longer."""


class CacheMissingWarning(CacheInvalidationWarning, RowsMissing):
    """A list points to rows that are gone."""

    def __str__(self) -> str:
        return f"{len(self.keys)} objects missing in the database"


class CacheExpiredWarning(CacheInvalidationWarning):
    """An entry is past the time at which one reader is to compute it anew."""
