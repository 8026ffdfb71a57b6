"""Async twins: an answer of which this process holds a copy is given on the event loop, and is as fresh as any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.db import connection, connections, transaction
from django.db.models import QuerySet
from pytest_django.fixtures import Settings

import everfresh
from tests.awaited import READS, make_books, shown, ways, write
from tests.conftest import Configure, Elsewhere
from tests.library.models import Book

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

__all__ = ["ways"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def rows(configure: Configure, settings: Settings, redis_url: str) -> None:
    """Two authors with five books each, everything cached on a Redis, with copies."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {**settings.CACHES, "pushing": {"BACKEND": backend, "LOCATION": redis_url}}
    configure(CACHE="pushing", CACHE_ALL=True, NEAR=True)
    make_books()


async def _warm(read: Callable[[], Awaitable[Any]], ways: list[str] | None = None) -> None:
    for _ in range(4 if ways is None else 200):
        # The first computes, the second opens the connection, the third leaves copies; those of several entries hold
        # together once the server has answered a ping since.
        if ways is not None:
            ways.clear()
        await read()
        if ways == []:
            return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", READS)
def test_held_answers_need_no_thread(ways: list[str], name: str) -> None:
    """Once this process holds a copy, the answer comes at once, and is that of the database."""

    async def main() -> tuple[Any, Any, list[str]]:
        await _warm(READS[name], ways)
        ways.clear()
        answer = await READS[name]()
        went = list(ways)
        with everfresh.disabled():
            return answer, await READS[name](), went

    answer, expected, went = async_to_sync(main)()
    # Since 6.0 Django asks a connection to SQLite how many keys a query may have, and there is none on the loop.
    asks = name == "in_bulk" and connection.vendor == "sqlite" and django.VERSION >= (6,)
    assert (["in_bulk"] if asks else []) == went
    assert shown(expected) == shown(answer)


@pytest.mark.parametrize("name", READS)
def test_writes_are_seen_at_once(name: str, elsewhere: Elsewhere) -> None:
    """What another thread has written is in the next answer."""

    async def main() -> tuple[Any, Any]:
        await _warm(READS[name])
        await asyncio.to_thread(elsewhere, write)
        answer = await READS[name]()
        with everfresh.disabled():
            return answer, await READS[name]()

    answer, expected = async_to_sync(main)()
    assert shown(expected) == shown(answer)


@pytest.mark.parametrize("name", ["get", "list", "count"])
def test_open_transaction(ways: list[str], name: str) -> None:
    """While a transaction is open anywhere in the process, the thread in which it would be asked has to tell."""

    async def main() -> list[str]:
        await _warm(READS[name])
        ways.clear()
        await READS[name]()
        return list(ways)

    with transaction.atomic():
        Book.objects.filter(pk=3).update(title="mine")
        assert [] != async_to_sync(main)()
        assert "mine" == _now("get").title
        transaction.set_rollback(True)
    assert "3" == _now("get").title


def _now(name: str) -> Any:
    async def main() -> Any:
        return await READS[name]()

    return async_to_sync(main)()


def test_open_transaction_of_another_thread(ways: list[str]) -> None:
    """Also of another thread: it may be the one that the next query is sent to."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(4):
            _now("get")
        block = transaction.atomic()
        pool.submit(block.__enter__).result(30)
        try:
            ways.clear()
            _now("get")
            assert ["get"] == ways
        finally:
            pool.submit(block.__exit__, None, None, None).result(30)
            pool.submit(connections.close_all).result(30)
            pool.submit(caches.close_all).result(30)


def test_errors_are_those_of_the_database(ways: list[str]) -> None:
    """That there is no such row is an answer like any other."""

    async def main() -> list[str]:
        for _ in range(4):
            with pytest.raises(Book.DoesNotExist):
                await Book.objects.aget(pk=99)
            ways.clear()
        return ways

    assert [] == async_to_sync(main)()


@pytest.mark.parametrize(
    "read",
    [
        lambda: Book.objects.cache(near=False).aget(pk=3),
        lambda: Book.objects.cache(grace=60).reset().aget(pk=3),
        lambda: Book.objects.nocache().aget(pk=3),
        lambda: Book.objects.order_by("?").afirst(),
    ],
    ids=["not near", "reset", "not cached", "random"],
)
def test_what_is_not_held(ways: list[str], read: Callable[[], Awaitable[Any]]) -> None:
    """What no copy may answer is asked for in the thread for what blocks, once."""

    async def main() -> tuple[Any, list[str]]:
        await _warm(read)
        ways.clear()
        return await read(), list(ways)

    answer, went = async_to_sync(main)()
    assert isinstance(answer, Book)
    assert 1 == len(went)


def test_methods_of_ones_own(ways: list[str]) -> None:
    """What a project wrote in place of a method may block, so it is never called on the loop."""

    class Own(QuerySet[Book]):
        def get(self, *args: Any, **kwargs: Any) -> Book:
            return super().get(*args, **kwargs)

    async def main() -> list[str]:
        await _warm(lambda: Own(Book).aget(pk=3))
        ways.clear()
        await Own(Book).aget(pk=3)
        return list(ways)

    assert ["get"] == async_to_sync(main)()


def test_memoized_coroutines(ways: list[str]) -> None:
    """A memoized coroutine function answers from its copy, and computes anew after a write."""
    calls: list[int] = []

    @everfresh.memoize
    async def titles(author: int) -> list[str]:
        calls.append(author)
        return [book.title async for book in Book.objects.filter(author_id=author).order_by("pk")]

    async def main() -> tuple[list[str], list[str]]:
        await _warm(lambda: titles(1))
        ways.clear()
        held = await titles(1)
        return held, list(ways)

    held, went = async_to_sync(main)()
    assert (["2", "4", "6", "8", "10"], [], [1]) == (held, went, calls)
    Book.objects.filter(pk=4).update(title="new")
    assert ["2", "new", "6", "8", "10"] == async_to_sync(titles)(1)
