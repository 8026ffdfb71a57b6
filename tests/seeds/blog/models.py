"""A blog, as ormcache's author had one."""

from __future__ import annotations

from django.db import models

from everfresh.compat.ormcache import CachedModel, CacheManager


class Category(CachedModel):
    name = models.CharField(max_length=30)


class Post(CachedModel):
    name = models.CharField(max_length=30)
    category = models.ForeignKey(Category, models.CASCADE, null=True, related_name="posts")

    # Lists are asked for again when a post changes or goes, not when one comes.
    lasting = CacheManager(expire_on=["update", "delete"])
    # Nor when one goes: it is then missing where a list points to it.
    pointing = CacheManager(key_prefix="pointing", timeout=5, expire_on=["update"])

    class Meta(CachedModel.Meta):
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
