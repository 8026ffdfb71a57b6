"""The model of ormcache (OC-1)."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

from everfresh.compat.ormcache.manager import CacheManager
from everfresh.compat.ormcache.utils import get_cache_key_for_pk

__all__ = ["CachedModel"]


class CachedModel(models.Model):
    """``objects`` comes from the cache, row by row; ``nocache``, the default manager, from the database."""

    nocache = models.Manager()
    objects = CacheManager()

    class Meta:
        abstract = True
        # What Django itself reads, for deletes, checks and relations, is the database's (OC-21).
        default_manager_name = "nocache"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and once that is committed put the row into the cache: as the database has it, not as it is here."""
        super().save(*args, **kwargs)
        row = type(self).objects.using(self._state.db).filter(pk=self.pk)
        # Robust: what is committed is committed, and a row that could not be read is by its first reader.
        transaction.on_commit(row.execute, using=self._state.db, robust=True)

    @property
    def cache_key(self) -> str:
        """The key of the row's entry."""
        return get_cache_key_for_pk(type(self), self.pk)
