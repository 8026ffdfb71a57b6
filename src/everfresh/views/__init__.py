"""Views whose responses are kept for as long as nothing changes that they read."""

from __future__ import annotations

from everfresh.views.decorator import MemoizedView, memoize_view

__all__ = ["MemoizedView", "memoize_view"]
