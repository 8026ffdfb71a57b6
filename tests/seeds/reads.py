"""Where an answer came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from everfresh.events import Outcome, Read, listening

__all__ = ["DB_THEN_CACHE", "asked", "origin"]

DB_THEN_CACHE = ["database", "cache"]


def origin(read: Callable[[], Any]) -> str:
    """Did *read* get its answer from the cache, or did part of it come from the database?"""
    seen: list[Outcome] = []
    with listening(lambda event: seen.append(event.outcome) if isinstance(event, Read) else None):
        read()
    return "cache" if seen and set(seen) == {Outcome.HIT} else "database"


def asked(read: Callable[[], Any], times: int = 2) -> list[str]:
    """The same for several times."""
    return [origin(read) for _ in range(times)]
