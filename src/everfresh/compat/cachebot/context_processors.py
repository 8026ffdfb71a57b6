"""cachebot's context processor."""

from __future__ import annotations

from django.http import HttpRequest

from everfresh.conf import settings

__all__ = ["cache_globals"]


def cache_globals(_request: HttpRequest) -> dict[str, float]:
    """``CACHE_SECONDS``, for ``{% cache CACHE_SECONDS … %}``: how long an answer may live; 0 is for ever (CB-22)."""
    return {"CACHE_SECONDS": settings().timeout or 0}
