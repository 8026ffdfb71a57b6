"""Old answers of querysets, where they are asked for: one reader asks the database, the others need not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from everfresh.events import Outcome, Read, listening
from everfresh.recording import recording
from tests.conftest import Configure, closing
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)


def authors(**options: Any) -> QuerySet[Author]:
    """A cached list."""
    return Author.objects.order_by("id").cache(**options)  # type: ignore[no-any-return, attr-defined]


def read(queryset: QuerySet[Author]) -> tuple[list[str], Outcome]:
    """Names, and where they came from."""
    outcomes: list[Outcome] = []
    with listening(lambda event: outcomes.append(event.outcome) if isinstance(event, Read) else None):
        return [author.name for author in queryset.all()], outcomes[-1]


@contextmanager
def somebody_reading(queryset: QuerySet[Author]) -> Iterator[None]:
    """While another thread asks the database for it, and does not come back before the block ends."""
    asked, go_on = Event(), Event()

    def slowly(execute: Any, *args: Any) -> Any:
        result = execute(*args)
        asked.set()
        assert go_on.wait(10)
        return result

    def work() -> Outcome:
        with connection.execute_wrapper(slowly):
            return read(queryset)[1]

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(closing, work)
        assert asked.wait(10)
        try:
            yield
        finally:
            go_on.set()
        assert future.result(10) is Outcome.FILL


@pytest.mark.seeds("OC-18")
def test_invalid(django_assert_num_queries: Any) -> None:
    """While one asks the database, the others get the old answer; then everybody the new one."""
    Author.objects.create(id=1, name="old")
    read(authors(grace=60))
    Author.objects.filter(id=1).update(name="new")

    with somebody_reading(authors(grace=60)), django_assert_num_queries(0):
        assert read(authors(grace=60)) == (["old"], Outcome.STALE)
    assert read(authors(grace=60)) == (["new"], Outcome.HIT)


def test_first_reader_asks() -> None:
    """Without anybody else it is as fresh as without grace."""
    Author.objects.create(id=1, name="old")
    read(authors(grace=60))
    Author.objects.filter(id=1).update(name="new")

    assert read(authors(grace=60)) == (["new"], Outcome.FILL)


def test_without_grace() -> None:
    """Who did not ask for old answers gets none, also where others did."""
    Author.objects.create(id=1, name="old")
    for queryset in (authors(), authors(grace=60)):
        read(queryset)
    Author.objects.filter(id=1).update(name="new")

    with somebody_reading(authors(grace=60)):
        assert read(authors())[0] == ["new"]
    with somebody_reading(authors(grace=60, key="other")):
        assert read(authors(key="other")) == (["new"], Outcome.FILL)


@pytest.mark.seeds("OC-18")
def test_past_its_timeout(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at its timeout, is kept for its grace, and served then only while another one asks."""
    configure(JITTER=0)
    now = time.time()
    monkeypatch.setattr("everfresh.ages.time", lambda: now)
    Author.objects.create(id=1, name="A")
    read(authors(timeout=100, grace=60))
    now += 99
    assert read(authors(timeout=100, grace=60))[1] is Outcome.HIT
    now += 2
    with somebody_reading(authors(timeout=100, grace=60)):
        assert read(authors(timeout=100, grace=60))[1] is Outcome.STALE
        now += 60
        assert read(authors(timeout=100, grace=60))[1] is Outcome.MISS
        now -= 60
    assert read(authors(timeout=100, grace=60))[1] is Outcome.HIT


def test_for_its_grace_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was found to be invalid is served for so long, counted from then."""
    now = time.monotonic()
    monkeypatch.setattr("everfresh.ages.monotonic", lambda: now)
    Author.objects.create(id=1, name="old")
    read(authors(grace=5))
    Author.objects.filter(id=1).update(name="new")

    with somebody_reading(authors(grace=5)):
        assert read(authors(grace=5))[1] is Outcome.STALE
        now += 6
        assert read(authors(grace=5)) == (["new"], Outcome.MISS)


def test_recorded() -> None:
    """What is computed from an old answer is nothing to keep."""
    Author.objects.create(id=1, name="old")
    read(authors(grace=60))
    Author.objects.filter(id=1).update(name="new")

    with somebody_reading(authors(grace=60)), recording() as recorded:
        read(authors(grace=60))
    assert recorded.moved


def test_values_and_counts() -> None:
    """Whatever form the answer has; with rows=True it is stored whole."""
    Author.objects.create(id=1, name="A")
    for _ in range(2):
        assert authors(grace=60).count() == 1
        assert list(authors(grace=60).values_list("name", flat=True)) == ["A"]
        assert authors(grace=60).exists()
        assert read(authors(grace=60, rows=True))[0] == ["A"]
    assert read(authors(grace=60, rows=True))[1] is Outcome.HIT
