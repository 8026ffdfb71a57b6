"""Async twins and the store: an answer that this process holds no copy of needs no thread either, and is as fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import django
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import caches
from django.db import connection, connections, transaction
from django.db.models import Prefetch

import everfresh
from everfresh.events import Event, listening
from everfresh.stores import GuardedStore, Snapshots, current_store
from everfresh.stores.connections import Connections
from everfresh.stores.lines import FIRST_READS
from tests import servers
from tests.awaited import READS, all_of, make_books, shown, ways, write
from tests.conftest import Configure, Elsewhere, closing
from tests.library.models import Author, Book

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

__all__ = ["ways"]

pytestmark = pytest.mark.django_db(transaction=True)

LOOKED = [name for name in READS if name != "prefetch"]


@pytest.fixture(autouse=True)
def rows(configure: Configure, settings: Settings, redis_url: str) -> None:
    """Two authors with five books each, everything cached on a Redis, without copies."""
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {**settings.CACHES, "asked": {"BACKEND": backend, "LOCATION": redis_url}}
    configure(CACHE="asked", CACHE_ALL=True, NEAR=False)
    make_books()


@pytest.fixture
def server(settings: Settings, configure: Configure) -> Iterator[servers.RedisServer]:
    """A Redis that the test may mistreat, in place of the other."""
    with servers.redis_server() as server:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {**settings.CACHES, "asked": {"BACKEND": backend, "LOCATION": server.url}}
        configure(LIMITS={"STORE_SECONDS": 0.3})
        yield server


async def _opened(read: Callable[[], Awaitable[Any]]) -> None:
    """Wait until this loop can look at the store, and the answer is there."""
    for _ in range(500):
        if current_store().may_await():
            break
        await asyncio.sleep(0.01)
    await read()
    await read()
    assert current_store().may_await()


async def _get() -> Book:
    return await Book.objects.aget(pk=3)


@pytest.mark.parametrize("name", LOOKED)
def test_hits_need_no_thread(ways: list[str], name: str) -> None:
    """Once the loop has a connection, what is stored comes without a thread, and is what the database says."""

    async def main() -> tuple[Any, Any, list[str]]:
        await _opened(READS[name])
        ways.clear()
        answer = await READS[name]()
        went = list(ways)
        with everfresh.disabled():
            return answer, await READS[name](), went

    answer, expected, went = async_to_sync(main)()
    asks = name == "in_bulk" and connection.vendor == "sqlite" and django.VERSION >= (6,)
    assert (["in_bulk"] if asks else []) == went
    assert shown(expected) == shown(answer)


def test_first_reads(ways: list[str]) -> None:
    """The first reads of a loop go through a thread, and so does all that a short one asks."""

    async def main() -> None:
        for _ in range(FIRST_READS):
            await _get()

    async_to_sync(main)()
    assert ["get"] * FIRST_READS == ways
    ways.clear()
    for _ in range(2 * FIRST_READS):
        async_to_sync(_get)()
    assert ["get"] * 2 * FIRST_READS == ways


def test_prefetch(ways: list[str]) -> None:
    """What prefetches goes to a thread at once, for it would be built anew after each look."""

    async def main() -> Any:
        await _opened(READS["prefetch"])
        ways.clear()
        return await READS["prefetch"]()

    assert 5 == len(shown(async_to_sync(main)())[0][1])
    assert 1 == len(ways)


def test_prefetched_without_copies(ways: list[str], configure: Configure) -> None:
    """Where the rows are copies in this process, and what they bring along is not, the loop looks for that alone."""
    books = Prefetch("books", Book.objects.cache(near=False))

    def read() -> Awaitable[Any]:
        return all_of(Author.objects.cache(near=True).order_by("pk").prefetch_related(books))

    async def main() -> Any:
        await _opened(read)
        for _ in range(200):
            ways.clear()
            answer = await read()
            if not ways:
                return answer
        return None

    assert [["2", "4", "6", "8", "10"], ["1", "3", "5", "7", "9"]] == [
        books for _, books in shown(async_to_sync(main)())
    ]


@pytest.mark.parametrize("name", LOOKED)
def test_writes_are_seen_at_once(name: str, elsewhere: Elsewhere) -> None:
    """What another thread has written is in the next answer."""

    async def main() -> tuple[Any, Any]:
        await _opened(READS[name])
        await asyncio.to_thread(elsewhere, write)
        answer = await READS[name]()
        with everfresh.disabled():
            return answer, await READS[name]()

    answer, expected = async_to_sync(main)()
    assert shown(expected) == shown(answer)


def test_writes_between_looks(monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere) -> None:
    """Rows and the list that points to them are of one moment, also where a write comes between two looks."""
    original, looks = GuardedStore.aread_many, iter([1])
    read = READS["rows"]

    async def slowly(self: GuardedStore, *given: Any) -> Any:
        seen = await original(self, *given)
        if next(looks, None):
            await asyncio.to_thread(elsewhere, lambda: Book.objects.filter(pk=2).update(title="new", author_id=2))
        return seen

    async def main() -> tuple[Any, Any]:
        await _opened(read)
        monkeypatch.setattr(GuardedStore, "aread_many", slowly)
        return await read(), await read()

    between, after = async_to_sync(main)()
    assert ["4", "6", "8", "10"] == [book.title for book in after] == [book.title for book in between]


@pytest.mark.parametrize("name", ["get", "rows", "count"])
def test_open_transaction(ways: list[str], name: str) -> None:
    """While a transaction is open anywhere in the process, the thread in which it would be asked has to tell."""

    async def main() -> list[str]:
        await _opened(READS[name])
        ways.clear()
        await READS[name]()
        return list(ways)

    with transaction.atomic():
        Book.objects.filter(pk=3).update(title="mine")
        assert [] != async_to_sync(main)()
        assert "mine" == async_to_sync(_get)().title
        transaction.set_rollback(True)


@pytest.mark.parametrize("name", ["get", "rows", "memoized"])
def test_transaction_that_begins_meanwhile(monkeypatch: pytest.MonkeyPatch, ways: list[str], name: str) -> None:
    """Also while one that begins while the store is asked is open."""
    original, looks = GuardedStore.aread_many, iter([1])
    block = transaction.atomic()

    @everfresh.memoize
    async def titles() -> list[str]:
        return [book.title async for book in Book.objects.order_by("pk")]

    read = READS.get(name, titles)
    with ThreadPoolExecutor(1) as pool:

        async def slowly(self: GuardedStore, *given: Any) -> Any:
            seen = await original(self, *given)
            if next(looks, None):
                await asyncio.wrap_future(pool.submit(block.__enter__))
            return seen

        async def main() -> None:
            await _opened(read)
            monkeypatch.setattr(GuardedStore, "aread_many", slowly)
            ways.clear()
            await read()

        try:
            async_to_sync(main)()
            assert [] != ways
        finally:
            pool.submit(block.__exit__, None, None, None).result(30)
            pool.submit(connections.close_all).result(30)
            pool.submit(caches.close_all).result(30)


def test_debts(ways: list[str]) -> None:
    """While an invalidation is unsent, the loop does not look: whatever the store says may be old."""
    store = current_store()

    async def main() -> None:
        await _opened(_get)
        store.keep(["else"], "writer")
        ways.clear()
        await _get()
        assert ["get"] == ways
        assert await store.aread_many(["key"], []) is None
        store.done(["else"], "writer")
        ways.clear()
        await _get()
        assert [] == ways

    async_to_sync(main)()


@pytest.mark.parametrize("is_made", [True, False])
def test_debts_that_change_meanwhile(monkeypatch: pytest.MonkeyPatch, is_made: bool) -> None:
    """What was asked before a debt was made, or before it was paid, may be old."""
    store = current_store()
    ask = store._aread_many
    assert ask is not None

    async def slowly(*given: Any) -> Snapshots | None:
        seen = await ask(*given)
        (store.keep if is_made else store.done)(["else"], "writer")
        return seen

    async def main() -> None:
        await _opened(_get)
        assert await store.aread_many(["key"], []) is not None
        monkeypatch.setattr(store, "_aread_many", slowly)
        if not is_made:
            store.keep(["else"], "writer")
        assert await store.aread_many(["key"], []) is None
        store.done(["else"], "writer")

    async_to_sync(main)()


def test_silent_store(
    server: servers.RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that falls silent costs one time-out: then there is a pause, in which the database answers."""

    def refuse(*_: object) -> None:
        pytest.fail("A thread waits for the store, too.")

    async def main() -> None:
        await _opened(_get)
        monkeypatch.setattr(Connections, "ask", refuse)
        server.pause()
        try:
            assert "3" == (await _get()).title
            assert "does not answer" in caplog.text
            assert not current_store().may_await()
            assert "3" == (await _get()).title
        finally:
            monkeypatch.undo()
            server.resume()

    async_to_sync(main)()


def test_restart(server: servers.RedisServer, elsewhere: Elsewhere) -> None:
    """What a server had before it restarted is nobody's answer."""

    async def main() -> str:
        await _opened(_get)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(elsewhere, lambda: Book.objects.filter(pk=3).update(title="new"))
        await asyncio.to_thread(server.start)
        return (await _get()).title

    assert "new" == async_to_sync(main)()


def test_many_tasks(ways: list[str]) -> None:
    """Hundreds at a time need no thread, and each is given its own."""

    async def main() -> list[int]:
        await _opened(_get)
        for at in range(1, 11):
            await Book.objects.aget(pk=at)
        ways.clear()
        books = await asyncio.gather(*(Book.objects.aget(pk=1 + at % 10) for at in range(300)))
        return [book.pk for book in books]

    assert [1 + at % 10 for at in range(300)] == async_to_sync(main)()
    assert [] == ways


def test_cancelled_tasks() -> None:
    """Those who are cancelled while they wait take nobody's answer with them."""

    async def main() -> list[int]:
        await _opened(_get)
        tasks = [asyncio.ensure_future(Book.objects.aget(pk=1 + at % 10)) for at in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in answers[::3])
        return [1 + at % 10 - each.pk for at, each in enumerate(answers) if isinstance(each, Book)]

    assert [0] * 66 == async_to_sync(main)()


def test_memoized_coroutines(ways: list[str]) -> None:
    """A memoized coroutine function answers from the store, and computes anew after a write."""
    calls: list[int] = []

    @everfresh.memoize
    async def titles(author: int) -> list[str]:
        calls.append(author)
        return [book.title async for book in Book.objects.filter(author_id=author).order_by("pk")]

    async def main() -> tuple[list[str], list[str]]:
        await _opened(lambda: titles(1))
        ways.clear()
        held = await titles(1)
        return held, list(ways)

    held, went = async_to_sync(main)()
    assert (["2", "4", "6", "8", "10"], [], [1]) == (held, went, calls)
    Book.objects.filter(pk=4).update(title="new")
    assert ["2", "new", "6", "8", "10"] == async_to_sync(titles)(1)


def test_recorded(ways: list[str]) -> None:
    """What a memoized coroutine reads on the loop ends it, as what it reads in a thread does."""

    @everfresh.memoize
    async def title(pk: int, turn: int) -> str:
        return (await Book.objects.aget(pk=pk)).title

    async def main() -> None:
        await _opened(_get)
        assert "3" == await title(3, 1)
        await Book.objects.filter(pk=3).aupdate(title="new")
        await _get()
        assert "new" == await title(3, 1)
        ways.clear()
        assert "new" == await title(3, 1)
        assert [] == ways

    async_to_sync(main)()


def test_told_once() -> None:
    """A read that looks several times is one read, also where it ends in an error."""

    async def main(events: list[Event]) -> None:
        for read in (READS["rows"], READS["get by two"], _missing):
            await _opened(read)
            with listening(events.append):
                await read()
            assert ["hit"] == [event.outcome.value for event in events]  # type: ignore[union-attr]
            events.clear()

    async_to_sync(main)([])


async def _missing() -> None:
    with pytest.raises(Book.DoesNotExist):
        await Book.objects.aget(pk=99)


def test_harmless_writes(ways: list[str], elsewhere: Elsewhere) -> None:
    """After a write that moved a tag without changing the answer, a thread stamps it anew, once."""
    count = READS["count"]

    @everfresh.memoize
    async def size() -> int:
        return await Book.objects.filter(author_id=1).acount()

    async def main(read: Callable[[], Awaitable[int]], views: int) -> list[int]:
        await _opened(read)
        await asyncio.to_thread(elsewhere, lambda: Book.objects.filter(pk=2).update(views=views))
        went = []
        for _ in range(2):
            ways.clear()
            assert 5 == await read()
            went.append(len(ways))
        return went

    first, second = async_to_sync(main)(count, 7)
    assert (1, 0) == (first, second)
    first, second = async_to_sync(main)(size, 8)
    assert 0 < first
    assert 0 == second


def test_other_stores(ways: list[str], configure: Configure, settings: Settings) -> None:
    """A store that only a thread can ask is asked in a thread, once for each read."""
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {**settings.CACHES, "local": {"BACKEND": backend, "LOCATION": "async"}}
    configure(CACHE="local")

    @everfresh.memoize
    async def title() -> str:
        return (await _get()).title

    async def main() -> None:
        for _ in range(2 * FIRST_READS):
            await _get()
            assert not current_store().may_await()
        assert ["get"] * 2 * FIRST_READS == ways
        assert await title() == await title() == "3"

    async_to_sync(main)()


def test_loops_of_their_own(ways: list[str]) -> None:
    """Each loop has its connection, and no thread's answers come on another's."""

    async def main(pk: int) -> None:
        def read() -> Awaitable[Book]:
            return Book.objects.aget(pk=pk)

        await _opened(read)
        for _ in range(50):
            assert pk == (await read()).pk
        await sync_to_async(connections.close_all)()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(closing, lambda pk=pk: asyncio.run(main(pk))) for pk in (3, 4, 5)]:
            done.result(60)
