"""Statements of which caches know nothing: those that are only counted, and those that put rows right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

__all__ = ["Counter", "counting", "past_caches"]


@dataclass
class Counter:
    """How many there were."""

    statements: int = 0

    def __call__(self, execute: Any, *arguments: Any) -> Any:
        """Stand between Django and the driver."""
        self.statements += 1
        return execute(*arguments)


@contextmanager
def counting() -> Iterator[Counter]:
    """Count the statements of this thread's connection."""
    counter = Counter()
    with connection.execute_wrapper(counter):
        yield counter


def past_caches(statements: Iterable[str]) -> None:
    """Run them on the driver's own cursor."""
    connection.ensure_connection()
    cursor = connection.connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()
