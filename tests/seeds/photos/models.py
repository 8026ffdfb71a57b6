"""A schema like that of cachebot's README and of its tests, with its managers."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from everfresh.compat.cachebot.managers import CacheBotManager


class Photo(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    status = models.IntegerField(db_index=True)
    title = models.CharField(max_length=50, default="")
    friends = models.ManyToManyField("self")

    objects = CacheBotManager()


class Message(models.Model):
    photo = models.ForeignKey(Photo, models.CASCADE)
    sender = models.ForeignKey(User, models.CASCADE)

    objects = CacheBotManager()


class First(models.Model):
    text = models.CharField(max_length=50, db_index=True)

    objects = CacheBotManager(cache_get=True)


class Second(models.Model):
    text = models.CharField(max_length=50, db_index=True)
    obj = models.ForeignKey(First, models.CASCADE)

    objects = CacheBotManager(cache_get=True)


class Third(models.Model):
    text = models.CharField(max_length=50, db_index=True)
    obj = models.ForeignKey(Second, models.CASCADE)

    objects = CacheBotManager(cache_get=True)


class Many(models.Model):
    text = models.CharField(max_length=50, db_index=True)
    firsts = models.ManyToManyField(First)
    thirds = models.ManyToManyField(Third)
    generics = GenericRelation("Generic")

    objects = CacheBotManager(cache_get=True)


class Generic(models.Model):
    text = models.CharField(max_length=50, db_index=True)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField(db_index=True)
    obj = GenericForeignKey()

    objects = CacheBotManager(cache_get=True)


class Tree(models.Model):
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    text = models.CharField(max_length=50, default="")

    objects = CacheBotManager()


class NeverGot(models.Model):
    text = models.CharField(max_length=50, db_index=True)

    objects = CacheBotManager(cache_get=False)
    all_cached = CacheBotManager(cache_all=True)
