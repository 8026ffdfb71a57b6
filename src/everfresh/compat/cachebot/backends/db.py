"""A table of the database."""

from __future__ import annotations

from django.core.cache.backends import db

from everfresh.compat.cachebot.backends.base import MoreMethods
from everfresh.compat.cachebot.logger import logging_operations

__all__ = ["DatabaseCache"]


@logging_operations
class DatabaseCache(MoreMethods, db.DatabaseCache):
    """Django's, with the methods."""
