"""The typed classes, for code that wants more than methods that every queryset got at run time."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from django.db.models import Manager, Model, QuerySet

from everfresh.policies import UNSAID, Policy, cache, nocache
from everfresh.querysets import Explanation, explain

__all__ = ["CacheManager", "CacheQuerySet"]

_M = TypeVar("_M", bound=Model)


class CacheQuerySet(QuerySet[_M]):
    """A queryset whose caching methods type checkers know; every other queryset has them as well."""

    def cache(
        self, *fields: str, timeout: float | timedelta | None = UNSAID, rows: bool | None = None
    ) -> CacheQuerySet[_M]:
        """See `cache`."""
        return cache(self, *fields, timeout=timeout, rows=rows)

    def nocache(self) -> CacheQuerySet[_M]:
        """See `nocache`."""
        return nocache(self)

    def explain_cache(self) -> Explanation:
        """See `explain`."""
        return explain(self)


class CacheManager(Manager.from_queryset(CacheQuerySet)[_M]):  # type: ignore[misc]
    """A manager that says for all its querysets what is cached.

    Args:
        cache_get: is every ``get()`` cached? ``None``: the settings decide.
        cache_all: is every read cached? Includes ``get()``. ``None``: the settings decide.
        rows: is each row an entry of its own, and a cached list one of pointers to rows? ``None``: the settings decide.

    Source: cachebot's ``CacheBotManager`` (CB-1).
    """

    def __init__(
        self, *, cache_get: bool | None = None, cache_all: bool | None = None, rows: bool | None = None
    ) -> None:
        super().__init__()
        self._policy = Policy(cache_get=True if cache_all else cache_get, cache_all=cache_all, rows=rows)

    def get_queryset(self) -> CacheQuerySet[_M]:
        """The manager's querysets carry its answers."""
        queryset: CacheQuerySet[_M] = super().get_queryset()
        queryset.__dict__["_everfresh"] = self._policy
        return queryset
