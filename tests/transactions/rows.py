"""The one cached list and the writes to it that the tests here share."""

from __future__ import annotations

from django.db import connections

from tests.library.models import Book


def titles(using: str = "default") -> list[str]:
    """A cached list, by the value tag of its author."""
    return list(Book.objects.using(using).filter(author_id=1).cache().values_list("title", flat=True))


def rename(title: str = "new", using: str = "default") -> None:
    """Another title for the book, by the ORM."""
    Book.objects.using(using).filter(id=1).update(title=title)


def sql(statement: str, using: str = "default") -> None:
    """Raw SQL."""
    with connections[using].cursor() as cursor:
        cursor.execute(statement)


def rename_by_sql(title: str = "new", using: str = "default") -> None:
    """Another title for the book, by raw SQL."""
    sql(f"UPDATE library_book SET title = '{title}' WHERE id = 1", using)
