"""Readers and writers that overlap, step by step: what a reader gets or leaves behind is never older than a commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from everfresh.events import Outcome
from tests.library.models import Author, Book
from tests.protocol.schedule import Schedule, observed, reach, truth


def titles() -> list[str]:
    """A cached list, by the value tag of its author."""
    return list(Book.objects.filter(author_id=1).cache().values_list("title", flat=True))


@pytest.fixture
def author(schedule: Schedule) -> Author:
    """Author 1, with a book called "old"."""
    author = Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author=author, title="old")
    return author


def _rename() -> None:
    Book.objects.filter(id=1).update(title="new")


def _rename_by_save() -> None:
    book = Book.objects.get(id=1)
    book.title = "new"
    book.save()


def _rename_in_atomic() -> None:
    with transaction.atomic():
        _rename()


def _rename_by_raw_sql() -> None:
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("UPDATE library_book SET title = 'new' WHERE id = 1")


def _add() -> None:
    Book.objects.create(id=77, author_id=1, title="new")


def _remove() -> None:
    Book.objects.filter(id=1).delete()


# Raw SQL in autocommit has no COMMIT of its own to stop at.
STOPS = [
    (write, point)
    for write in (_rename, _rename_by_save, _rename_in_atomic, _rename_by_raw_sql, _add, _remove)
    for point in ("mark", "commit", "done")
    if not (write is _rename_by_raw_sql and point == "commit")
]


@pytest.mark.parametrize("reader_at", ["begin_fill", "compute", "fill"])
@pytest.mark.parametrize(("write", "writer_at"), [*STOPS, (_rename, "end"), (_add, "end"), (_remove, "end")])
def test_reader_overlaps_writer(
    schedule: Schedule, author: Author, write: Callable[[], None], reader_at: str, writer_at: str
) -> None:
    """Wherever a reader and a writer stop for each other, what the reader stores is never served once stale."""
    reader, writer = schedule.reader(titles), schedule.writer(write)
    reader.to(reader_at)
    writer.finish() if writer_at == "end" else writer.to(writer_at)

    early = reader.finish()
    if writer_at in ("done", "end") and reader_at != "fill":
        assert truth(titles) == early
    assert truth(titles) == titles()

    if writer_at != "end":
        writer.finish()
    assert truth(titles) == titles()
    assert truth(titles) == titles()


@pytest.mark.parametrize(("write", "at"), STOPS)
def test_reader_comes_while_writer_stands(
    schedule: Schedule, author: Author, write: Callable[[], None], at: str
) -> None:
    """A reader in the middle of a write gets what is committed at that instant: no hit from before, and none after."""
    assert ["old"] == titles()
    writer = schedule.writer(write).to(at)

    with observed() as outcomes:
        assert truth(titles) == titles()
        assert truth(titles) == titles()
    assert [Outcome.HIT if at == "mark" else Outcome.MISS] * 2 == outcomes

    writer.finish()
    assert truth(titles) == titles() != ["old"]
    with observed() as outcomes:
        titles()
    assert [Outcome.HIT] == outcomes


def test_reader_between_commit_and_done_never_stores(schedule: Schedule, author: Author) -> None:
    """From the mark on nothing is stored under its tags, so nothing has to be taken back."""
    writer = schedule.writer(_rename).to("commit")
    before = schedule.reader(titles)
    before.finish()
    assert "fill" not in before.passed
    writer.to("done")
    after = schedule.reader(titles)

    assert ["new"] == after.finish()
    assert "fill" not in after.passed
    writer.finish()


def test_reader_that_began_before_the_mark_stores_in_vain(schedule: Schedule, author: Author) -> None:
    """The shortest schedule that leaves other caches stale for ever: read the old row, commit, done, store."""
    reader = schedule.reader(titles).to("fill")
    schedule.writer(_rename).finish()

    assert ["old"] == reader.finish()
    assert "fill" in reader.passed
    assert ["new"] == titles()


def test_rollback_keeps_entries(schedule: Schedule, author: Author) -> None:
    """A rollback has marked nothing: the entry is a hit before, during and after."""
    assert ["old"] == titles()

    def write() -> None:
        with transaction.atomic():
            _rename()
            reach("point")
            raise LookupError

    writer = schedule.writer(write).to("point")
    with observed() as outcomes:
        assert ["old"] == titles()
    with pytest.raises(LookupError):
        writer.finish()
    with observed() as again:
        assert ["old"] == titles()

    assert [Outcome.HIT, Outcome.HIT] == [*outcomes, *again]
    assert not {"mark", "done", "commit"} & set(writer.passed)


def test_savepoint_rollback_marks_nothing(schedule: Schedule, author: Author) -> None:
    """What a savepoint took back is not announced, what was written beside it is."""
    Author.objects.create(id=2, name="B")
    others = Author.objects.filter(id=2).cache()
    assert (["old"], "B") == (titles(), others.get().name)

    def write() -> None:
        with transaction.atomic():
            Author.objects.filter(id=2).update(name="C")
            with pytest.raises(LookupError), transaction.atomic():
                _rename()
                raise LookupError

    writer = schedule.writer(write).to("done")
    with observed() as outcomes:
        assert (["old"], "C") == (titles(), others.get().name)
    writer.finish()

    assert [Outcome.HIT, Outcome.MISS] == outcomes


# Overlapping writers of one tag


def numbers() -> list[str]:
    """The same list in the order in which it grew."""
    return list(Book.objects.filter(author_id=1).cache().values_list("title", flat=True).order_by("id"))


def _adding(number: int) -> Callable[[], Any]:
    # A table without unique columns: to check them, InnoDB locks the gap beside a deleted row for as long as it has not
    # purged that row, and then one insert waits for another that is none of its business.
    return lambda: Book.objects.create(id=number, author_id=1, title=f"{number}")


@pytest.fixture
def one(author: Author) -> None:
    """The author's list is ``["1"]``."""
    Book.objects.filter(id=1).update(title="1")


def test_writers_overlap_after_the_first_commit(schedule: Schedule, one: None) -> None:
    """Two writers of one tag: the first is done while the second is committed and not done.

    Exact where marks count. On plain stores this is the window the documentation names: what a reader stores in it may
    be stale until the second writer is done, and not a moment longer.
    """
    assert ["1"] == numbers()
    first = schedule.writer(_adding(2), "first").to("done")
    second = schedule.writer(_adding(3), "second").to("commit")
    first.finish()
    # The first mark is gone. Where marks count, the second still stands.
    reader = schedule.reader(numbers)
    assert ["1", "2"] == reader.finish()
    second.to("done")

    found = numbers()
    if schedule.counts_marks:
        assert "fill" not in reader.passed
        assert ["1", "2", "3"] == found
    else:
        assert "fill" in reader.passed
        assert ["1", "2"] == found
    second.finish()
    assert ["1", "2", "3"] == numbers()
    assert truth(numbers) == numbers()


def test_writers_overlap_before_the_first_commit(schedule: Schedule, one: None, db_kind: str) -> None:
    """Two writers have marked one tag before either commits; the one that marked first commits last."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time: the second waits before it marks")
    assert ["1"] == numbers()
    first = schedule.writer(_adding(2), "first").to("commit")
    second = schedule.writer(_adding(3), "second").to("commit")
    second.finish()
    reader = schedule.reader(numbers)
    assert ["1", "3"] == reader.finish()
    first.to("done")

    if schedule.counts_marks:
        assert "fill" not in reader.passed
        assert ["1", "2", "3"] == numbers()
    else:
        assert ["1", "3"] == numbers()
    first.finish()
    assert ["1", "2", "3"] == numbers()


def test_writers_of_other_tags_do_not_meet(schedule: Schedule, one: None) -> None:
    """A writer that stands between COMMIT and done holds up only readers of what it wrote."""
    elsewhere = Book.objects.filter(author=Author.objects.create(id=2, name="B")).cache()
    assert [] == list(elsewhere)
    writer = schedule.writer(_adding(2)).to("done")

    with observed() as outcomes:
        assert [] == list(elsewhere.all())
    writer.finish()

    assert [Outcome.HIT] == outcomes


def test_two_fills_under_one_version_agree(schedule: Schedule, author: Author) -> None:
    """Readers of different queries share a tag's version, and one write drops both."""
    other = Book.objects.filter(author_id=1).cache()
    first = schedule.reader(titles, "first").to("fill")
    second = schedule.reader(other.count, "second").to("fill")
    first.finish()
    second.finish()
    with observed() as outcomes:
        assert (["old"], 1) == (titles(), other.count())
    assert [Outcome.HIT] * 2 == outcomes

    _add()
    assert (["old", "new"], 2) == (titles(), other.count())


def test_update_that_moves_a_row_between_two_lists(schedule: Schedule, author: Author) -> None:
    """A reader of the list a row leaves and one of the list it joins both stop at every point of the write."""
    Author.objects.create(id=2, name="B")

    def both() -> list[list[int]]:
        return [list(Book.objects.filter(author_id=number).cache().values_list("id", flat=True)) for number in (1, 2)]

    assert [[1], []] == both()
    writer = schedule.writer(lambda: Book.objects.filter(id=1).update(author_id=2))
    for point in ("mark", "commit", "done"):
        writer.to(point)
        assert truth(both) == both()
    writer.finish()
    assert [[], [1]] == both() == both()


def test_expression_update_reads_the_row_it_wrote(schedule: Schedule, author: Author) -> None:
    """``status = status + 1`` leaves one list and joins another, which only the database knows."""

    def both() -> list[list[int]]:
        return [list(Book.objects.filter(status=at).cache().values_list("id", flat=True)) for at in (0, 1)]

    reader = schedule.reader(both).to("fill")
    writer = schedule.writer(lambda: Book.objects.update(status=F("status") + 1)).to("done")
    reader.finish()
    assert [[], [1]] == both()
    writer.finish()
    assert [[], [1]] == both() == both()
