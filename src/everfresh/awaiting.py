"""Async twins that answer on the event loop, without a way to another thread and back.

At once where this process holds the answer, and after a look at the store where one can be waited for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial, wraps
from typing import Any

from django.db.models import QuerySet

from everfresh.peeking import NotHeld, answered
from everfresh.policies import policy_of, wanted_policy
from everfresh.stores import current_store
from everfresh.typing import Operation

__all__ = ["OPERATIONS", "iterate", "twin"]

OPERATIONS: Mapping[str, Operation] = {
    "aggregate": "aggregate",
    "count": "count",
    "earliest": "get",
    "exists": "exists",
    "first": "fetch",
    "get": "get",
    "in_bulk": "fetch",
    "last": "fetch",
    "latest": "get",
}
"""Methods that Django runs in another thread when they are awaited, and what they are for the settings."""


def twin(original: Callable[..., Any], name: str, operation: Operation) -> Callable[..., Any]:
    """What stands in for *original*, the async twin of the method called *name*."""

    @wraps(original)
    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(type(self), name) is getattr(QuerySet, name) and _may_be_held(self, operation):
            try:
                return await answered(partial(getattr(self, name), *args, **kwargs))
            except NotHeld:
                pass
        return await original(self, *args, **kwargs)

    return method


def iterate(original: Callable[[Any], AsyncIterator[Any]], queryset: Any) -> AsyncIterator[Any]:
    """The items of *queryset*; *original* is its ``__aiter__``."""

    async def items() -> AsyncIterator[Any]:
        if type(queryset)._fetch_all is QuerySet._fetch_all and _may_be_held(queryset, "fetch"):
            try:
                await answered(queryset._fetch_all)
            except NotHeld:
                pass
            else:
                for item in queryset._result_cache:
                    yield item
                return
        async for item in original(queryset):
            yield item

    return items()


def _may_be_held(queryset: QuerySet[Any], operation: Operation) -> bool:
    # What others wrote in place of Django's methods may block, and is theirs to call.
    if policy_of(queryset).action is not None:
        return False
    policy = wanted_policy(queryset, operation)
    if policy is None or policy.near:
        return policy is not None
    # What is prefetched would be built anew after each look, which takes longer than the way to a thread.
    prefetches = operation in ("fetch", "get") and getattr(queryset, "_prefetch_related_lookups", None)
    return not prefetches and current_store().may_await()
