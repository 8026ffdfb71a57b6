"""The ``CACHEME`` setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings as django_settings

__all__ = ["CACHEME", "STALE_SECONDS"]

STALE_SECONDS = 60.0
"""What ``stale=True`` means: for so long an old result is served while another caller computes the new one."""

_DEFAULTS: Mapping[str, Any] = {
    "ENABLE_CACHE": True,
    "REDIS_CACHE_ALIAS": "default",
    "REDIS_CACHE_PREFIX": "CM:",
    "REDIS_CACHE_SCAN_COUNT": 10,
    "REDIS_URL": None,
    "STALE": True,
    "THUNDERING_HERD_RETRY_COUNT": 5,
    "THUNDERING_HERD_RETRY_TIME": 20,
    "COMPRESS": False,
    "COMPRESSTHRESHOLD": 1000,
}


class _Settings:
    """What `update_settings` was given, else the ``CACHEME`` of Django's settings, else the default; looked up anew."""

    def __init__(self) -> None:
        self.updated: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        for each in (self.updated, getattr(django_settings, "CACHEME", {}), _DEFAULTS):
            if name in each:
                return each[name]
        raise AttributeError("setting not found")

    def grace(self, stale: bool | None) -> float | None:
        """The seconds of *stale*; where it does not say, what ``STALE`` does."""
        return STALE_SECONDS if (self.STALE if stale is None else stale) else None


CACHEME = _Settings()
"""Only ``ENABLE_CACHE``, ``REDIS_CACHE_PREFIX`` and ``STALE`` mean something; the others are there to be read."""
