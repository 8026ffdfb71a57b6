"""Raw SQL through Django's cursor, by every way a driver offers: no answer survives what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction

import everfresh
from everfresh.events import Outcome
from tests.conftest import Elsewhere
from tests.library.models import Author, Book, Publisher
from tests.protocol.schedule import observed

BOOK = "library_book"


def _titles() -> list[str]:
    return list(Book.objects.cache().values_list("title", flat=True).order_by("id"))


def _names() -> list[str]:
    return list(Publisher.objects.cache().values_list("name", flat=True).order_by("name"))


def _run(*statements: Any, params: Any = None) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, params)


@pytest.fixture(autouse=True)
def rows(transactional_db: None) -> None:
    """A book and a publisher, both cached."""
    Publisher.objects.create(id=90_001, name="P")
    Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")
    assert (["old"], ["P"]) == (_titles(), _names())


@pytest.fixture(params=["autocommit", "atomic", "rolled back"])
def block(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], None]:
    """Run a write by itself, in a block, and in a block that is rolled back; afterwards nothing is stale."""

    def run(write: Callable[[], Any]) -> None:
        if request.param == "autocommit":
            write()
        else:
            try:
                with transaction.atomic():
                    write()
                    with everfresh.disabled():
                        within = (_titles(), _names())
                    assert within == (_titles(), _names()) == (_titles(), _names())
                    if request.param == "rolled back":
                        raise LookupError
            except LookupError:
                pass
        with everfresh.disabled():
            truth = (_titles(), _names())
        assert truth == (_titles(), _names()) == (_titles(), _names())
        if request.param != "rolled back":
            assert truth != (["old"], ["P"])

    return run


def _quoted() -> str:
    return connection.ops.quote_name(BOOK)


STATEMENTS: dict[str, str] = {
    "update": "UPDATE library_book SET title = 'new'",
    "mixed case": "UpDaTe {unquoted} SeT title = 'new'",
    "quoted": "UPDATE {quoted} SET title = 'new'",
    "comment": "/* a */ -- b\n UPDATE library_book /* c */ SET title = 'new'",
    "insert select": "INSERT INTO library_publisher (name, country) SELECT title, 'NL' FROM library_book",
    "delete": "DELETE FROM library_book WHERE id = 1",
    "subquery": "UPDATE library_book SET title = (SELECT name FROM library_publisher WHERE id = 90001)",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_execute(block: Callable[..., None], statement: str, db_kind: str) -> None:
    """One statement by ``execute()``."""
    # Names of tables have case on MariaDB.
    unquoted = BOOK if db_kind == "mariadb" else "Library_BOOK"
    block(lambda: _run(statement.format(quoted=_quoted(), unquoted=unquoted)))


def test_execute_with_parameters(block: Callable[..., None]) -> None:
    """With parameters, one of which looks like SQL."""
    block(lambda: _run("UPDATE library_book SET title = %s", params=["; DELETE FROM library_author; --"]))


def test_bytes(block: Callable[..., None], db_kind: str) -> None:
    """A statement of bytes, where the driver takes one."""
    if db_kind == "sqlite":
        pytest.skip("SQLite takes text only")
    block(lambda: _run(b"UPDATE library_book SET title = 'new'"))


def test_executemany(block: Callable[..., None]) -> None:
    """``executemany()``."""

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO library_publisher (name, country) VALUES (%s, %s)", [("Q", "NL"), ("R", "BE")]
            )

    block(write)


def test_other_tables_keep_their_entries() -> None:
    """Only what the statement names is invalidated, a table it reads is not."""
    _run("UPDATE library_book SET title = (SELECT name FROM library_publisher WHERE id = 90001)")

    with observed() as outcomes:
        assert (["P"], ["P"]) == (_titles(), _names())
    assert [Outcome.FILL, Outcome.HIT] == outcomes


def test_whole_rows() -> None:
    """An answer that depends on any write to the table, as all of its rows do, is dropped as those of columns are."""
    books = Book.objects.cache()
    assert ["old"] == [book.title for book in books.all()]
    _run("UPDATE library_book SET title = 'new'")

    assert ["new"] == [book.title for book in books.all()]


def test_reading_moves_nothing() -> None:
    """SELECTs of every look leave all entries alone."""
    _run("SELECT 1", "select title from library_book", "WITH a AS (SELECT 1 AS x) SELECT * FROM a")
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


def test_statement_that_fails(db_kind: str) -> None:
    """A statement that fails changed nothing: at worst an entry is dropped in vain."""
    with pytest.raises(Exception, match=r"nowhere|no_such"), transaction.atomic():
        _run("UPDATE library_book SET title = 'new'", "UPDATE library_book SET nowhere = 1")
    assert ["old"] == _titles()


def test_replace(block: Callable[..., None], db_kind: str) -> None:
    """REPLACE."""
    if db_kind == "postgresql":
        pytest.skip("PostgreSQL has no REPLACE")
    block(lambda: _run("REPLACE INTO library_publisher (id, name, country) VALUES (90001, 'replaced', 'NL')"))


def test_upsert(block: Callable[..., None], db_kind: str) -> None:
    """INSERT that may update."""
    conflict = (
        "ON DUPLICATE KEY UPDATE name = 'u'" if db_kind == "mariadb" else "ON CONFLICT (id) DO UPDATE SET name='u'"
    )
    block(lambda: _run(f"INSERT INTO library_publisher (id, name, country) VALUES (90001, 'x', 'NL') {conflict}"))


def test_common_table_expressions(block: Callable[..., None], db_kind: str) -> None:
    """Writes behind WITH, and on PostgreSQL inside it."""
    statement = "WITH a AS (SELECT 1 AS id) UPDATE library_book SET title = 'new' WHERE id IN (SELECT id FROM a)"
    if db_kind == "postgresql":
        statement = (
            "WITH changed AS (UPDATE library_book SET title = 'new' RETURNING title) "
            "INSERT INTO library_publisher (name, country) SELECT title, 'NL' FROM changed"
        )
    elif db_kind == "mariadb":
        statement = "INSERT INTO library_publisher (name, country) WITH a AS (SELECT 'Q' AS q) SELECT q, 'NL' FROM a"
    block(lambda: _run(statement))


def test_truncate(db_kind: str) -> None:
    """TRUNCATE, which commits on MariaDB."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    cascade = "" if db_kind == "mariadb" else " CASCADE"
    if db_kind == "mariadb":
        _run("SET FOREIGN_KEY_CHECKS = 0")
    _run(f"TRUNCATE TABLE library_publisher{cascade}")
    if db_kind == "mariadb":
        _run("SET FOREIGN_KEY_CHECKS = 1")
    assert [] == _names()
    with everfresh.disabled():
        truth = _titles()
    assert truth == _titles()


@pytest.fixture
def procedure(db_kind: str) -> Iterator[str]:
    """A routine that changes a title."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has no routines")
    change = "UPDATE library_book SET title = given;"
    if db_kind == "mariadb":
        _run("DROP PROCEDURE IF EXISTS change_title")
        _run(f"CREATE PROCEDURE change_title(given varchar(50)) BEGIN {change} END")
    else:
        _run(
            f"CREATE OR REPLACE FUNCTION change_title(given text) RETURNS int LANGUAGE plpgsql "
            f"AS $$ BEGIN {change} RETURN 1; END $$"
        )
    _titles()
    yield "change_title"
    _run(f"DROP {'PROCEDURE' if db_kind == 'mariadb' else 'FUNCTION'} change_title")


def test_callproc(block: Callable[..., None], procedure: str, db_kind: str) -> None:
    """``callproc()``: nobody knows what a routine writes, so it is everything."""

    def write() -> None:
        with connection.cursor() as cursor:
            if db_kind == "postgresql":
                # psycopg 3 has no callproc(); Django's message of that is all there is.
                cursor.execute("DO $$ BEGIN PERFORM change_title('called'); END $$")
            else:
                cursor.callproc(procedure, ["called"])

    block(write)


def test_call(block: Callable[..., None], procedure: str, db_kind: str) -> None:
    """CALL and DO by ``execute()``."""
    if db_kind == "postgresql":
        block(lambda: _run("DO 'BEGIN PERFORM change_title(''called''); END'"))
    else:
        block(lambda: _run("CALL change_title('called')"))


def test_several_statements(block: Callable[..., None], db_kind: str) -> None:
    """Several in one text, where the driver takes them."""
    if db_kind == "sqlite":
        pytest.skip("SQLite's driver takes one")
    block(lambda: _run("SELECT 1; UPDATE library_book SET title = 'a;b'; DELETE FROM library_publisher"))


def test_add_column(db_kind: str) -> None:
    """A new column: old answers about the table are misses, those about others hits on the databases that can tell."""
    _run("ALTER TABLE library_publisher ADD COLUMN extra integer DEFAULT 3")
    try:
        with observed() as outcomes:
            assert ["P"] == _names()
        assert [Outcome.FILL] == outcomes
    finally:
        _run("ALTER TABLE library_publisher DROP COLUMN extra")
    with observed() as outcomes:
        assert ["P"] == _names()
    assert [Outcome.FILL] == outcomes


def test_schema_editor() -> None:
    """Django's own DDL goes the same way."""
    from django.db import models

    field = models.IntegerField(null=True)
    field.set_attributes_from_name("extra")
    with connection.schema_editor() as editor:
        editor.add_field(Publisher, field)
    with connection.schema_editor() as editor:
        editor.remove_field(Publisher, field)
    with observed() as outcomes:
        assert ["P"] == _names()
    assert [Outcome.FILL] == outcomes


# SQLite


def test_executescript(db_kind: str) -> None:
    """``executescript()`` may write anything."""
    if db_kind != "sqlite":
        pytest.skip("SQLite's driver only")
    with connection.cursor() as cursor:
        cursor.executescript("UPDATE library_book SET title = 'new'; DELETE FROM library_publisher;")

    assert (["new"], []) == (_titles(), _names())


def test_pragma_moves_nothing(db_kind: str) -> None:
    """PRAGMAs that only ask."""
    if db_kind != "sqlite":
        pytest.skip("SQLite only")
    _run("PRAGMA table_info(library_book)")
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


# PostgreSQL


@pytest.fixture
def postgresql(db_kind: str) -> None:
    """Only there."""
    if db_kind != "postgresql":
        pytest.skip("PostgreSQL only")


def test_composed_statements(block: Callable[..., None], postgresql: None) -> None:
    """Psycopg's ``sql.SQL`` objects."""
    from psycopg import sql

    statement = sql.SQL("UPDATE {} SET title = {}").format(sql.Identifier(BOOK), sql.Literal("new"))
    block(lambda: _run(statement))


def test_copy_from(block: Callable[..., None], postgresql: None) -> None:
    """COPY FROM STDIN by psycopg's ``copy()``: over when its block is."""

    def write() -> None:
        statement = "COPY library_publisher (name, country) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write_row(["Q", "NL"])
            copy.write_row(["R", "NL"])

    block(write)


def test_copy_while_others_read(postgresql: None, elsewhere: Elsewhere) -> None:
    """Until its block is over nobody stores what it is about to change."""
    statement = "COPY library_publisher (name, country) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write_row(["Q", "NL"])
        assert ["P"] == elsewhere(_names)

    assert ["P", "Q"] == _names()


def test_copy_that_fails(postgresql: None) -> None:
    """A COPY that fails leaves nothing pending."""
    statement = "COPY library_publisher (name, country) FROM STDIN"
    with pytest.raises(LookupError), connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write_row(["Q", "NL"])
        raise LookupError

    assert ["P"] == _names()
    with observed() as outcomes:
        _names()
    assert [Outcome.HIT] == outcomes


def test_copy_to_moves_nothing(postgresql: None) -> None:
    """COPY TO reads."""
    with connection.cursor() as cursor, cursor.copy("COPY library_publisher TO STDOUT") as copy:
        assert list(copy.rows())
    with observed() as outcomes:
        _names()
    assert [Outcome.HIT] == outcomes


def test_stream(block: Callable[..., None], postgresql: None) -> None:
    """Psycopg's ``stream()`` of a statement that writes."""

    def write() -> None:
        with connection.cursor() as cursor:
            assert [("new",)] == list(cursor.stream("UPDATE library_book SET title = 'new' RETURNING title"))

    block(write)


@pytest.mark.parametrize("options", ["ANALYZE", "(ANALYZE, BUFFERS)"])
def test_explain_analyze(block: Callable[..., None], postgresql: None, options: str) -> None:
    """EXPLAIN ANALYZE runs what it explains."""
    block(lambda: _run(f"EXPLAIN {options} UPDATE library_book SET title = 'new'"))


def test_explain_moves_nothing(postgresql: None) -> None:
    """EXPLAIN alone does not."""
    _run("EXPLAIN UPDATE library_book SET title = 'new'")
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


def test_quoted_schema_and_only(block: Callable[..., None], postgresql: None) -> None:
    """A name with its schema, quoted, behind ONLY."""
    block(lambda: _run('UPDATE ONLY "public"."library_book" AS b SET title = \'new\''))


def test_prepared_statement(postgresql: None) -> None:
    """PREPARE and EXECUTE: what was prepared is not known, so it is everything."""
    _run("PREPARE change AS UPDATE library_book SET title = 'new'", "EXECUTE change", "DEALLOCATE change")

    assert ["new"] == _titles()
