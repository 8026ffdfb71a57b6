"""What a read gives, in a form that can be compared: cached with uncached, one connection with another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldError, MultipleObjectsReturned, ObjectDoesNotExist
from django.db import DatabaseError, NotSupportedError, models
from django.db.models import QuerySet

from tests.queries.strategies import Asked

__all__ = ["IMPOSSIBLE", "answer", "plain"]

IMPOSSIBLE = (AttributeError, FieldError, IndexError, NotSupportedError, TypeError, ValueError, DatabaseError)
"""What Django and the databases say of generated nonsense.

``IndexError``: of ``values()`` with one column under two names, over a filtered window (Django 6.1).
"""


def plain(value: Any, around: tuple[Any, ...] = ()) -> Any:
    """*value* without identity: instances by the columns they hold, and the related rows they brought along."""
    if isinstance(value, models.Model):
        if any(value is each for each in around):
            return "the one around it"
        around = (*around, value)
        held = {name: plain(each, around) for name, each in vars(value).items() if name != "_state"}
        related = {name: plain(each, around) for name, each in value._state.fields_cache.items()}
        return type(value).__name__, value._state.db, sorted(held.items()), sorted(related.items(), key=repr)
    if isinstance(value, dict):
        return [(key, plain(each, around)) for key, each in value.items()]
    if isinstance(value, QuerySet | Iterator):
        # What was prefetched comes in any order.
        return sorted(repr(plain(each, around)) for each in value)
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(each, around) for each in value]
    return type(value).__name__, value


def answer(read: Asked, *, cached: bool) -> Any:
    """What *read* gives, comparable; rows whose order nothing decides are put in one."""
    try:
        queryset = read.queryset()
        if isinstance(queryset, QuerySet):
            queryset = read.cached(queryset) if cached else queryset.nocache()  # type: ignore[attr-defined]
        found = read.run(queryset)
        if read.form == "rows" and not read.ordered:
            return sorted(repr(plain(each)) for each in found)
        return repr(plain(found))
    except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
        return type(error)
