"""What is lost: keys that a full server evicts, processes that die, leases that are never given back."""

from __future__ import annotations

import pytest
from django.db import transaction

from everfresh.events import Outcome
from everfresh.stores import current_store
from tests.conftest import Configure
from tests.library.models import Author, Book
from tests.protocol.schedule import Schedule, observed, truth

KINDS = ["entry", "version", "pending", "lease"]


def _titles() -> list[str]:
    return list(Book.objects.filter(author_id=1).cache().values_list("title", flat=True))


def _rename() -> None:
    Book.objects.filter(id=1).update(title="new")


@pytest.fixture(autouse=True)
def book(schedule: Schedule) -> Book:
    """A book called "old"."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")


# Eviction


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", ["begin_fill", "compute", "fill"])
def test_eviction_in_the_middle_of_a_read(schedule: Schedule, kind: str, at: str) -> None:
    """Whatever is evicted while a reader computes, and a writer commits after that: nothing stale is left."""
    reader = schedule.reader(_titles).to(at)
    schedule.evict(kind)
    _rename()
    reader.finish()

    assert ["new"] == _titles() == _titles()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", ["mark", "commit", "done"])
def test_eviction_in_the_middle_of_a_write(schedule: Schedule, kind: str, at: str) -> None:
    """Whatever is evicted while a writer commits: right from the commit on, and shared again after done.

    On plain stores the mark itself is the exception, between COMMIT and done of the one writer it belonged to. On Redis
    it is held in two places, and one that is left alone stands until its lifetime ends.
    """
    _titles()
    reader = schedule.reader(_titles)
    if at != "mark":
        # One that has missed, and stores whatever happens in between.
        schedule.evict("entry")
        reader.to("fill")
    writer = schedule.writer(_rename).to(at)
    schedule.evict(kind)
    late = schedule.reader(_titles)
    late.finish()
    if at != "done":
        writer.to("done")
    loses_the_mark = kind in ("pending", "version") and not schedule.counts_marks
    if not (loses_the_mark and at == "commit"):
        assert ["new"] == _titles()
    writer.finish()
    reader.finish()

    assert ["new"] == _titles() == _titles()
    if kind == "pending" and at != "mark" and schedule.counts_marks:
        schedule.end_marks()
        assert ["new"] == _titles() == _titles()
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


@pytest.mark.parametrize("kind", ["version", "pending"])
def test_eviction_of_one_record_does_not_unmark(schedule: Schedule, kind: str) -> None:
    """begin_fill asks the pending record and the version's place: one of them is enough.

    On plain stores the version and the mark are one item, and it is this item's eviction that opens a window: until
    done, which drops what was stored in it.
    """
    writer = schedule.writer(_rename).to("commit")
    schedule.evict(kind)
    reader = schedule.reader(_titles)
    reader.finish()

    assert ("fill" not in reader.passed) == schedule.counts_marks
    writer.finish()
    assert ["new"] == _titles()


def test_everything_is_lost_in_the_middle(schedule: Schedule) -> None:
    """A server that forgets everything while a reader computes: its versions never come back."""
    reader = schedule.reader(_titles).to("fill")
    for kind in KINDS:
        schedule.evict(kind)
    _rename()
    reader.finish()

    assert ["new"] == _titles()


# Deaths


@pytest.mark.parametrize("at", ["mark", "commit"])
def test_writer_dies_before_commit(schedule: Schedule, at: str) -> None:
    """Its mark holds up readers until it ends; nothing was committed, and nothing stale is served."""
    assert ["old"] == _titles()
    schedule.writer(_rename).to(at).die()

    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.HIT if at == "mark" else Outcome.MISS] == outcomes
    schedule.end_marks()
    assert ["old"] == _titles()
    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.HIT] == outcomes


@pytest.mark.parametrize("reader_at", ["begin_fill", "compute", "fill"])
def test_writer_dies_after_commit(schedule: Schedule, reader_at: str) -> None:
    """Nobody says done: readers go to the database until the mark ends, and then find no version to trust."""
    old = schedule.reader(_titles).to(reader_at)
    schedule.writer(_rename).to("done").die()

    assert ["new"] == _titles()
    old.finish()
    assert ["new"] == _titles()
    schedule.end_marks()
    assert ["new"] == _titles() == _titles()
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


def test_mark_ends_by_itself(schedule: Schedule, configure: Configure) -> None:
    """The mark of a writer that died is gone after MARK_SECONDS, by the server's clock."""
    configure(LIMITS={"MARK_SECONDS": 0.001})
    assert ["old"] == _titles()
    schedule.writer(_rename).to("done").die()

    # How long that takes is the server's business: each read in the meantime is right, and one day there is a hit.
    with observed() as outcomes:
        while Outcome.HIT not in outcomes:
            assert ["new"] == _titles()


def test_mark_that_ends_before_the_commit(schedule: Schedule) -> None:
    """A COMMIT that takes longer than its mark: what readers store meanwhile is dropped by done."""
    writer = schedule.writer(_rename).to("commit")
    schedule.end_marks()
    reader = schedule.reader(_titles)
    assert ["old"] == reader.finish()
    assert "fill" in reader.passed
    writer.finish()

    assert ["new"] == _titles()


def test_reader_dies_while_it_holds_the_lease(schedule: Schedule) -> None:
    """Others get answers all the same; when the lease ends, one of them stores."""
    schedule.reader(_titles).to("fill").die()

    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.MISS] == outcomes
    schedule.evict("lease")
    with observed() as outcomes:
        assert ["old"] == _titles() == _titles()
    assert [Outcome.FILL, Outcome.HIT] == outcomes


# Leases


def test_second_reader_does_not_store(schedule: Schedule) -> None:
    """While one reader fills, another asks the database for itself and leaves the store alone."""
    first = schedule.reader(_titles, "first").to("fill")
    second = schedule.reader(_titles, "second")

    assert ["old"] == second.finish()
    assert ["read", "begin_fill", "compute"] == second.passed
    assert [Outcome.MISS] == second.outcomes
    first.finish()
    assert [Outcome.FILL] == first.outcomes


def test_error_of_the_holder_frees_the_lease(schedule: Schedule) -> None:
    """A query that fails gives its lease back: the next reader fills."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    def read() -> list[str]:
        with transaction.get_connection().execute_wrapper(fail):
            return _titles()

    reader = schedule.reader(read)
    with pytest.raises(ZeroDivisionError):
        reader.finish()
    assert ["read", "begin_fill", "release"] == [point for point in reader.passed if point != "compute"]
    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.FILL] == outcomes


def test_reader_that_stores_nothing_frees_the_lease(schedule: Schedule) -> None:
    """An answer that is not stored, here because a writer is pending, leaves no lease behind."""
    writer = schedule.writer(_rename).to("commit")
    reader = schedule.reader(_titles)
    reader.finish()
    assert ["read", "begin_fill", "compute", "release"] == reader.passed
    writer.finish()

    with observed() as outcomes:
        assert ["new"] == _titles()
    assert [Outcome.FILL] == outcomes


def test_lease_lost_in_the_meantime_is_nobodys_loss(schedule: Schedule) -> None:
    """Two readers that both believe to hold the lease: the versions judge what they store."""
    first = schedule.reader(_titles, "first").to("fill")
    schedule.evict("lease")
    _rename()
    second = schedule.reader(_titles, "second").to("fill")
    second.finish()
    first.finish()

    assert ["new"] == _titles()
    assert truth(_titles) == _titles()
    assert frozenset() == current_store().unsent
