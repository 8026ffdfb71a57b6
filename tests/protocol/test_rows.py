"""Between the reading of old rows and the statement that writes them: what others do then is not missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.models import QuerySet

from everfresh.writing import capture, statement
from everfresh.writing.preludes import Question
from tests.conftest import Elsewhere
from tests.library.models import Author, Book
from tests.protocol.schedule import truth

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def rows(transactional_db: None, db_kind: str) -> None:
    """Two authors with a book each, where writers do not wait for each other before they read."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time, and the write lock is taken first")
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=1, author_id=1, status=1), Book(id=2, author_id=2, status=0)])


Between = Callable[[Callable[[], Any]], list[Any]]


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere) -> Between:
    """Call it with what another connection is to do once, when old rows were read; what came of it is in the list."""

    def arrange(work: Callable[[], Any]) -> list[Any]:
        found: list[Any] = []

        def then_work(original: Callable[..., Any]) -> Callable[..., Any]:
            def read(*args: Any, **kwargs: Any) -> Any:
                images = original(*args, **kwargs)
                if not found:
                    found.append(None)
                    found[0] = elsewhere(work)
                return images

            return read

        monkeypatch.setattr(capture, "select_images", then_work(capture.select_images))
        # Nobody can act between the statements of one text; the database can let others in there all the same.
        monkeypatch.setattr(statement, "leads_statements", lambda _: False)
        monkeypatch.setattr(Question, "ask", then_work(Question.ask))
        return found

    return arrange


def pages(number: int) -> int:
    """A cached row, by its key."""
    return Book.objects.cache().get(id=number).pages


def test_row_that_comes_to_match(between: Between) -> None:
    """A row that was inserted after the old ones were read is written too: the whole table is invalid then."""

    def insert() -> int:
        Book.objects.create(id=3, author_id=1, pages=7)
        return pages(3)

    found = between(insert)
    Book.objects.filter(author_id=1).update(pages=9)

    assert [7] == found
    assert [9, 9] == [pages(1), pages(3)]


def test_rows_are_locked(between: Between) -> None:
    """Nobody changes a row whose old image was read before it is written."""

    def lock() -> bool:
        try:
            with transaction.atomic():
                Book.objects.select_for_update(nowait=True).get(id=1)
        except DatabaseError:
            return False
        return True

    found = between(lock)
    Book.objects.filter(id=1).update(pages=9)

    assert [False] == found


def _update(rows: QuerySet[Book]) -> None:
    rows.update(pages=9)


def _delete(rows: QuerySet[Book]) -> None:
    rows.delete()


@pytest.mark.parametrize("write", [_update, _delete])
def test_rows_that_another_table_chooses(between: Between, write: Callable[[QuerySet[Book]], None]) -> None:
    """What was read is what is written, though another row matches now by what stands in another table."""
    Author.objects.filter(id=1).update(bio="chosen")
    reads = [Book.objects.cache().filter(id=number).values_list("pages", flat=True) for number in (1, 2)]

    def choose_another() -> list[list[int]]:
        Author.objects.filter(id=1).update(bio="")
        Author.objects.filter(id=2).update(bio="chosen")
        return [list(read.all()) for read in reads]

    found = between(choose_another)
    write(Book.objects.filter(author__bio="chosen"))

    assert [[[100], [100]]] == found
    assert [truth(lambda read=read: list(read.all())) for read in reads] == [list(read.all()) for read in reads]
