"""Counting the statements that reach the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

__all__ = ["Counter", "counting"]


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
