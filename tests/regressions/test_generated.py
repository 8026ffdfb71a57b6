"""What generated queries and histories found in the core, each in its smallest form."""

from __future__ import annotations

import pytest
from django.db.models import Count

from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)


def test_counted_groups_are_more_by_what_orders_them() -> None:
    """Since Django 6.1, ``count()`` keeps an ordering by which it also groups: its tables are read."""
    author = Author.objects.create(name="a")
    groups = Author.objects.annotate(n=Count("profile")).values("pk").order_by("books__title")

    def counts() -> tuple[int, int]:
        return groups.cache().count(), groups.nocache().count()

    assert counts() == (1, 1)
    Book.objects.bulk_create([Book(author=author, title="a"), Book(author=author, title="b")])
    cached, true = counts()
    assert cached == true
