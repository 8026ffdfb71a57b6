"""Where an answer came from, and writes that nobody tells Everfresh of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from django.db import connection

from everfresh.events import Outcome, Read, listening

__all__ = ["DB_THEN_CACHE", "asked", "origin", "past_django"]

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


def past_django(statement: str) -> None:
    """Write so that Everfresh does not see it."""
    with closing(connection.create_cursor()) as cursor:
        cursor.execute(statement)
