"""Many who want one result at a time: one computes it, the others wait for it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from everfresh.conf import settings
from everfresh.events import Outcome
from everfresh.reading import Answer
from everfresh.recorded import Computation, member
from everfresh.stores import current_store
from tests.conftest import Configure, closing
from tests.functions.computing import aask, ask, computation
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)


def together(work: Callable[[], Any], count: int = 8) -> list[Any]:
    """What *count* threads get that begin at one moment."""
    barrier = threading.Barrier(count)

    def begin() -> Any:
        barrier.wait()
        return closing(work)

    with ThreadPoolExecutor(count) as pool:
        return [each.result(30) for each in [pool.submit(begin) for _ in range(count)]]


class Slow:
    """A function that takes its time, and counts."""

    def __init__(self, seconds: float = 0.2, fails: int = 0) -> None:
        self.seconds, self.fails = seconds, fails
        self.runs: list[int] = []

    def __call__(self) -> int:
        self.runs.append(1)
        time.sleep(self.seconds)
        if len(self.runs) <= self.fails:
            raise LookupError
        return 1

    async def awaited(self) -> int:
        self.runs.append(1)
        await asyncio.sleep(self.seconds)
        return 1


def store_key(of: Computation) -> str:
    """Under which it is stored."""
    return member(of).partition(" ")[0]


@pytest.mark.seeds("CE-10")
def test_threads() -> None:
    """One computes it, the others get what it stored."""
    slow = Slow()

    answers = together(lambda: ask(slow))

    assert len(slow.runs) == 1
    assert sorted(each.outcome.value for each in answers) == ["fill", *["hit"] * 7]


def test_tasks() -> None:
    """The same for tasks on one loop."""
    slow = Slow()

    async def many() -> list[Answer[int]]:
        return await asyncio.gather(*(aask(slow.awaited) for _ in range(8)))

    answers = async_to_sync(many)()

    assert len(slow.runs) == 1
    assert sorted(each.outcome.value for each in answers) == ["fill", *["hit"] * 7]


def test_another_process() -> None:
    """Who holds the lease elsewhere is waited for, and what it stores is taken."""
    slow, of = Slow(), computation()
    lease = current_store().begin_fill(store_key(of), (), 5).lease
    assert lease is not None

    def elsewhere() -> None:
        time.sleep(0.2)
        current_store().release(store_key(of), lease)

    thread = threading.Thread(target=closing, args=(elsewhere,))
    begun = time.monotonic()
    thread.start()
    assert ask(slow).outcome is Outcome.FILL
    assert time.monotonic() - begun >= 0.2
    thread.join()


@pytest.mark.seeds("CE-10")
def test_holder_that_died(configure: Configure) -> None:
    """Its lease ends, and with it the waiting."""
    configure(LIMITS={"LEASE_SECONDS": 2})  # some stores count in whole seconds
    current_store().begin_fill(store_key(computation()), (), settings().limits.lease_seconds)

    begun = time.monotonic()
    answer = ask(Slow(0))

    assert answer.value == 1
    assert 0.5 < time.monotonic() - begun < 6


def test_function_that_fails() -> None:
    """The error is the caller's alone; the next one tries again, and the others get what that one stores."""
    slow = Slow(0.1, fails=1)

    def outcome() -> str:
        try:
            return ask(slow).outcome.value
        except LookupError:
            return "error"

    assert sorted(together(outcome)) == ["error", "fill", *["hit"] * 6]
    assert len(slow.runs) == 2


def test_nobody_queues_for_what_cannot_be_stored() -> None:
    """Where one finds out that its result cannot be kept, the others compute their own at once, not one by one."""
    slow = Slow(0.3)
    begun = time.monotonic()

    answers = together(lambda: ask(slow, timeout=0))

    assert {each.outcome for each in answers} == {Outcome.MISS}
    assert time.monotonic() - begun < 1.5


def test_who_waits_gets_nothing_from_before() -> None:
    """A write between the begin of the one that computes and the call of the one that waits shows to that one."""
    Author.objects.create(id=1, name="old")
    read, write = threading.Event(), threading.Event()

    def slow() -> str:
        name = Author.objects.get(id=1).name
        read.set()
        write.wait(5)
        return name

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing, lambda: ask(slow))
        read.wait(5)
        Author.objects.filter(id=1).update(name="new")
        second = pool.submit(closing, lambda: ask(lambda: Author.objects.get(id=1).name))
        time.sleep(0.1)
        write.set()
        assert first.result(10).value == "old"
        assert second.result(10).value == "new"


def test_recursion() -> None:
    """A function that comes to its own result again does not wait for itself."""
    depth = []

    def function() -> int:
        depth.append(1)
        return ask(function).value if len(depth) < 3 else 1

    begun = time.monotonic()
    assert ask(function).value == 1
    assert time.monotonic() - begun < 2


def test_in_a_transaction(db_kind: str) -> None:
    """Who holds locks of the database waits for nobody: that one may be waiting for the locks."""
    if db_kind == "sqlite":
        pytest.skip("a transaction on SQLite reads a snapshot, and keeps its results to itself")
    current_store().begin_fill(store_key(computation()), (), 5)
    begun = time.monotonic()
    with transaction.atomic():
        assert ask(Slow(0)).outcome is Outcome.MISS
    assert time.monotonic() - begun < 2


def test_nobody_waits_for_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a result cannot be listed by its name it is not stored, and nobody holds it up."""
    monkeypatch.setattr(current_store().store, "enroll", lambda *_: False)
    begun = time.monotonic()
    assert ask(Slow(0), name="f()", label="f").outcome is Outcome.MISS
    assert time.monotonic() - begun < 2
