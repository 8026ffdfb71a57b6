"""The names of cachemodel 2.2: ``import everfresh.compat.cachemodel as cachemodel``.

What is different, and why, is in the manual: migrating from cachemodel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar, NoReturn, TypeVar, overload

from django.db.models import Model

from everfresh.compat.cachemodel.ns_cache import ns_flush, ns_key
from everfresh.keys import digest, encode
from everfresh.managers import CacheManager
from everfresh.methods import cached_method as everfresh_cached_method
from everfresh.methods import decorated, denormalized_field, recompute
from everfresh.models import CachedTable, CachedTableManager
from everfresh.models import CacheModel as EverfreshCacheModel

__all__ = [
    "CACHE_FOREVER_TIMEOUT",
    "CacheModel",
    "CacheModelManager",
    "CachedTable",
    "CachedTableManager",
    "cached_method",
    "denormalized_field",
    "find_fields_decorated_with",
    "generate_cache_key",
    "set_cache_timeout",
]

CACHE_FOREVER_TIMEOUT = 86_400 * 365
"""Seconds. Entries of ours that nothing limits have no end (CM-1)."""

_F = TypeVar("_F", bound=Callable[..., Any])

_timeout: list[float | timedelta] = []


def set_cache_timeout(timeout: float | timedelta) -> None:
    """The seconds that results of cached methods last where the method does not say (CM-H1).

    Raises:
        ValueError: when it was set to something else before.
    """
    if _timeout not in ([], [timeout]):
        raise ValueError(f"The cache timeout is {_timeout[0]} already; it cannot be {timeout} as well.")
    _timeout[:] = [timeout]


class CacheModelManager(CacheManager):
    """The manager ``cached`` (CM-11)."""

    def __init__(self) -> None:
        super().__init__(cache_all=True, rows=True)

    def get_by(self, *_: Any, **__: Any) -> NoReturn:
        """Was replaced by ``get()`` in cachemodel 2.0 (CM-13).

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning("get_by() has been deprecated, use .get() instead.")


class CacheModel(EverfreshCacheModel):
    """See `everfresh.models.CacheModel`; with the hook and the namespace that cachemodel 0.9 had."""

    cached: ClassVar[CacheModelManager] = CacheModelManager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, publish, and call the hook."""
        super().save(*args, **kwargs)
        self.flush_cache()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete, and call the hook."""
        self.ns_flush_cache()
        deleted: tuple[int, dict[str, int]] = super().delete(*args, **kwargs)
        return deleted

    def flush_cache(self) -> None:
        """Runs after each save, for subclasses to extend (CM-H3). Entries of ours need no flushing."""
        self.ns_flush_cache()

    @classmethod
    def cache_key(cls, *args: Any) -> str:
        """A key for what a project itself keeps of this model (CM-H4)."""
        return generate_cache_key([cls._meta.label_lower], *args)

    def ns_cache_key(self, *args: Any) -> str:
        """A key for what a project itself keeps of this row, until `ns_flush_cache` (CM-H4)."""
        return ns_key(self._namespace(), generate_cache_key([type(self)._meta.label_lower], *args))

    def ns_flush_cache(self) -> None:
        """No key that `ns_cache_key` gave before is given again (CM-H4)."""
        ns_flush(self._namespace())

    def _namespace(self) -> str:
        return generate_cache_key([type(self)._meta.label_lower], self.pk)


@overload
def cached_method(target: _F) -> _F: ...


@overload
def cached_method(
    target: None = None,
    *,
    auto_publish: bool = False,
    cache_timeout: float | timedelta | None = None,
    cache_key: str | None = None,
) -> Callable[[_F], _F]: ...


def cached_method(
    target: Callable[..., Any] | None = None,
    *,
    auto_publish: bool = False,
    cache_timeout: float | timedelta | None = None,
    cache_key: str | None = None,
) -> Any:
    """See `everfresh.methods.cached_method`; ``method(cached=False)`` computes and keeps anew (CM-H5).

    Args:
        target: the method.
        auto_publish: compute it anew with each save.
        cache_timeout: seconds; left out, what `set_cache_timeout` said, or for ever.
        cache_key: is the method's attribute of that name, and nothing else: keys are made of the arguments.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        timeout = cache_timeout if cache_timeout is not None else next(iter(_timeout), None)
        method = everfresh_cached_method(auto_publish=auto_publish, timeout=timeout)(function)

        @wraps(method)
        def call(self: Model, *args: Any, cached: bool = True, **kwargs: Any) -> Any:
            return method(self, *args, **kwargs) if cached else recompute(self, function.__name__, args, kwargs)

        vars(call)["cache_key"] = cache_key
        return call

    return decorate if target is None else decorate(target)


def find_fields_decorated_with(instance: Model, property_name: str) -> Iterator[Any]:
    """The attributes of the instance's class that carry that marker (CM-16)."""
    for _, method in decorated(type(instance), property_name):
        yield method


def generate_cache_key(prefix: list[str], *args: Any, **kwargs: Any) -> str:
    """A key of parts, and of arguments whose order does not matter where they have names (CM-18)."""
    named = sorted(kwargs.items())
    return f"{'_'.join(prefix)}__{digest(encode((args, named)))}"
