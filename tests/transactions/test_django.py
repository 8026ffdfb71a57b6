"""Django's own ways to wrap code in transactions: its test classes, ATOMIC_REQUESTS, coroutines, threads, processes."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, TestCase, TransactionTestCase, override_settings
from django.urls import path

import everfresh
from everfresh.events import Outcome
from everfresh.stores import close_stores
from tests.conftest import Elsewhere
from tests.library.models import Author, Book
from tests.protocol.schedule import observed
from tests.transactions.rows import rename, rename_by_sql, sql, titles


class TestAtomicTestCase(TestCase):
    """`TestCase` wraps class and test in blocks that are rolled back: what it caches is its own, and goes with it."""

    @classmethod
    def setUpTestData(cls) -> None:
        Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")

    def test_first(self) -> None:
        self._change("first")

    def test_second(self) -> None:
        self._change("second")

    def test_hits(self) -> None:
        titles()
        with self.assertNumQueries(0):
            assert ["old"] == titles()

    def test_on_commit_hooks_on_request(self) -> None:
        seen: list[Any] = []
        with self.captureOnCommitCallbacks(execute=True):
            rename("hooked")
            transaction.on_commit(lambda: seen.extend(titles()))
        assert ["hooked"] == seen

    def _change(self, title: str) -> None:
        assert ["old"] == titles()
        with transaction.atomic():
            rename(title)
            assert [title] == titles() == titles()
        assert [title] == titles()
        Book.objects.all().delete()
        assert [] == titles()


def test_nothing_of_a_test_case_is_left(transactional_db: None) -> None:
    """Rows that only a `TestCase` had are nobody's hit afterwards."""
    assert [] == titles()


class TestFlushingTestCase(TransactionTestCase):
    """`TransactionTestCase` truncates: answers of the test before are gone."""

    def test_first(self) -> None:
        self._find_nothing_and_leave_a_book()

    def test_second(self) -> None:
        self._find_nothing_and_leave_a_book()

    def _find_nothing_and_leave_a_book(self) -> None:
        assert [] == titles()
        Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="left")
        assert ["left"] == titles()


def test_flush(book: Book) -> None:
    """The ``flush`` command empties tables: every answer about them is a miss."""
    assert (["old"], 1) == (titles(), Book.objects.cache().count())
    call_command("flush", interactive=False, verbosity=0)

    assert ([], 0) == (titles(), Book.objects.cache().count())


# Requests


def change_view(request: HttpRequest) -> HttpResponse:
    """Write, read twice, and fail if told so."""
    rename(request.GET["title"])
    found = [*titles(), *titles()]
    if "fail" in request.GET:
        raise LookupError
    return HttpResponse(" ".join(found))


async def achange_view(request: HttpRequest) -> HttpResponse:
    """The same in a coroutine."""
    book = await Book.objects.aget(id=1)
    book.title = request.GET["title"]
    await book.asave()
    found = [title async for title in Book.objects.filter(author_id=1).cache().values_list("title", flat=True)]
    return HttpResponse(" ".join([*found, *await sync_to_async(titles)()]))


urlpatterns = [path("change", change_view), path("achange", achange_view)]


@pytest.fixture
def atomic_requests(book: Book, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of a site with ATOMIC_REQUESTS."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    return Client(raise_request_exception=False)


@override_settings(ROOT_URLCONF=__name__)
def test_atomic_requests(atomic_requests: Client) -> None:
    """A request is a block: it sees its own write, the next one sees it too, and of one that fails nothing is left."""
    assert ["old"] == titles()
    assert b"one one" == atomic_requests.get("/change?title=one").content
    assert ["one"] == titles()
    assert 500 == atomic_requests.get("/change?title=never&fail=1").status_code
    assert ["one"] == titles()
    assert b"two two" == atomic_requests.get("/change?title=two").content
    assert ["two"] == titles()


# Coroutines


@override_settings(ROOT_URLCONF=__name__)
def test_async_view(book: Book) -> None:
    """A coroutine writes and reads through the thread that Django gives it."""
    assert ["old"] == titles()

    async def ask() -> bytes:
        response = await AsyncClient().get("/achange?title=new")
        return bytes(response.content)

    assert b"new new" == async_to_sync(ask)()
    assert ["new"] == titles()


def test_coroutines_take_turns(book: Book) -> None:
    """Async twins of one event loop share a connection, its journal, and nothing that is not committed."""

    async def change(title: str) -> list[str]:
        await Book.objects.filter(id=1).aupdate(title=title)
        return await sync_to_async(titles)()

    async def together() -> list[list[str]]:
        return list(await asyncio.gather(*[change(f"{at}") for at in range(5)]))

    found = async_to_sync(together)()
    with everfresh.disabled():
        truth = titles()
    assert truth == titles()
    assert all(len(each) == 1 and each[0].isdigit() for each in found)


def test_async_invalidation(book: Book) -> None:
    """``ainvalidate()`` and a block in ``sync_to_async``."""
    assert ["old"] == titles()

    async def work() -> list[str]:
        with_block = sync_to_async(transaction.atomic()(lambda: (rename("new"), titles())[1]))
        return [*await with_block(), *await sync_to_async(titles)()]

    assert ["new", "new"] == async_to_sync(work)()


# Threads and processes


def test_threads_share_nothing_uncommitted(book: Book, elsewhere: Elsewhere) -> None:
    """Each thread has its connection, its journal and its private answers."""
    assert ["old"] == titles()
    with transaction.atomic():
        rename()
        assert ["new"] == titles()
        assert ["old"] == elsewhere(titles)

        def theirs() -> tuple[list[str], list[Outcome]]:
            with transaction.atomic(), observed() as outcomes:
                return titles(), outcomes

        assert ["old"] == elsewhere(theirs)[0]

    assert ["new"] == titles() == elsewhere(titles)


@pytest.mark.slow
def test_threads_read_and_write_at_once(book: Book, db_kind: str) -> None:
    """Whatever threads do to each other, in the end the cached answer is the database's."""
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for at in range(10):
                titles()
                (rename if (number + at) % 2 else rename_by_sql)(f"{number}-{at}")
                assert 1 == len(titles())
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)
        finally:
            connections.close_all()
            caches.close_all()

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with everfresh.disabled():
        truth = titles()

    assert [] == errors
    assert truth == titles()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork(book: Book, store_kind: str) -> None:
    """A forked child writes with a store and a connection of its own, and the parent sees it."""
    if store_kind == "locmem":
        pytest.skip("the memory of one process")
    assert ["old"] == titles()
    connections.close_all()
    caches.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            assert ["old"] == titles()
            rename("child")
            assert ["child"] == titles()
            connections.close_all()
            status = 0
        finally:
            os._exit(status)
    assert 0 == os.waitpid(child, 0)[1]

    assert ["child"] == titles()
    rename("parent")
    assert ["parent"] == titles()


def test_stores_closed_and_opened_anew(book: Book) -> None:
    """Closing the stores and opening them anew loses entries' clients, not their truth."""
    assert ["old"] == titles()
    close_stores()
    rename()
    close_stores()

    assert ["new"] == titles()


def test_script_in_a_block(book: Book, db_kind: str, elsewhere: Elsewhere) -> None:
    """``executescript()`` commits what is open, and the block goes on without a transaction: nothing is missed."""
    if db_kind != "sqlite":
        pytest.skip("only SQLite's driver has scripts")
    assert ["old"] == titles()
    with transaction.atomic():
        rename("one")
        with connection.cursor() as cursor:
            cursor.executescript("UPDATE library_book SET pages = 5; UPDATE library_book SET views = 5;")
        assert ["one"] == elsewhere(titles)
        sql("UPDATE library_book SET title = 'two'")
    assert ["two"] == titles() == elsewhere(titles)

    with pytest.raises(LookupError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.executescript("UPDATE library_book SET pages = 6;")
        assert ["two"] == elsewhere(titles)
        sql("UPDATE library_book SET title = 'three'")
        raise LookupError
    with everfresh.disabled():
        truth = titles()
    assert truth == titles()
