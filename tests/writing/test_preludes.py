"""BEGIN and the question for old images travel in the text of the statement, and nobody can tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.models import F

from everfresh.events import Invalidated, listening
from everfresh.tables import table
from everfresh.writing import statement
from tests.conftest import Elsewhere
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def rows(transactional_db: None) -> None:
    """Two authors, and two books of the first."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=1, author_id=1), Book(id=2, author_id=1)])


@pytest.fixture
def only_postgresql(db_kind: str) -> None:
    """Elsewhere each statement is a text of its own."""
    if db_kind != "postgresql":
        pytest.skip("only psycopg takes several statements in one text")


@pytest.fixture
def told() -> Iterator[list[Invalidated]]:
    """What statements made known."""
    found: list[Invalidated] = []
    with listening(lambda event: found.append(event) if isinstance(event, Invalidated) else None):
        yield found


@pytest.mark.parametrize(
    ("write", "begins"),
    [
        (lambda: Book.objects.filter(id=1).update(pages=9), "UPDATE"),
        (lambda: Book.objects.filter(id=1).update(views=F("views") + 1), "UPDATE"),
        (lambda: Book(id=1, author_id=1).save(force_update=True), "UPDATE"),
        (lambda: Book.objects.filter(id=1)._raw_delete("default"), "DELETE"),
        (lambda: Book(id=3, author_id=1).save(force_insert=True), "INSERT"),
    ],
    ids=["update", "expression", "save", "delete", "insert"],
)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_query_log(write: Callable[[], Any], begins: str, in_transaction: bool) -> None:
    """The log has the statement that the application wrote, and only that."""
    connection.force_debug_cursor = True
    try:
        if in_transaction:
            with transaction.atomic():
                connection.queries_log.clear()
                write()
                logged = [query["sql"] for query in connection.queries]
        else:
            connection.queries_log.clear()
            write()
            logged = [query["sql"] for query in connection.queries]
    finally:
        connection.force_debug_cursor = False

    assert [begins] == [sql.split()[0] for sql in logged]
    assert "FOR NO KEY UPDATE" not in logged[0]


def test_row_count() -> None:
    """What Django is told of the rows is of the statement, not of what went before it."""
    assert 2 == Book.objects.filter(author_id=1).update(pages=9)
    assert 0 == Book.objects.filter(author_id=2).update(pages=9)
    assert (1, {"library.Book": 1}) == Book.objects.filter(id=2).delete()
    assert [9] == list(Book.objects.nocache().values_list("pages", flat=True))


def test_comment_of_an_execute_wrapper(told: list[Invalidated]) -> None:
    """A statement with a comment around it is still known by its rows."""

    def comment(execute: Any, sql: str, *others: Any) -> Any:
        return execute(f"/* before */ {sql} /* after */", *others)

    with connection.execute_wrapper(comment):
        Book.objects.filter(id=1).update(pages=9)

    assert [False] == [event.whole for event in told]
    assert 9 == Book.objects.cache().get(id=1).pages


def test_executed_twice(told: list[Invalidated], only_postgresql: None) -> None:
    """Whoever executes it twice leaves nobody knowing what was there before: the whole table."""

    def twice(execute: Any, *arguments: Any) -> Any:
        execute(*arguments)
        return execute(*arguments)

    with connection.execute_wrapper(twice):
        Book.objects.filter(id=1).update(pages=9)

    assert [True] == [event.whole for event in told]


def test_refused_text(only_postgresql: None) -> None:
    """A text that is refused has begun nothing; what is executed in its place begins and commits."""

    def stumble(execute: Any, sql: str, *others: Any) -> Any:
        with pytest.raises(ProgrammingError):
            execute(f"{sql} ) nonsense", *others)
        return execute(sql, *others)

    with connection.execute_wrapper(stumble):
        Book.objects.filter(id=1).update(pages=9)
        assert connection.connection.autocommit
    connection.close()

    assert 9 == Book.objects.nocache().get(id=1).pages


def test_error_in_the_statement() -> None:
    """A statement that fails leaves an open connection, no transaction and no row."""
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        Author(id=1, name="again").save(force_insert=True)

    assert not connection.in_atomic_block
    assert connection.get_autocommit()
    assert 1 == Author.objects.filter(id=2).update(name="C")
    connection.close()
    assert "C" == Author.objects.nocache().get(id=2).name


def test_isolation_level(only_postgresql: None) -> None:
    """Where the driver was told how its transactions are to begin, it begins them itself."""
    from psycopg import IsolationLevel

    levels = []

    def look(execute: Any, *arguments: Any) -> Any:
        result = execute(*arguments)
        with connection.connection.cursor() as cursor:
            levels.append(cursor.execute("SELECT current_setting('transaction_isolation')").fetchone()[0])
        return result

    connection.ensure_connection()
    connection.connection.isolation_level = IsolationLevel.SERIALIZABLE
    try:
        with connection.execute_wrapper(look):
            Book.objects.filter(id=1).update(pages=9)
    finally:
        connection.connection.isolation_level = None

    assert ["serializable"] == levels


def test_row_that_others_are_writing(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, only_postgresql: None
) -> None:
    """Who waits for another writer of the row learns what that one has left there, not what was there before."""
    moved: set[str] = set()
    original = statement.announce

    def announce(using: Any, name: str, names: Any, *keys: Any) -> Any:
        moved.update(names)
        return original(using, name, names, *keys)

    monkeypatch.setattr(statement, "announce", announce)
    has_written = threading.Event()

    def write_and_end_when_waited_for() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE library_book SET author_id = 2 WHERE id = 1")
            has_written.set()
            waiting = False
            while not waiting:
                cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
                [waiting] = cursor.fetchone()

    other = threading.Thread(target=elsewhere, args=(write_and_end_when_waited_for,))
    other.start()
    try:
        assert has_written.wait(30)
        moved.clear()
        Book.objects.filter(id=1).update(pages=9)
    finally:
        other.join()

    assert table("default", "library_book").value(("author_id",), (2,)).name in moved
