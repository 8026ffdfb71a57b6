"""What the tests of computations have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from everfresh.conf import settings
from everfresh.reading import Answer
from everfresh.recorded import Computation, aread_recorded, read_recorded

__all__ = ["aask", "ask", "computation"]


def computation(key: str = "test", **options: Any) -> Computation:
    """One called *key*, in the namespace of the test."""
    return Computation(key=f"{settings().prefix()}:f:{key.replace(' ', '-')}", **options)


def ask(compute: Callable[[], Any], key: str = "test", *, fresh: bool = False, **options: Any) -> Answer[Any]:
    """Read *compute* through the cache."""
    return read_recorded(computation(key, **options), compute, fresh=fresh)


async def aask(compute: Callable[[], Awaitable[Any]], key: str = "test", **options: Any) -> Answer[Any]:
    """Read *compute* through the cache, awaiting it."""
    return await aread_recorded(computation(key, **options), compute)
