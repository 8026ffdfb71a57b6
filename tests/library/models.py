"""The schema of the tests: every kind of relation and of field, in one small library."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import django
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from everfresh import CacheManager
from tests.settings import DB

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Publisher(models.Model):
    name = models.CharField(max_length=50, unique=True)
    country = models.CharField(max_length=2, db_index=True, default="NL")


class Author(models.Model):
    name = models.CharField(max_length=50, db_index=True)
    email = models.EmailField(unique=True, null=True)
    publisher = models.ForeignKey(Publisher, models.SET_NULL, null=True, related_name="authors")
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="pupils")
    born = models.DateField(null=True, db_index=True)
    active = models.BooleanField(default=True)
    bio = models.TextField(default="")

    if TYPE_CHECKING:
        books: RelatedManager[Book]

    class Meta:
        ordering = ["id"]


class Profile(models.Model):
    author = models.OneToOneField(Author, models.CASCADE, primary_key=True, related_name="profile")
    motto = models.CharField(max_length=50, default="")


class Tag(models.Model):
    name = models.CharField(max_length=30, unique=True)


class Book(models.Model):
    title = models.CharField(max_length=100)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    coauthors = models.ManyToManyField(Author, related_name="cowritten")
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="books")
    status = models.IntegerField(default=0, db_index=True)
    pages = models.IntegerField(default=100)
    views = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=1, db_index=True)
    data = models.JSONField(default=dict)
    published = models.DateTimeField(null=True, db_index=True)
    reviews = GenericRelation("Review")

    class Meta:
        indexes = [models.Index(fields=["author", "status"], name="book_author_status")]
        ordering = ["id"]


class SignedBook(Book):
    """A proxy."""

    class Meta:
        proxy = True


class Tagging(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)
    weight = models.IntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "tag"], name="one_tagging")]


class Review(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.BigIntegerField(db_index=True)
    subject = GenericForeignKey()
    stars = models.IntegerField(default=3)


class Place(models.Model):
    name = models.CharField(max_length=50)
    city = models.CharField(max_length=50, db_index=True, default="")


class Shop(Place):
    """Inherits a table."""

    opens = models.TimeField(null=True)
    stock = models.ManyToManyField(Book, related_name="shops")


class Order(models.Model):
    shop = models.ForeignKey(Shop, models.CASCADE, null=True, related_name="orders")
    note = models.CharField(max_length=50, default="")


class OrderLine(models.Model):
    """Has a composite primary key."""

    pk = models.CompositePrimaryKey("order_id", "position")
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    position = models.IntegerField()
    book = models.ForeignKey(Book, models.SET_NULL, null=True)
    amount = models.IntegerField(default=1)


class Node(models.Model):
    """A tree with UUID keys."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    label = models.SlugField(default="")


class Shouted(models.CharField):  # type: ignore[type-arg]
    """A field that prepares and reads its values in a way of its own."""

    def get_prep_value(self, value: object) -> object:
        return None if value is None else str(value).upper()

    def from_db_value(self, value: object, expression: object, connection: object) -> object:
        return None if value is None else f"{value}!"


class Everything(models.Model):
    """One column of each kind."""

    big = models.BigIntegerField(default=0)
    binary = models.BinaryField(default=b"")
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=50, default="")
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    decimal = models.DecimalField(max_digits=20, decimal_places=4, null=True)
    duration = models.DurationField(null=True)
    float = models.FloatField(null=True)
    ip = models.GenericIPAddressField(null=True)
    json = models.JSONField(null=True)
    small = models.SmallIntegerField(default=0)
    text = models.TextField(default="")
    time = models.TimeField(null=True)
    url = models.URLField(default="")
    uuid = models.UUIDField(null=True)
    shouted = Shouted(max_length=50, default="", db_index=True)


class Counted(models.Model):
    """Columns that the database computes."""

    amount = models.IntegerField(default=0)
    doubled = models.GeneratedField(
        expression=models.F("amount") * 2, output_field=models.IntegerField(), db_persist=True, db_index=True
    )
    rank = models.IntegerField(db_default=7, db_index=True)


class Managed(models.Model):
    """Its managers say what is cached."""

    name = models.CharField(max_length=20, db_index=True)
    objects = models.Manager()
    all_cached = CacheManager(cache_all=True)
    get_cached = CacheManager(cache_get=True)
    never_get = CacheManager(cache_get=False)


if django.VERSION >= (6, 1):

    class Shelf(models.Model):
        name = models.CharField(max_length=20)

    class Slot(models.Model):
        """The database cascades to it."""

        shelf = models.ForeignKey(Shelf, models.DB_CASCADE, related_name="slots")

    class Sticker(models.Model):
        shelf = models.ForeignKey(Shelf, models.DB_SET_NULL, null=True, related_name="stickers")
        slot = models.ForeignKey(Slot, models.DB_CASCADE, null=True)


if DB == "postgresql":
    from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, IntegerRangeField

    class Measured(models.Model):
        """Columns only PostgreSQL has."""

        numbers = ArrayField(models.IntegerField(), default=list)
        span = IntegerRangeField(null=True)
        when = DateTimeRangeField(null=True)
