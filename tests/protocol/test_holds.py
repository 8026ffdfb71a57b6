"""A large write: the table's epoch is held in the place of its many tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from everfresh import journal
from everfresh.journal import HOLD_ABOVE
from everfresh.stores import current_store
from tests.conftest import Elsewhere
from tests.counting import counting
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)

MANY = HOLD_ABOVE + 10


@pytest.fixture(autouse=True)
def rows(transactional_db: None) -> None:
    """Many books of one author, and one of another."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=at, author_id=1) for at in range(1, MANY + 1)])
    Book.objects.create(id=MANY + 1, author_id=2)


def pages(number: int) -> int:
    """A cached row, by its key."""
    return Book.objects.cache().get(id=number).pages


def test_other_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of rows that were not written are hits afterwards, as after a small write; those that were are not."""
    before = [pages(1), pages(MANY + 1)]
    Book.objects.filter(author_id=1).update(pages=9)
    counts = counting(monkeypatch)

    assert before[1] == pages(MANY + 1)
    assert [] == counts.statements
    assert 9 == pages(1)


def fewest() -> int:
    """A cached answer that any write to the table ends, and that does not look at the epoch for that reason."""
    found = Book.objects.filter(pages__gt=0).order_by("author_id", "id").cache().first()
    assert found is not None
    return found.pages


@pytest.mark.parametrize("when", ["mark", "done"])
@pytest.mark.parametrize("read", [lambda: pages(1), fewest], ids=["row", "any"])
def test_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere, when: str, read: Callable[[], int]
) -> None:
    """Before COMMIT and after it others read what is committed, and what they store then is not found later."""
    read()
    store = current_store().store
    original: Any = getattr(store, when)
    seen: list[int] = []

    def around(*args: Any, **options: Any) -> Any:
        if when == "mark":
            original(*args, **options)
        seen.append(elsewhere(read))
        return None if when == "mark" else original(*args, **options)

    monkeypatch.setattr(store, when, around)
    Book.objects.filter(author_id=1).update(pages=9)
    monkeypatch.undo()

    assert [100 if when == "mark" else 9] == seen
    assert 9 == read()
    assert 9 == elsewhere(read)


def test_two_tables() -> None:
    """In one transaction each table with many tags has its own hold, and those with few are marked."""
    many = {f"a{number}": "A!" for number in range(MANY)} | {f"b{number}": "B!" for number in range(MANY)}
    marked, held = journal._to_mark({**many, "c": "C!", "named": ""})

    assert ["c", "named"] == marked
    assert {"A!": MANY, "B!": MANY} == {epoch: len(names) for epoch, names in held.items()}


def test_epoch_that_moves() -> None:
    """A table of which unknown rows were written, too, is not held: its epoch is to move."""
    many = {f"a{number}": "A!" for number in range(MANY)}
    marked, held = journal._to_mark({**many, "A!": ""})

    assert {} == held
    assert {*many, "A!"} == set(marked)
