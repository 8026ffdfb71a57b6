"""cachebot's helpers for many things at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from django.core.cache import cache, caches
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from everfresh import invalidate
from everfresh.conf import settings
from everfresh.keys import digest, encode
from everfresh.naming import entry_key
from everfresh.recorded import Computation, read_recorded

__all__ = ["fetch_instances", "fetch_objects", "flush_cache", "get_many_by_key"]

_M = TypeVar("_M", bound=Model)


def flush_cache(*, hard: bool = True) -> None:
    """Make every cached answer stale; *hard*: also empty the cache, of whatever else lives in it too (CB-18)."""
    invalidate(None)
    if hard:
        caches[settings().cache].clear()


def get_many_by_key(key_func: Callable[[Any], str], items: Iterable[Any]) -> dict[Any, Any]:
    """What Django's cache holds of *items* under keys of your own, by item, in one round trip (CB-20)."""
    keys = {key_func(item): item for item in items}
    return {keys[key]: value for key, value in cache.get_many(keys).items()}


def fetch_objects(
    key_func: Callable[[Any], str], db_func: Callable[[Any], Any], items: Iterable[Any]
) -> dict[Any, Any]:
    """What *db_func* gives for each of *items*, by item, cached under keys of your own (CB-20).

    What it reads of the database is found out by watching it, so that no answer is ever stale. Items of which it says
    that they do not exist are left out.

    Args:
        key_func: gives the key for an item; no two functions may share one.
        db_func: asks the database for one item.
        items: any that are hashable.
    """
    found = {}
    for item in items:
        name = digest(encode(("cachebot.fetch_objects", key_func(item))))
        try:
            computation = Computation(key=entry_key("f", name), timeout=settings().timeout)
            answer = read_recorded(computation, partial(db_func, item))
        except ObjectDoesNotExist:
            continue
        found[item] = answer.value
    return found


def fetch_instances(model: type[_M], field: str, values: Iterable[Any]) -> dict[Any, _M]:
    """The rows of *model* whose *field* is one of *values*, by value, from their own entries (CB-20).

    All that are missing come in one query. Values that no row has are left out.
    """
    values = list(values)
    column: Any = model._meta.pk if field == "pk" else model._meta.get_field(field)
    rows = model._default_manager.filter(**{f"{field}__in": values}).cache(rows=True)  # type: ignore[attr-defined]
    by_value = {getattr(row, column.attname): row for row in rows}
    asked = {value: column.to_python(value.pk if isinstance(value, Model) else value) for value in values}
    return {value: by_value[known] for value, known in asked.items() if known in by_value}
