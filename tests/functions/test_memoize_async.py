"""Memoized coroutine functions and asynchronous generators."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.db.models import Count
from django.utils.functional import SimpleLazyObject

import everfresh
from everfresh import NotCached, memoize, names
from everfresh.functions import Call
from everfresh.stores import GuardedStore
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)

RUNS: list[Any] = []


def awaiting(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine function."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


@pytest.fixture
def author() -> Author:
    """One author with one book, read from the database."""
    RUNS.clear()
    Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author_id=1, title="one")
    return Author.objects.get(id=1)


@memoize
async def titles(author_id: int) -> list[str]:
    """Of one author."""
    RUNS.append(author_id)
    return [book.title async for book in Book.objects.filter(author_id=author_id)]


@memoize
async def describe(who: Author) -> str:
    """By what it is given."""
    RUNS.append(who.pk)
    return f"{who.name} {await who.books.acount()}"


@memoize(on_hit=lambda key, result, call: RUNS.append(result))
async def each_title(author_id: int) -> AsyncIterator[str]:
    """One by one."""
    async for book in Book.objects.filter(author_id=author_id):
        yield book.title


class Shelf:
    """With methods that are awaited."""

    @memoize(key=lambda call: "shelf")
    async def titles(self) -> list[str]:
        return await titles(1)

    @memoize
    @classmethod
    async def name(cls) -> str:
        return cls.__name__


@awaiting
async def test_second_call_runs_nothing(author: Author) -> None:
    """And any write that changes what it read makes the next one run."""
    assert [await titles(1), await titles(author_id=1)] == [["one"], ["one"]]
    await Book.objects.filter(id=1).aupdate(title="new")
    assert [await titles(1), await titles(1)] == [["new"], ["new"]]
    assert RUNS == [1, 1]


def test_it_is_a_coroutine_function() -> None:
    """For whoever asks, before it is called."""
    assert iscoroutinefunction(titles)
    assert iscoroutinefunction(Shelf().titles)
    assert not iscoroutinefunction(each_title)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(titles)


@awaiting
async def test_rows_that_are_given(author: Author) -> None:
    """They are asked for again, in a thread; a lazy one too, which has to be asked to be named."""
    assert await describe(author) == "A 1"
    lazy = SimpleLazyObject(lambda: Author.objects.get(id=1))
    assert await describe(lazy) == "A 1"  # type: ignore[arg-type]
    assert RUNS == [1]
    await Author.objects.filter(id=1).aupdate(name="B")
    assert await describe(author) == "A 1"
    assert await describe(await Author.objects.aget(id=1)) == "B 1"
    annotated = await Author.objects.annotate(n=Count("books")).aget(id=1)
    assert await describe(annotated) == "B 1"
    # It may tell more than its row, so what was kept of the row alone is not its.
    assert RUNS == [1, 1, 1, 1]


@pytest.mark.seeds("CE-5")
@pytest.mark.parametrize("awaited", [True, False])
def test_callbacks(awaited: bool, author: Author) -> None:
    """They may be plain functions or coroutine functions."""
    told: list[Any] = []

    def on_hit(key: str, result: int, call: Call) -> None:
        told.append(("hit", key, result, call.a))

    def on_miss(key: str, call: Call) -> None:
        told.append(("miss", key, call.a))

    async def aon_hit(*given: Any) -> None:
        await asyncio.sleep(0)
        on_hit(*given)

    async def aon_miss(*given: Any) -> None:
        await asyncio.sleep(0)
        on_miss(*given)

    @memoize(
        key=lambda call: f"a{call.a}",
        on_hit=aon_hit if awaited else on_hit,
        on_miss=aon_miss if awaited else on_miss,
    )
    async def function(a: int) -> int:
        told.append("runs")
        return a

    async_to_sync(function)(1)
    async_to_sync(function)(1)
    assert told == [("miss", "a1", 1), "runs", ("hit", "a1", 1, 1)]


@awaiting
async def test_what_the_face_can_do(author: Author) -> None:
    """The same as that of a plain function, awaited."""
    with pytest.raises(NotCached):
        await titles.apeek(1)
    await titles(1)
    assert await titles.apeek(1) == ["one"]
    assert await titles.arefresh(1) == ["one"]
    assert await titles.amany([(1,), {"author_id": 2}]) == [["one"], []]
    assert RUNS == [1, 1, 2]
    await titles.ainvalidate(1)
    with pytest.raises(NotCached):
        await titles.apeek(1)
    assert await titles.ainvalidate_all() == 1
    assert titles.cache_key(1).endswith(".titles(author_id=1)")


@awaiting
async def test_methods(author: Author) -> None:
    """Of instances and of classes."""
    assert await Shelf().titles() == await Shelf().titles.apeek() == ["one"]
    assert await Shelf.name() == await Shelf().name() == "Shelf"


@awaiting
async def test_asynchronous_generators(author: Author) -> None:
    """The items are kept, and each call iterates over them anew."""
    for _ in range(2):
        assert [title async for title in each_title(1)] == ["one"]
    assert RUNS == [["one"]]
    assert [title async for title in await each_title.apeek(1)] == ["one"]
    assert [title async for title in await each_title.arefresh(1)] == ["one"]
    assert [[title async for title in each] for each in await each_title.amany([(1,), (2,)])] == [["one"], []]
    await Book.objects.filter(id=1).aupdate(title="new")
    assert [title async for title in each_title(1)] == ["new"]


@awaiting
async def test_skip_and_off(author: Author) -> None:
    """Plain functions, as without the decorator."""
    with everfresh.disabled():
        assert [await titles(1), await titles(1)] == [["one"], ["one"]]
        assert await titles.amany([(1,)]) == [["one"]]
        assert [title async for title in each_title(1)] == ["one"]
    assert RUNS == [1, 1, 1]

    @memoize(skip=lambda call: call.a == 1, label="skipping")
    async def skipping(a: int) -> object:
        return object()

    assert await skipping(1) is not await skipping(1)
    assert await skipping.amany([(1,), (1,)])
    assert names.labels() == []
    with pytest.raises(TypeError, match="which has no stable key"):
        await titles(object())  # type: ignore[arg-type]


@awaiting
async def test_many_at_a_time(author: Author) -> None:
    """Of many tasks that want one result, one computes it."""
    found = await asyncio.gather(*(titles(1) for _ in range(5)))
    assert found == [["one"]] * 5
    assert RUNS == [1]


@awaiting
async def test_exceptions_are_not_kept(author: Author) -> None:
    """They pass, and the next call runs again."""

    @memoize
    async def fails() -> None:
        RUNS.append("fails")
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            await fails()
    assert RUNS == ["fails", "fails"]


@pytest.mark.parametrize("step", ["begin_fill", "read_many"])
@awaiting
async def test_what_is_cancelled_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Also while a thread takes the lease for it, or looks again after that."""

    @memoize
    async def count() -> int:
        return await Author.objects.acount()

    asked = threading.Event()
    proceed = threading.Event()
    real = getattr(GuardedStore, step)
    looks = iter([step == "begin_fill"])
    monkeypatch.setattr("everfresh.recorded.reading._FRESH_LOOK_SECONDS", -1.0)

    def slowly(self: GuardedStore, *args: Any, **options: Any) -> Any:
        found = real(self, *args, **options)
        if next(looks, True) and not asked.is_set():
            asked.set()
            proceed.wait(5)
        return found

    monkeypatch.setattr(GuardedStore, step, slowly)
    reading = asyncio.create_task(count())
    assert await asyncio.to_thread(asked.wait, 5)
    reading.cancel()
    await asyncio.sleep(0.01)
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await asyncio.wait_for(count(), 2) == 0
