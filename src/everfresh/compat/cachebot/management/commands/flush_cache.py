"""``manage.py flush_cache``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from everfresh.compat.cachebot.utils import flush_cache

__all__ = ["Command"]


class Command(BaseCommand):
    """See `everfresh.compat.cachebot.utils.flush_cache`."""

    help = "Make every cached answer stale and empty the cache that holds them, whatever else is in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer ``--soft``."""
        parser.add_argument("--soft", action="store_true", help="Leave the cache as it is; nothing in it is served.")

    def handle(self, *_: Any, soft: bool, **__: Any) -> None:
        """Do it."""
        flush_cache(hard=not soft)
