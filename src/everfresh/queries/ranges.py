"""PostgreSQL's range values, recognised without importing a driver."""

from __future__ import annotations

from typing import Any

__all__ = ["is_range", "range_parts"]

_NAMES = frozenset({"Range", "NumericRange", "DateRange", "DateTimeRange", "DateTimeTZRange", "Int4Range", "Int8Range"})


def is_range(kind: type) -> bool:
    """Is *kind* a range class of psycopg, or one that Django derives from it?"""
    return any(base.__module__.startswith("psycopg") and base.__name__ in _NAMES for base in kind.__mro__)


def range_parts(value: Any) -> tuple[object, object, str | None]:
    """A range's lower bound, upper bound and kinds of bounds (``"[)"``, …; ``None`` when empty)."""
    return value.lower, value.upper, getattr(value, "bounds", None) or getattr(value, "_bounds", None)
