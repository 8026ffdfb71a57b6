"""The Django app: it has the command ``flush_cache`` and no models."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["CacheBotConfig"]


class CacheBotConfig(AppConfig):
    """cachebot's own label, so that nothing else in a project has to change."""

    name = "everfresh.compat.cachebot"
    label = "cachebot"
    verbose_name = "cachebot, over Everfresh"
