"""A small shop of articles: enough kinds of columns and relations for every scenario and every operation."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from django.conf import settings
from django.db import models

if "everfresh" in settings.INSTALLED_APPS:
    from everfresh import CacheModel
else:
    CacheModel = models.Model

LONG_AGO = datetime(2026, 1, 1, 10, tzinfo=UTC)


class Author(models.Model):
    """Writes articles."""

    name = models.CharField(max_length=100)
    active = models.BooleanField(default=True)


class Category(models.Model):
    """Articles have one each."""

    name = models.CharField(max_length=100)
    rank = models.IntegerField(default=0)


class Tag(models.Model):
    """Articles have many."""

    name = models.CharField(max_length=100)


class Article(models.Model):
    """What everything is about."""

    author = models.ForeignKey(Author, models.CASCADE, related_name="articles")
    category = models.ForeignKey(Category, models.CASCADE, related_name="articles")
    tags = models.ManyToManyField(Tag, related_name="articles")
    title = models.CharField(max_length=200)
    text = models.TextField(default="")
    views = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal("1.50"))
    at = models.DateTimeField(default=LONG_AGO, db_index=True)
    about = models.JSONField(default=dict)


class Comment(models.Model):
    """On an article, or on none yet."""

    article = models.ForeignKey(Article, models.CASCADE, null=True, related_name="comments")
    reviewer = models.ForeignKey(Author, models.SET_NULL, null=True, related_name="reviews")
    text = models.CharField(max_length=200)
    good = models.BooleanField(default=True)
    score = models.IntegerField(default=0)


class Badge(models.Model):
    """Goes with its article; from Django 6.1 on it is the database that sees to that."""

    article = models.ForeignKey(Article, getattr(models, "DB_CASCADE", models.CASCADE), related_name="badges")
    name = models.CharField(max_length=100)


class Place(models.Model):
    """The parent of a model that inherits its table."""

    name = models.CharField(max_length=100)
    city = models.CharField(max_length=100, db_index=True)


class Bar(Place):
    """A place with a table of its own besides."""

    beers = models.IntegerField(default=0)


class Visit(models.Model):
    """Many of them, to which nothing points: for writes of a thousand rows."""

    batch = models.IntegerField(db_index=True)
    author = models.ForeignKey(Author, models.CASCADE, related_name="visits")
    path = models.CharField(max_length=200)
    seconds = models.IntegerField(default=0)


class Product(models.Model):
    """What is sold, in the mixes."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    seller = models.ForeignKey(Author, models.CASCADE, related_name="products")
    category = models.ForeignKey(Category, models.CASCADE, related_name="products")
    status = models.IntegerField(default=0)
    price = models.IntegerField(default=0)
    sold = models.IntegerField(default=0)
    at = models.DateTimeField(default=LONG_AGO)


class Profile(CacheModel):
    """A row by its key, of a published model where there are such."""

    author = models.ForeignKey(Author, models.CASCADE, related_name="profiles")
    title = models.CharField(max_length=200)
    text = models.TextField(default="")
    views = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal("1.50"))
    at = models.DateTimeField(default=LONG_AGO)
    about = models.JSONField(default=dict)
