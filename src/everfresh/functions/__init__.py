"""Functions whose results are kept, and are never stale.

What a function reads by querysets records itself (:mod:`everfresh.recorded`).
"""

from __future__ import annotations

from everfresh.functions.calls import Call
from everfresh.functions.decorator import memoize
from everfresh.functions.memoized import AsyncIteratorMemoized, AsyncMemoized, Memoized

__all__ = ["AsyncIteratorMemoized", "AsyncMemoized", "Call", "Memoized", "memoize"]
