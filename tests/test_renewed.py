"""Hits of which a tag has moved, and which are none the less right, are stamped anew: harmless moves never add up."""

from __future__ import annotations

import pytest

import everfresh
from everfresh.stores import current_store
from tests.counting import Counts, counting
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Counts:
    """Two authors and ten books; nothing counted yet."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=at, author_id=1 + at % 2, title=f"{at}") for at in range(1, 11)])
    if not current_store().renews:
        pytest.skip("the store cannot change the beginning of an entry")
    return counting(monkeypatch)


def _count() -> int:
    return Book.objects.filter(author_id=1).cache().count()


def _touch() -> None:
    """A write to a row that is counted, which changes nothing that is counted."""
    Book.objects.filter(pk=2).update(views=7)


def _add_elsewhere() -> None:
    Book.objects.create(id=50_000, author_id=2, title="more")


def _move_elsewhere() -> None:
    Book.objects.filter(pk=50_000).update(title="moved")


def test_harmless_moves_do_not_add_up(counts: Counts) -> None:
    """One write moves the author, another the number of rows: neither has changed the number of that author's."""
    assert 5 == _count()
    for write in (_touch, _add_elsewhere, _touch, _move_elsewhere):
        write()
        counts.clear()
        assert 5 == _count()
        assert [] == counts.statements
    counts.clear()
    assert 5 == _count()
    assert ["read"] == counts.trips


def test_moves_of_which_nobody_read_in_between_add_up(counts: Counts) -> None:
    """Nobody has seen that it was right after the first of them: then both together may be one write that counts."""
    assert 5 == _count()
    _touch()
    _add_elsewhere()
    counts.clear()
    assert 5 == _count()
    assert 1 == len(counts.statements)


def test_one_that_counts(counts: Counts) -> None:
    """After a hit that was stamped anew, a write that changes the answer is seen as ever."""
    assert 5 == _count()
    _touch()
    assert 5 == _count()
    Book.objects.create(id=50_001, author_id=1, title="mine")
    assert 6 == _count()
    _touch()
    Book.objects.filter(pk=50_001).update(author_id=2)
    assert 5 == _count()


def test_trips(counts: Counts) -> None:
    """It costs two more trips, once for each harmless move that somebody reads after."""
    _count()
    _touch()
    counts.clear()
    _count()
    assert ["read", "begin_fill", "renew"] == counts.trips
    counts.clear()
    _count()
    assert ["read"] == counts.trips


def test_a_write_in_between(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after the look and before the new versions are taken ends the entry."""
    assert 5 == _count()
    _touch()
    store = current_store()
    begin_fill = store.begin_fill
    writes = [lambda: Book.objects.create(id=50_002, author_id=1, title="between")]

    def begin(*args: object) -> object:
        while writes:
            writes.pop()()
        return begin_fill(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "begin_fill", begin)
    assert 5 == _count()
    assert 6 == _count()


def test_lists_of_rows_and_functions(counts: Counts) -> None:
    """Lists that point to rows, and memoized functions, are stamped anew as well."""

    @everfresh.memoize
    def number() -> int:
        return Book.objects.filter(author_id=1).count()

    def titles() -> list[str]:
        return [book.title for book in Book.objects.cache(rows=True).filter(author_id=1).order_by("pk")]

    expected = titles()
    assert 5 == number()
    for write in (_touch, _add_elsewhere, _touch):
        write()
        assert expected == titles()
        counts.clear()
        assert 5 == number()
        assert [] == counts.statements


def test_end_of_life_stays(counts: Counts) -> None:
    """An answer that is stamped anew ends when it would have ended."""
    store = current_store()
    store.begin_fill("key", ["tag"], 5)
    store.fill("key", b"before and after", b"", 0.2)
    store.renew("key", b"before", b"BEFORE")
    assert b"BEFORE and after" == store.read("key", ["tag"]).entry
    store.renew("key", b"other!", b"------")
    assert b"BEFORE and after" == store.read("key", ["tag"]).entry
    store.renew("nothing", b"other!", b"------")
    assert store.read("nothing", []).entry is None
