"""The queryset of ormcache (OC-4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model

from everfresh.compat.ormcache.exceptions import CacheMissingWarning
from everfresh.exceptions import RowsMissing
from everfresh.managers import CacheQuerySet
from everfresh.policies import UNSAID, cache

__all__ = ["DEFAULT_CACHE_TIME", "CachedQuerySet", "default_cache_time", "seconds"]

_M = TypeVar("_M", bound=Model)

DEFAULT_CACHE_TIME = 24 * 60 * 60
"""Seconds, where the Django setting of this name says nothing else (OC-6)."""


def default_cache_time() -> float:
    """The seconds that an answer lives at most where nobody says it."""
    given: float = getattr(settings, "DEFAULT_CACHE_TIME", DEFAULT_CACHE_TIME)
    return given


def seconds(minutes: float | None) -> float:
    """What a timeout in minutes is in seconds; of ``None``, the default."""
    return default_cache_time() if minutes is None else 60 * minutes


class CachedQuerySet(CacheQuerySet[_M]):
    """Lists that point to rows, with the arguments of ormcache's ``cache()``."""

    def cache(  # type: ignore[override]
        self,
        key: str | None = None,
        timeout: float | None = UNSAID,
        *,
        key_prefix: str | None = None,
        key_name: str | None = None,
        expire_on: Iterable[str] | None = None,
    ) -> CachedQuerySet[_M]:
        """As everfresh's, but for the unit of *timeout* (OC-5, OC-16).

        Args:
            key: a name of the answer, under which the same query can be cached a second time.
            timeout: minutes; ``None`` is the default.
            key_prefix: a name that many answers share.
            key_name: another word for *key*.
            expire_on: any of ``"create"``, ``"update"`` and ``"delete"``.
        """
        name = key if key_name is None else key_name
        lifetime = timeout if timeout is UNSAID else seconds(timeout)
        return cache(self, timeout=lifetime, rows=True, key=name, key_prefix=key_prefix, expire_on=expire_on)

    def _fetch_all(self) -> Any:
        try:
            super()._fetch_all()
        except RowsMissing as missing:
            raise CacheMissingWarning(missing.model, missing.keys) from None
