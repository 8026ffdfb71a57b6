"""Transactions that no ``atomic()`` block knows: autocommit switched off, and BEGIN, COMMIT, ROLLBACK by raw SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from everfresh.events import Outcome
from everfresh.journal import journal_of
from tests.conftest import Elsewhere
from tests.library.models import Book
from tests.protocol.schedule import observed, reach, scheduled, truth
from tests.transactions.rows import rename, rename_by_sql, sql, titles

pytestmark = pytest.mark.usefixtures("book")


@pytest.fixture
def manual(book: Book) -> Iterator[None]:
    """Autocommit is off."""
    assert ["old"] == titles()
    transaction.set_autocommit(False)
    yield
    if not connection.get_autocommit():
        transaction.rollback()
        transaction.set_autocommit(True)


@pytest.mark.parametrize("write", [rename, rename_by_sql])
def test_manual_commit(manual: None, elsewhere: Elsewhere, write: Any) -> None:
    """Nothing is announced or shared before ``commit()``, everything right after it."""
    write()
    assert ["new"] == titles() == titles()
    assert ["old"] == elsewhere(titles)
    transaction.commit()

    assert ["new"] == titles() == elsewhere(titles)


@pytest.mark.parametrize("write", [rename, rename_by_sql])
def test_manual_rollback(manual: None, elsewhere: Elsewhere, write: Any) -> None:
    """``rollback()`` forgets what was written and what was read after it."""
    write()
    assert ["new"] == titles()
    transaction.rollback()
    assert ["old"] == titles()

    def read() -> list[Outcome]:
        with observed() as outcomes:
            titles()
        return outcomes

    assert [Outcome.HIT] == elsewhere(read)


def test_manual_commit_that_fails(manual: None, db_kind: str) -> None:
    """What was read before a ``commit()`` that raised is not so any more, where the database has rolled back."""
    if db_kind == "mariadb":
        pytest.skip("MariaDB checks foreign keys at once")
    if db_kind == "postgresql":
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # so that its answers depend on nobody else
    Book.objects.create(id=2, author_id=999, title="orphan")
    orphans = Book.objects.filter(author_id=999).cache()
    assert 1 == orphans.count() == orphans.count()
    with pytest.raises(IntegrityError):
        transaction.commit()

    assert truth(orphans.count) == orphans.count()


@pytest.mark.parametrize("write", [rename, rename_by_sql])
def test_switching_autocommit_on_commits(manual: None, elsewhere: Elsewhere, write: Any, db_kind: str) -> None:
    """``set_autocommit(True)`` is a COMMIT without the name."""
    if db_kind == "postgresql":
        pytest.skip("psycopg refuses to switch while a transaction is open")
    write()
    assert ["old"] == elsewhere(titles)
    transaction.set_autocommit(True)

    assert ["new"] == titles() == elsewhere(titles)


def test_hooks_of_an_earlier_commit_run_after_done(manual: None, db_kind: str) -> None:
    """Hooks wait for autocommit to be switched on, which commits once more: they come after that, too."""
    if db_kind == "postgresql":
        pytest.skip("psycopg refuses to switch while a transaction is open")
    seen: list[Any] = []

    def hook() -> None:
        with observed() as outcomes:
            seen.append(titles())
        seen.extend(outcomes)

    with transaction.atomic():
        rename("one")
        transaction.on_commit(hook)
    transaction.commit()
    rename("two")
    transaction.set_autocommit(True)

    assert [["two"], Outcome.FILL] == seen


def test_atomic_inside_manual_autocommit(manual: None, elsewhere: Elsewhere, db_kind: str) -> None:
    """A block is only a savepoint there; its end commits nothing, but on SQLite, where nothing else had begun."""
    with transaction.atomic():
        rename()
    assert ["new" if db_kind == "sqlite" else "old"] == elsewhere(lambda: truth(titles)) == elsewhere(titles)
    with pytest.raises(LookupError), transaction.atomic():
        rename("never")
        raise LookupError
    assert ["new"] == titles()
    transaction.commit()

    assert ["new"] == titles() == elsewhere(titles)


def test_manual_commit_by_raw_sql(manual: None, elsewhere: Elsewhere) -> None:
    """Raw COMMIT and ROLLBACK with autocommit off are the methods' equals."""
    rename("one")
    sql("COMMIT")
    assert ["one"] == elsewhere(titles) == titles()
    rename("never")
    assert ["never"] == titles()
    sql("ROLLBACK")
    assert ["one"] == titles() == elsewhere(titles)


# Begun by raw SQL


@pytest.mark.parametrize("write", [rename, rename_by_sql])
@pytest.mark.parametrize("begin", ["BEGIN", "begin;", "/* mine */ BEGIN"])
def test_begin_and_commit(elsewhere: Elsewhere, write: Any, begin: str) -> None:
    """From a raw BEGIN on nothing is shared, until a raw COMMIT."""
    assert ["old"] == titles()
    sql(begin)
    write()
    assert ["new"] == titles() == titles()
    assert ["old"] == elsewhere(titles)
    sql("COMMIT")

    assert ["new"] == titles() == elsewhere(titles)
    assert not journal_of(connection).in_transaction


@pytest.mark.parametrize("write", [rename, rename_by_sql])
def test_begin_and_rollback(elsewhere: Elsewhere, write: Any) -> None:
    """A raw ROLLBACK forgets."""
    assert ["old"] == titles()
    sql("BEGIN")
    write()
    assert ["new"] == titles()
    sql("ROLLBACK")

    assert not journal_of(connection).in_transaction
    with observed() as outcomes:
        assert ["old"] == titles()
    assert [Outcome.HIT] == outcomes


def test_begin_and_savepoints(elsewhere: Elsewhere) -> None:
    """Rolling back to a raw savepoint ends neither the transaction nor the trust in what came before."""
    assert ["old"] == titles()
    sql("BEGIN")
    rename("one")
    sql("SAVEPOINT mine")
    rename("two")
    assert ["two"] == titles()
    sql("ROLLBACK TO mine")
    assert ["one"] == titles()
    assert ["old"] == elsewhere(titles)
    sql("COMMIT")

    assert ["one"] == titles() == elsewhere(titles)


def test_commit_and_chain(db_kind: str, elsewhere: Elsewhere) -> None:
    """``COMMIT AND CHAIN`` commits, and the next transaction is open already."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has no chains")
    assert ["old"] == titles()
    sql("BEGIN")
    rename("one")
    sql("COMMIT AND CHAIN")
    assert ["one"] == elsewhere(titles)
    rename("two")
    assert ["one"] == elsewhere(titles)
    sql("COMMIT")

    assert ["two"] == titles() == elsewhere(titles)


def test_begin_that_fails_in_part(db_kind: str, elsewhere: Elsewhere) -> None:
    """A text that begins and then fails leaves a transaction open where the server says so."""
    if db_kind != "postgresql":
        pytest.skip("only psycopg runs several statements of which one fails")
    assert ["old"] == titles()
    with pytest.raises(Exception, match="nowhere"):
        sql("BEGIN; SAVEPOINT a; SELECT * FROM nowhere")
    sql("ROLLBACK TO a")
    rename()
    assert ["old"] == elsewhere(titles)
    sql("COMMIT")

    assert ["new"] == titles() == elsewhere(titles)


def test_ddl_commits_on_mariadb(db_kind: str, elsewhere: Elsewhere) -> None:
    """DDL inside a block commits what was written before it: others see it at once."""
    if db_kind != "mariadb":
        pytest.skip("DDL is transactional here")
    assert ["old"] == titles()
    with transaction.atomic():
        rename()
        sql("CREATE TABLE IF NOT EXISTS of_no_interest (id int)")
        assert ["new"] == elsewhere(titles)
        rename("newer")
        assert ["new"] == elsewhere(titles)
    sql("DROP TABLE of_no_interest")

    assert ["newer"] == titles() == elsewhere(titles)


def test_session_isolation_by_hand(db_kind: str, elsewhere: Elsewhere) -> None:
    """A level set for the session holds beyond the transaction it was set in."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has one level")
    sql(
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        if db_kind == "mariadb"
        else "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    )
    try:
        for title in ("one", "two"):
            with transaction.atomic():
                list(Book.objects.nocache())
                elsewhere(lambda title=title: rename(title))
                stale = titles()
            assert [title] == titles() != stale
    finally:
        connection.close()


# Writes that hide behind others


def test_raw_sql_of_an_execute_wrapper(elsewhere: Elsewhere) -> None:
    """What a wrapper writes by raw SQL while the ORM's own statement runs is read, not taken for that statement."""
    from tests.library.models import Author

    names = Author.objects.filter(id=1).cache().values_list("name", flat=True)
    assert ["A"] == list(names.all())

    def audit(execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        if "library_book" in statement:
            sql("UPDATE library_author SET name = 'audited' WHERE id = 1")
        return execute(statement, params, many, context)

    with connection.execute_wrapper(audit):
        rename()

    assert ["audited"] == list(names.all())


def test_wrapper_that_raises_after_the_fact(manual: None, elsewhere: Elsewhere) -> None:
    """A statement that was executed before something raised is part of the transaction, whoever catches the error."""

    def late(execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        execute(statement, params, many, context)
        raise TimeoutError

    for write in (rename, rename_by_sql):
        with pytest.raises(TimeoutError), connection.execute_wrapper(late):
            write()
        assert ["new"] == titles()
        transaction.rollback()
        assert ["old"] == titles()
        with pytest.raises(TimeoutError), connection.execute_wrapper(late):
            write("newer")
        transaction.commit()
        assert ["newer"] == titles() == elsewhere(titles)
        rename("old")
        transaction.commit()


def test_sqlite_locks_before_it_reads(db_kind: str) -> None:
    """A block becomes the writer before its first update reads old rows, once: its snapshot may be too old after it."""
    if db_kind != "sqlite":
        pytest.skip("other databases lock rows")
    seen: list[str] = []
    with transaction.atomic():
        connection.ensure_connection()
        connection.connection.set_trace_callback(lambda statement: seen.append(statement.split()[0]))
        try:
            Book.objects.filter(id=1).update(views=1)
            Book.objects.filter(id=1).delete()
        finally:
            connection.connection.set_trace_callback(None)

    assert ["DELETE", "SELECT", "UPDATE"] == seen[:3]
    assert ["SELECT", "DELETE"] == seen[-2:]


def test_sqlite_waits_for_its_turn(db_kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks update at once: the second waits before it reads old rows, instead of "database is locked"."""
    if db_kind != "sqlite":
        pytest.skip("other databases lock rows")
    Book.objects.filter(id=1).update(views=0)

    def count() -> None:
        with transaction.atomic():
            book = Book.objects.filter(id=1)
            book.update(views=1)
            reach("point")
            book.update(pages=1)

    def later() -> None:
        with transaction.atomic():
            Book.objects.filter(id=1).update(title="second")

    with scheduled(monkeypatch) as schedule:
        first = schedule.writer(count, "first").to("point")
        second = schedule.writer(later, "second").start()
        first.finish()
        second.wait()

    assert (1, 1, "second") == Book.objects.values_list("views", "pages", "title").get(id=1)
