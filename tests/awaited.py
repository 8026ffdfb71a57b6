"""What the tests of async twins share: ways to read, two authors with their books, and who went to a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.db.models import Count, QuerySet

from tests.library.models import Author, Book

__all__ = ["READS", "all_of", "make_books", "shown", "ways", "write"]


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called in another thread, by name."""
    called: list[str] = []
    original = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(getattr(self.func, "__name__", ""))
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    return called


def make_books() -> None:
    """Two authors with five books each."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=at, author_id=1 + at % 2, title=f"{at}") for at in range(1, 11)])


async def all_of(queryset: QuerySet[Any]) -> list[Any]:
    """What *queryset* gives, one after another."""
    return [item async for item in queryset]


READS: dict[str, Callable[[], Awaitable[Any]]] = {
    "get": lambda: Book.objects.aget(pk=3),
    "get by two": lambda: Book.objects.aget(pk=3, title="3"),
    "list": lambda: all_of(Book.objects.filter(author_id=1).order_by("pk")),
    "rows": lambda: all_of(Book.objects.cache(rows=True).filter(author_id=1).order_by("pk").select_related("author")),
    "values": lambda: all_of(Book.objects.order_by("pk").values("pk", "title")),
    "prefetch": lambda: all_of(Author.objects.order_by("pk").prefetch_related("books")),
    "count": lambda: Book.objects.filter(author_id=1).acount(),
    "exists": lambda: Book.objects.filter(author_id=1).aexists(),
    "first": lambda: Book.objects.order_by("pk").afirst(),
    "last": lambda: Book.objects.order_by("pk").alast(),
    "earliest": lambda: Book.objects.aearliest("pk"),
    "latest": lambda: Book.objects.alatest("pk"),
    "in_bulk": lambda: Book.objects.ain_bulk([1, 2]),
    "aggregate": lambda: Book.objects.aaggregate(n=Count("pk")),
}


def shown(answer: Any) -> Any:
    """*answer*, with what two equal rows may differ in."""
    if isinstance(answer, list):
        return [shown(each) for each in answer]
    if isinstance(answer, Author):
        return answer, [book.title for book in answer.books.all()]
    return answer.title if isinstance(answer, Book) else answer


def write() -> None:
    """Change the answers of all `READS`."""
    Book.objects.filter(pk__in=[2, 10]).delete()
    Book.objects.exclude(pk=3).update(title="new")
    Book.objects.create(id=90_000, author_id=1, title="more")
