"""cachebot's manager."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from django.db.models import Manager, Model

from everfresh.compat.cachebot.queryset import CachedQuerySet
from everfresh.managers import CacheManager
from everfresh.policies import Policy
from everfresh.queries.watching import Watch

__all__ = ["CacheBotManager", "DjangoManager"]

_M = TypeVar("_M", bound=Model)

DjangoManager = Manager
"""Django's own, also after `everfresh.compat.cachebot.monkey.patch_manager`."""


class CacheBotManager(CacheManager.from_queryset(CachedQuerySet)[_M]):  # type: ignore[misc]
    """A manager whose cached answers watch each equality by itself, as cachebot documents it (CB-1, CB-3).

    Args:
        cache_all: is every read cached? Includes ``get()``. ``None``: the settings decide.
        cache_get: is every ``get()`` cached? ``None``: the settings decide.
    """

    def __init__(self, cache_all: bool | None = None, cache_get: bool | None = None, **said: Any) -> None:
        super().__init__(cache_all=cache_all, cache_get=cache_get, **said)
        policy: Policy = self._policy  # type: ignore[has-type]
        self._policy = replace(policy, watch=Watch(any_of=True))
