"""Everfresh: caching for the Django ORM that is never stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfresh.exceptions import NotCached
    from everfresh.functions import memoize
    from everfresh.managers import CacheManager, CacheQuerySet
    from everfresh.methods import cached_method, denormalized_field
    from everfresh.models import CachedTable, CacheModel
    from everfresh.records import ainvalidate_for, invalidate_for
    from everfresh.switches import disabled
    from everfresh.writing.invalidation import ainvalidate, ainvalidate_tags, invalidate, invalidate_tags

__all__ = [
    "CacheManager",
    "CacheModel",
    "CacheQuerySet",
    "CachedTable",
    "NotCached",
    "ainvalidate",
    "ainvalidate_for",
    "ainvalidate_tags",
    "cached_method",
    "denormalized_field",
    "disabled",
    "invalidate",
    "invalidate_for",
    "invalidate_tags",
    "memoize",
]
__version__ = "0.1.0"

_HOMES = {
    "CacheManager": "everfresh.managers",
    "CacheModel": "everfresh.models",
    "CacheQuerySet": "everfresh.managers",
    "CachedTable": "everfresh.models",
    "NotCached": "everfresh.exceptions",
    "ainvalidate": "everfresh.writing.invalidation",
    "ainvalidate_for": "everfresh.records",
    "ainvalidate_tags": "everfresh.writing.invalidation",
    "cached_method": "everfresh.methods",
    "denormalized_field": "everfresh.methods",
    "disabled": "everfresh.switches",
    "invalidate": "everfresh.writing.invalidation",
    "invalidate_for": "everfresh.records",
    "invalidate_tags": "everfresh.writing.invalidation",
    "memoize": "everfresh.functions",
}


def __getattr__(name: str) -> Any:
    # Django imports this package before its own apps are ready; what needs models must wait to be asked for.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
