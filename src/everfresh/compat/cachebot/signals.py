"""cachebot's invalidation by hand. Writes through Django need none of it, many-to-many included."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from django.core.cache import InvalidCacheBackendError, cache, caches
from django.core.cache.utils import make_template_fragment_key
from django.db import router, transaction
from django.db.models import Model

from everfresh import invalidate

__all__ = ["invalidate_cache", "invalidate_object", "invalidate_template_cache"]


def invalidate_object(instance: Model) -> None:
    """Make every cached answer that depends on the row stale (CB-13). See `everfresh.invalidate`."""
    invalidate(instance)


def invalidate_cache(model_class: type[Model], objects: Iterable[Model], **extra_keys: Any) -> None:
    """The same for many rows, in one go; the keys of *extra_keys* are deleted from Django's cache too (CB-14).

    Args:
        model_class: the model of the *objects*.
        objects: instances.
        extra_keys: by key; the values do not matter.
    """
    objects = list(objects)
    with ExitStack() as transactions:
        for using in {each._state.db or router.db_for_write(model_class) for each in objects}:
            # One transaction, one invalidation.
            transactions.enter_context(transaction.atomic(using=using))
        for instance in objects:
            invalidate(instance)
    if extra_keys:
        transaction.on_commit(lambda: cache.delete_many(extra_keys), using=router.db_for_write(model_class))


def invalidate_template_cache(fragment_name: str, *variables: Any) -> None:
    """Delete a fragment that ``{% cache %}`` of Django's own stored for these values, once this is committed (CB-15).

    A fragment that is being rendered meanwhile may be stored after it: Django's tag has no versions.
    """
    key = make_template_fragment_key(fragment_name, variables)
    try:
        fragments = caches["template_fragments"]
    except InvalidCacheBackendError:
        fragments = caches["default"]
    transaction.on_commit(lambda: fragments.delete(key))
