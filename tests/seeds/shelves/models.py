"""Books and who reads them, as cacheme's example has them, with the keys that its signals ask models for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import ClassVar

from django.db import models


class Reader(models.Model):
    name = models.CharField(max_length=30, default="")
    follows = models.ManyToManyField("self", symmetrical=False)

    @property
    def cache_key(self) -> str:
        return f"Reader:{self.pk}"


class Guest(Reader):
    """Has a table of its own."""

    until = models.DateField(null=True)


class Loud(Reader):
    """A proxy."""

    class Meta:
        proxy = True


class Book(models.Model):
    name = models.CharField(max_length=30, default="")
    readers = models.ManyToManyField(Reader, related_name="books")
    fans = models.ManyToManyField(Reader, through="Fan", related_name="loves")

    @property
    def cache_key(self) -> list[str]:
        return [f"Book:{self.pk}", f"Books named {self.name}"]


class Fan(models.Model):
    """Of a book, in rows that people save."""

    book = models.ForeignKey(Book, models.CASCADE)
    reader = models.ForeignKey(Reader, models.CASCADE)
    since = models.IntegerField(default=2000)

    m2m_cache_keys: ClassVar[dict[str, Callable[[Iterable[object]], list[str]]]] = {
        "Book": lambda ids: [f"Reader:{pk}:loves" for pk in ids],
        "Reader": lambda ids: [f"Book:{pk}:fans" for pk in ids],
    }


class Ticket(models.Model):
    """Has a key made by Python."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.IntegerField(default=0)

    @property
    def cache_key(self) -> str:
        return f"Ticket:{self.pk}"


Book.readers.through.m2m_cache_keys = {  # type: ignore[attr-defined]
    "Book": lambda ids: [f"Reader:{pk}:books" for pk in ids],
    "Reader": lambda ids: [f"Book:{pk}:readers" for pk in ids],
}
Reader.follows.through.m2m_cache_keys = {  # type: ignore[attr-defined]
    "Reader": lambda ids: [f"Reader:{pk}:follows" for pk in ids],
}
