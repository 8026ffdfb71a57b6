"""The typed classes, for code that wants more than methods that every queryset got at run time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Manager, Model, QuerySet

from everfresh.conf import seconds
from everfresh.direct import get_by_manager
from everfresh.policies import UNSAID, Policy, cache, clean, nocache, on_terms, reset, wanted_policy
from everfresh.queries.terms import PLAIN, ModelName
from everfresh.querysets import Explanation, execute, explain

__all__ = ["CacheManager", "CacheQuerySet"]

_M = TypeVar("_M", bound=Model)


class CacheQuerySet(QuerySet[_M]):
    """A queryset whose caching methods type checkers know; every other queryset has most of them as well."""

    def cache(
        self,
        *fields: str,
        timeout: float | timedelta | None = UNSAID,
        grace: float | timedelta | None = UNSAID,
        rows: bool | None = None,
        near: bool | None = None,
        key: str | None = None,
        key_prefix: str | None = None,
        expire_on: Iterable[str] | None = None,
        depends_on: Iterable[ModelName] | None = None,
    ) -> CacheQuerySet[_M]:
        """See `cache`."""
        return cache(
            self,
            *fields,
            timeout=timeout,
            grace=grace,
            rows=rows,
            near=near,
            key=key,
            key_prefix=key_prefix,
            expire_on=expire_on,
            depends_on=depends_on,
        )

    def nocache(self) -> CacheQuerySet[_M]:
        """See `nocache`."""
        return nocache(self)

    def clean(self) -> CacheQuerySet[_M]:
        """See `clean`."""
        return clean(self)

    def reset(self) -> CacheQuerySet[_M]:
        """See `reset`."""
        return reset(self)

    def execute(self) -> CacheQuerySet[_M]:
        """See `execute`."""
        return execute(self)

    def explain_cache(self) -> Explanation:
        """See `explain`."""
        return explain(self)

    def get_many(self, keys: Iterable[Any]) -> dict[Any, _M]:
        """The instances with these primary keys, by key, in the order of *keys*; those that are not there are left out.

        One round trip to the store, and one query for all rows that it does not have.

        Source: ormcache's batch fetch (OC-10, OC-11, OC-19), cachemodel's ``get_many``.
        """
        keys = list(keys)
        found = cache(self, rows=True).order_by().in_bulk(keys)
        to_python = self.model._meta.pk.to_python
        return {key: found[key] for key in map(to_python, keys) if key in found}

    async def aget_many(self, keys: Iterable[Any]) -> dict[Any, _M]:
        """See `get_many`."""
        return await sync_to_async(self.get_many)(keys)

    def get_or_create(self, defaults: Mapping[str, Any] | None = None, **kwargs: Any) -> tuple[_M, bool]:
        """As Django's, but looks in the cache first, where a ``get()`` would: a row that is there costs no query."""
        if wanted_policy(self, "get"):
            try:
                return self.get(**kwargs), False
            except ObjectDoesNotExist:
                # The database decides: what is not there may have come in this moment.
                pass
        return super().get_or_create(defaults, **kwargs)


class CacheManager(Manager.from_queryset(CacheQuerySet)[_M]):  # type: ignore[misc]
    """A manager that says for all its querysets what is cached.

    Args:
        cache_get: is every ``get()`` cached? ``None``: the settings decide.
        cache_all: is every read cached? Includes ``get()``. ``None``: the settings decide.
        rows: is each row an entry of its own, and a cached list one of pointers to rows? ``None``: the settings decide.
        near: is a copy of each answer kept in each process? ``None``: the settings decide.
        timeout: as of ``.cache()``.
        grace: as of ``.cache()``.
        key_prefix: as of ``.cache()``.
        expire_on: as of ``.cache()``.
        depends_on: as of ``.cache()``.

    Source: cachebot's ``CacheBotManager`` (CB-1), ormcache's ``CacheManager`` (OC-2).
    """

    def __init__(
        self,
        *,
        cache_get: bool | None = None,
        cache_all: bool | None = None,
        rows: bool | None = None,
        near: bool | None = None,
        timeout: float | timedelta | None = UNSAID,
        grace: float | timedelta | None = None,
        key_prefix: str | None = None,
        expire_on: Iterable[str] | None = None,
        depends_on: Iterable[ModelName] | None = None,
    ) -> None:
        super().__init__()
        self._policy = Policy(
            cache_get=True if cache_all else cache_get,
            cache_all=cache_all,
            rows=rows,
            near=near,
            timeout=None if timeout is UNSAID else seconds(timeout),
            has_timeout=timeout is not UNSAID,
            grace=seconds(grace),
            terms=on_terms(PLAIN, key_prefix=key_prefix, expire_on=expire_on, depends_on=depends_on),
        )

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """As Django's, from the cache where the manager says so."""
        if not args and len(kwargs) == 1:
            [(name, value)] = kwargs.items()
            if (found := get_by_manager(self, CacheManager, self._policy, name, value)) is not None:
                return found
        return super().get(*args, **kwargs)

    def get_queryset(self) -> CacheQuerySet[_M]:
        """The manager's querysets carry its answers."""
        queryset: CacheQuerySet[_M] = super().get_queryset()
        queryset.__dict__["_everfresh"] = self._policy
        return queryset
