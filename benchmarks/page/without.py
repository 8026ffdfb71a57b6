"""What the atlas imports of Everfresh, for contenders that do without it: the same names, and nothing behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model

__all__ = ["CacheModel", "CachedTable", "cached_method", "memoize", "memoize_view"]


def memoize(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is."""
    return function


cached_method = memoize


def memoize_view() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The view as it is."""
    return memoize


CacheModel = CachedTable = Model
