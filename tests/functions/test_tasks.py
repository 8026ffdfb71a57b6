"""Refreshing by Django's Tasks: where an old result may be served, nobody who asks waits for the new one."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import QuerySet
from django.test import override_settings

from everfresh import codec, memoize
from everfresh.recorded import member
from everfresh.stores import current_store
from tests.conftest import Configure
from tests.library.models import Author, Book, Order, OrderLine

if django.VERSION < (6, 0):
    pytest.skip("tasks are of Django 6.0", allow_module_level=True)

from django.tasks import task_backends

from everfresh.functions import refreshing

pytestmark = pytest.mark.django_db(transaction=True)

RUNS: list[Any] = []


class Size(Enum):
    LARGE = 1


@memoize(grace=3600)
def titles(author_id: int) -> list[str]:
    """Of one author."""
    RUNS.append(author_id)
    return [book.title for book in Book.objects.filter(author_id=author_id)]


@memoize(grace=3600)
def describe(who: Any, *more: Any, **named: Any) -> str:
    """By rows that it is given."""
    RUNS.append((who, more, named))
    return f"{who.name} {who.books.count()}"


@memoize(grace=3600, key=lambda call: f"welcome:{call.name}")
def welcome(name: str, who: Author) -> str:
    """By what is not in its key."""
    return who.name


@memoize(grace=3600, label="count")
def count(books: QuerySet[Book]) -> int:
    """By a queryset."""
    return books.count()


@memoize(grace=3600)
async def atitles(author_id: int) -> list[str]:
    """Awaited."""
    return [book.title async for book in Book.objects.filter(author_id=author_id)]


@memoize(grace=3600)
async def each_title(author_id: int) -> AsyncIterator[str]:
    """One by one."""
    async for book in Book.objects.filter(author_id=author_id):
        yield book.title


class Shelf:
    """With methods."""

    @memoize(grace=3600)
    @classmethod
    def titles(cls) -> list[str]:
        return [book.title for book in Book.objects.all()]


@pytest.fixture
def author() -> Author:
    """One author with one book, read from the database."""
    RUNS.clear()
    Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author_id=1, title="one")
    return Author.objects.get(id=1)


@pytest.fixture(params=["immediate.ImmediateBackend", "dummy.DummyBackend"])
def backend(request: pytest.FixtureRequest, configure: Configure) -> Any:
    """Under the alias "slow": one that does tasks at once, and one that only notes them."""
    configure(REFRESH_TASKS="slow")
    backends = {alias: {"BACKEND": f"django.tasks.backends.{request.param}"} for alias in ("slow", "default")}
    with override_settings(TASKS=backends):
        yield task_backends["slow"]


dummy = pytest.mark.parametrize("backend", ["dummy.DummyBackend"], indirect=True)
immediate = pytest.mark.parametrize("backend", ["immediate.ImmediateBackend"], indirect=True)


def work(backend: Any) -> list[Any]:
    """What a worker does with tasks that were noted; gives their results."""
    done = [result.task.call(*json.loads(json.dumps(result.args)), **result.kwargs) for result in backend.results]
    backend.clear()
    return done


@dummy
def test_the_first_who_asks_gets_the_old_one(author: Author, backend: Any, django_assert_num_queries: Any) -> None:
    """And nobody else enqueues a second task, until a worker has done the first one."""
    assert titles(1) == ["one"]
    Book.objects.update(title="new")
    with django_assert_num_queries(0):
        assert [titles(1), titles(1)] == [["one"], ["one"]]
    assert len(backend.results) == 1
    assert backend.results[0].backend == "slow"
    assert work(backend) == [None]
    with django_assert_num_queries(0):
        assert titles(1) == ["new"]
    assert RUNS == [1, 1]


@pytest.mark.parametrize("read", [titles, async_to_sync(atitles)], ids=["called", "awaited"])
@dummy
def test_its_lease_is_given_back(author: Author, backend: Any, read: Any) -> None:
    """By the worker, as soon as it is done: what is invalidated again is refreshed again, and not when it ends."""
    read(1)
    for title in ("new", "newer", "newest"):
        old = read(1)
        Book.objects.update(title=title)
        assert read(1) == old
        assert len(backend.results) == 1
        work(backend)
        assert read(1) == [title]


@dummy
def test_the_lease_of_a_task_that_fails(author: Author, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given back too: the next one who asks has it tried again."""
    titles(1)
    Book.objects.update(title="new")
    titles(1)
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "__iter__", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            work(backend)
    assert titles(1) == ["one"]
    assert len(backend.results) == 2
    work(backend)
    assert titles(1) == ["new"]


@dummy
def test_the_lease_of_a_task_in_a_transaction(author: Author, backend: Any) -> None:
    """What it computes with its own uncommitted rows is nobody else's; the next one who asks has it tried again."""
    titles(1)
    Book.objects.update(title="new")
    titles(1)
    with transaction.atomic():
        Author.objects.create(id=2, name="B")
        work(backend)
    assert titles(1) == ["one"]
    assert len(backend.results) == 1


@dummy
def test_a_lease_that_ended_in_the_queue(author: Author, backend: Any) -> None:
    """The task computes it all the same, and leaves the lease of whoever has taken the next one alone."""
    titles(1)
    Book.objects.update(title="new")
    titles(1)
    key = member(titles._recipe.computation(titles._called(((1,), {})))).partition(" ")[0]
    store = current_store()
    [result] = backend.results
    given = codec.unpack_any(b64decode(result.args[1]), result.args[0], refreshing._secrets())
    *_, (_, lease) = given
    store.release(key, lease)
    other = store.begin_fill(key, (), 5).lease
    assert other is not None
    work(backend)
    assert titles(1) == ["new"]
    assert store.begin_fill(key, (), 5).lease is None
    store.release(key, other)
    assert store.begin_fill(key, (), 5).lease is not None


@dummy
def test_a_payload_of_before(author: Author, backend: Any) -> None:
    """A worker may be newer than who enqueued: without a lease in it, a task works as well."""
    path = "tests.functions.test_tasks:titles"
    titles(1)
    Book.objects.update(title="new")
    payload = codec.pack_any(refreshing._packed([(1,), {}]), path, None)
    refreshing.refresh.call(path, b64encode(payload).decode())
    assert titles(1) == ["new"]
    assert backend.results == []


@immediate
def test_immediately(author: Author, backend: Any) -> None:
    """A backend that works at once leaves the old one to who asked, and the new one to the next."""
    assert titles(1) == ["one"]
    Book.objects.update(title="new")
    assert titles(1) == ["one"]
    assert titles(1) == ["new"]
    assert RUNS == [1, 1]


@immediate
def test_inside_of_another_one(author: Author, backend: Any) -> None:
    """What was computed from something old is nothing to keep."""

    @memoize
    def outer() -> list[str]:
        return titles(1)

    assert outer() == ["one"]
    Book.objects.update(title="new")
    assert [outer(), outer()] == [["one"], ["new"]]


@immediate
def test_what_is_awaited(author: Author, backend: Any) -> None:
    """Coroutine functions and asynchronous generators are refreshed in the same way."""

    async def read() -> tuple[list[str], list[str]]:
        return await atitles(1), [title async for title in each_title(1)]

    assert async_to_sync(read)() == (["one"], ["one"])
    Book.objects.update(title="new")
    assert async_to_sync(read)() == (["one"], ["one"])
    assert async_to_sync(read)() == (["new"], ["new"])


@dummy
def test_rows_are_named(author: Author, backend: Any) -> None:
    """By the time the worker comes to it, they have changed: it asks for them anew."""
    order = Order.objects.create(id=1)
    line = OrderLine.objects.create(order=order, position=2)
    more = [[author], (1, {"a": author}), Size.LARGE, None, line]
    assert describe(author, *more, who_else=author) == "A 1"
    Author.objects.update(name="B")
    assert describe(author, *more, who_else=author) == "A 1"
    Author.objects.update(name="C")
    work(backend)
    who, given, named = RUNS[-1]
    assert (who.name, named["who_else"].name, given[0][0].name, given[1][1]["a"].name) == ("C", "C", "C", "C")
    assert given[1][0] == 1
    assert given[2:] == (Size.LARGE, None, line)
    assert describe(Author.objects.get(id=1), *more, who_else=author) == "C 1"


@dummy
def test_methods(author: Author, backend: Any) -> None:
    """Found by the path of their class."""
    assert Shelf.titles() == ["one"]
    Book.objects.update(title="new")
    assert Shelf.titles() == ["one"]
    assert backend.results[0].args[0] == "tests.functions.test_tasks:Shelf.titles"
    work(backend)
    assert Shelf.titles() == ["new"]


@dummy
def test_what_no_task_can_do(author: Author, backend: Any, configure: Configure) -> None:
    """What has no import path, and arguments that cannot be sent: who asks computes it."""

    @memoize(grace=3600)
    def local() -> list[str]:
        return [book.title for book in Book.objects.all()]

    books = Book.objects.all()
    assert (local(), count(books), describe(author, Size.LARGE)) == (["one"], 1, "A 1")
    configure(PICKLE=False)
    Book.objects.all().delete()
    assert (local(), count(books), describe(author, Size.LARGE)) == ([], 0, "A 0")
    assert backend.results == []


@dummy
def test_an_unsaved_instance_cannot_be_sent(author: Author, backend: Any) -> None:
    """There is no row that a worker could ask for."""
    assert welcome("A", author) == "A"
    author.name = "B"
    Author.objects.update(name="B")
    assert welcome("A", Author(name="unsaved")) == "unsaved"
    assert backend.results == []


def test_without_a_backend(author: Author) -> None:
    """Who asks first computes it."""
    assert titles(1) == ["one"]
    Book.objects.update(title="new")
    assert titles(1) == ["new"]


@dummy
def test_a_backend_that_fails(
    author: Author, backend: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of in the log, and who asks computes it."""
    assert titles(1) == ["one"]
    Book.objects.update(title="new")

    def enqueue(*args: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(type(backend), "enqueue", enqueue)
    assert titles(1) == ["new"]
    assert "titles is refreshed here: the task backend 'slow' did not take it" in caplog.text


@dummy
def test_payloads(author: Author, backend: Any) -> None:
    """Of another secret, of another function, for something that is no function: the task fails, with the reason."""
    payload = b64encode(codec.pack_any([((), Size.LARGE), {}], "tests.functions.test_tasks:titles", "theirs")).decode()
    with pytest.raises(LookupError, match="packed under another SECRET_KEY"):
        refreshing.refresh.call("tests.functions.test_tasks:titles", payload)
    for path in ("tests.functions.test_tasks:RUNS", "tests.functions.test_tasks:gone.titles"):
        with pytest.raises(LookupError, match=f"There is no memoized function {path}"):
            refreshing.refresh.call(path, payload)


@dummy
def test_a_row_that_is_gone(author: Author, backend: Any, caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing left to refresh, and that is no error."""
    assert describe(author) == "A 1"
    Author.objects.all().delete()
    assert describe(author) == "A 1"
    with caplog.at_level("DEBUG", "everfresh"):
        assert work(backend) == [None]
    assert "describe is not refreshed: a row among its arguments is gone" in caplog.text
    assert len(RUNS) == 1
