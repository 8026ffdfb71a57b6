"""Every query shape after every write: the cached answer is the one the database gives.

A write changes some tables; a shape that reads none of them cannot have another answer, and is left as it is. What a
test changed is put back table by table, so entries live on from test to test, as they would in a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

import everfresh
from tests.conftest import Configure
from tests.matrix import data
from tests.matrix.conftest import NEAR, new_namespace
from tests.matrix.reading import Reader, answer, watching
from tests.matrix.shapes import BYPASSED, ONLY_WITH_CACHE_ALL, SHAPES
from tests.matrix.writes import BY_ITSELF, CHANGES_NOTHING, WRITES, Write

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

pytestmark = pytest.mark.django_db(databases="__all__")

READER = Reader()
EXPLICIT = Reader(explicit=True)

Answers = dict[str, object]

_TABLE = re.compile(r"\b(?:library|django)_[a-z_]+")


class Library:
    """The rows as they were at first, which shapes read which tables, and which shapes have an entry of now."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Take everything anew."""
        ContentType.objects.clear_cache()
        data.put_back()
        self.pristine = data.contents()
        self.answers: Answers = {}
        self.tables: dict[str, set[str]] = {}
        with everfresh.disabled():
            for name, shape in SHAPES.items():
                with watching() as seen:
                    self.answers[name] = answer(shape, READER)
                self.tables[name] = {table for sql in seen.statements for table in _TABLE.findall(sql)}
        self.unread = set(SHAPES)

    def prime(self) -> None:
        """See to it that every shape has an entry, and a copy of it, which the second reading leaves."""
        for _ in range(2 if NEAR else 1):
            found = {name: answer(SHAPES[name], READER) for name in sorted(self.unread)}
            assert differing(found, self.answers) == {}
        self.unread.clear()

    def changed(self) -> set[data.Name]:
        """The tables that are not as they were at first."""
        now = data.contents()
        return {name for name in now if now[name] != self.pristine[name]}

    def reading(self, tables: set[data.Name]) -> list[str]:
        """The shapes whose answer may depend on these tables."""
        names = {name for _, name in tables}
        return [shape for shape, read in self.tables.items() if read & names]

    def restore(self, tables: set[data.Name]) -> None:
        """Put the rows of these tables back."""
        # Where the database cascades, a parent's rows take others along.
        cascading = {("default", f"library_{name}") for name in ("shelf", "slot", "sticker")}
        if tables & cascading:
            tables |= cascading
        data.put_back(tables)
        self.unread |= set(self.reading(tables))
        if data.contents() != self.pristine:
            # The content types themselves are others now.
            new_namespace()
            self.start()


@pytest.fixture(scope="module")
def library(everything_cached: None, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Library]:
    """One library for all tests of this module."""
    with django_db_blocker.unblock():
        new_namespace()
        try:
            yield Library()
        finally:
            data.clear()


@pytest.fixture
def namespace(library: Library) -> None:
    """All tests of this module share one namespace."""


@pytest.fixture
def _django_db_helper(library: Library, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Every shape is in the cache when a test begins; what the test changed is put back."""
    with django_db_blocker.unblock():
        library.prime()
        try:
            yield
        finally:
            library.restore(library.changed())


def answers(reader: Reader, shapes: list[str]) -> Answers:
    """What these shapes read."""
    return {name: answer(SHAPES[name], reader) for name in shapes}


def true_answers(shapes: list[str]) -> Answers:
    """What the database says."""
    with everfresh.disabled():
        return answers(READER, shapes)


def differing(found: Answers, truth: Answers) -> Answers:
    """The answers that are not the true ones."""
    return {name: {"cached": found[name], "true": truth[name]} for name in found if found[name] != truth[name]}


def not_hit(reader: Reader, truth: Answers) -> Answers:
    """Read again: what is not answered from the cache alone, or not the same, and why."""
    problems: Answers = {}
    for name in truth:
        with watching() as seen:
            again = answer(SHAPES[name], reader)
        if again != truth[name]:
            problems[name] = {"cached": again, "true": truth[name]}
        elif seen.only_hits == (name in BYPASSED):
            problems[name] = str(seen)
    return problems


def each(writes: dict[str, Write]) -> list[object]:
    """Parameters, by name."""
    return [pytest.param(write, id=name) for name, write in writes.items()]


def test_second_reading_is_a_hit(library: Library) -> None:
    """Whatever is read twice is answered from the cache the second time, the same and without a statement."""
    # A test before may have dropped the entries of rows that it did not change.
    answers(READER, list(SHAPES))

    assert not_hit(READER, library.answers) == {}


def test_cache_is_what_asks_for_it(library: Library, configure: Configure) -> None:
    """Without a setting a read is cached where `cache()` was called, and nowhere else."""
    configure(CACHE_ALL=False)
    shapes = [name for name in SHAPES if name not in ONLY_WITH_CACHE_ALL]
    with watching() as seen:
        truth = answers(READER, shapes)
    assert seen.reads == []
    assert differing(answers(EXPLICIT, shapes), truth) == {}
    assert not_hit(EXPLICIT, truth) == {}


@pytest.mark.parametrize("write", each(WRITES))
def test_after(library: Library, write: Write) -> None:
    """After a write every cached answer is the true one, and the one after that comes from the cache again."""
    write()

    shapes = library.reading(library.changed())
    truth = true_answers(shapes)
    found: Answers = {}
    filled: Answers = {}
    for name in shapes:
        with watching() as seen:
            found[name] = answer(SHAPES[name], READER)
        if not seen.only_hits:
            filled[name] = truth[name]
    assert differing(found, truth) == {}
    assert bool(differing(truth, library.answers)) != (write.__name__ in CHANGES_NOTHING), "it shows in no shape"
    assert not_hit(READER, filled) == {}


_PART = dict([item for item in WRITES.items() if item[0] not in BY_ITSELF][::3])
"""Every third write, for time: what a transaction does with tags does not depend on who recorded them."""


@pytest.mark.parametrize("write", each(_PART))
def test_inside_a_transaction(library: Library, write: Write) -> None:
    """A transaction reads its own writes from its own cache; when it is rolled back, nothing of that remains."""
    with transaction.atomic(), transaction.atomic(using="other"):
        before = data.contents()
        write()
        after = data.contents()
        shapes = library.reading({name for name in after if after[name] != before[name]})
        truth = true_answers(shapes)
        assert differing(answers(READER, shapes), truth) == {}
        assert differing(answers(READER, shapes), truth) == {}
        transaction.set_rollback(True)
        transaction.set_rollback(True, using="other")

    assert differing(answers(READER, shapes), library.answers) == {}
