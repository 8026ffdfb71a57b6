"""cachebot's queryset methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, Prefetch, QuerySet
from django.db.models.constants import LOOKUP_SEP

from everfresh.compat.cachebot.models import post_update
from everfresh.managers import CacheQuerySet
from everfresh.querysets import explain

__all__ = ["CachedQuerySet", "select_reverse", "update"]

_M = TypeVar("_M", bound=Model)
_Q = TypeVar("_Q", bound=QuerySet[Any])


def select_reverse(queryset: _Q, *paths: str) -> _Q:
    """Bring along what points to the rows, one query for each path, as lists in ``<accessor>_cache`` (CB-10).

    Args:
        queryset: any.
        paths: names of reverse foreign keys and many-to-many relations, as on an instance, chained with ``__``.

    Raises:
        ImproperlyConfigured: for a path that is none, and where a model already has an attribute of the list's name.
    """
    lookups = dict.fromkeys(lookup for path in paths for lookup in _lookups(queryset.model, path))
    prefetched: _Q = queryset.prefetch_related(*(Prefetch(lookup, to_attr=to) for lookup, to in lookups))
    return prefetched


def _lookups(model: type[Model], path: str) -> Iterator[tuple[str, str]]:
    """Of each step of *path*: the lookup, through the lists of the steps before it, and the name of its list."""
    through = ""
    for accessor in path.split(LOOKUP_SEP):
        related = _relations(model).get(accessor)
        if related is None:
            raise ImproperlyConfigured(f"Unsupported mapping {accessor} of {model.__name__}")
        to = f"{accessor}_cache"
        if hasattr(model, to):
            raise ImproperlyConfigured(f"Model {model.__name__} already has an attribute {to}")
        yield f"{through}{accessor}", to
        through = f"{through}{to}{LOOKUP_SEP}"
        model = related


def _relations(model: type[Model]) -> dict[str, type[Model]]:
    """The models of which a row may have many, by the name of the manager that gives them."""
    fields: list[Any] = [field for field in model._meta.get_fields() if field.one_to_many or field.many_to_many]
    return {field.get_accessor_name() if field.auto_created else field.name: field.related_model for field in fields}


def update(queryset: QuerySet[Any], rows: int) -> int:
    """Send ``post_update``: *rows* of *queryset* were updated (CB-11)."""
    post_update.send(sender=queryset.model, queryset=queryset, rows=rows)
    return rows


class CachedQuerySet(CacheQuerySet[_M]):
    """The querysets of a ``CacheBotManager``."""

    def select_reverse(self, *paths: str) -> CachedQuerySet[_M]:
        """See `select_reverse`."""
        return select_reverse(self, *paths)

    def update(self, **kwargs: Any) -> int:
        """Update, then send ``post_update``. Everfresh itself saw the write already."""
        return update(self, super().update(**kwargs))

    update.alters_data = True  # type: ignore[attr-defined]

    def get_cache_key(self, extra_args: str = "", version: int | None = None) -> str:
        """The key of the entry that holds the rows, to store something of one's own beside it (CB-12).

        It changes with what the query depends on, and says nothing of its rows.
        """
        parts = [explain(self).key, extra_args, "" if version is None else str(version)]
        return ":".join(part for part in parts if part)
