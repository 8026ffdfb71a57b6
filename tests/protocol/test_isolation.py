"""Reads inside transactions: a snapshot may be older than the versions, READ COMMITTED is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from everfresh.events import Outcome
from tests.library.models import Author, Book
from tests.protocol.schedule import Schedule, observed, reach, truth


def _titles(author: int = 1) -> list[str]:
    return list(Book.objects.filter(author_id=author).cache().values_list("title", flat=True))


def _rename(number: int = 1, title: str = "new") -> None:
    Book.objects.filter(id=number).update(title=title)


@pytest.fixture(autouse=True)
def books(schedule: Schedule) -> None:
    """Two authors with a book each."""
    Author.objects.bulk_create([Author(id=1, name="A"), Author(id=2, name="B")])
    Book.objects.bulk_create([Book(id=1, author_id=1, title="old"), Book(id=2, author_id=2, title="other")])


@contextmanager
def _snapshot() -> Iterator[None]:
    """A transaction whose queries all see one state."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


@pytest.fixture
def repeatable(monkeypatch: pytest.MonkeyPatch, db_kind: str) -> None:
    """New connections of this test read snapshots, by their settings."""
    options = dict(connection.settings_dict["OPTIONS"])
    if db_kind == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        options["isolation_level"] = IsolationLevel.REPEATABLE_READ
    elif db_kind == "mariadb":
        options["isolation_level"] = "repeatable read"
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)


def test_snapshot_reader_stores_nothing_in_the_shared_store(schedule: Schedule, repeatable: None) -> None:
    """What a snapshot shows is kept to its transaction: a writer commits, the snapshot reads on, others see the new."""

    def read() -> list[list[str]]:
        with transaction.atomic():
            first = truth(lambda: list(Book.objects.order_by("id").values_list("title", flat=True)))
            reach("point")
            return [first, _titles(), _titles()]

    reader = schedule.reader(read).to("point")
    _rename()

    assert [["old", "other"], ["old"], ["old"]] == reader.finish()
    assert {"begin_fill", "fill", "mark"}.isdisjoint(reader.passed)
    assert [Outcome.FILL, Outcome.HIT] == reader.outcomes
    assert ["new"] == _titles() == _titles()


def test_snapshot_reader_hits_nothing_newer_than_itself(schedule: Schedule, repeatable: None) -> None:
    """An entry that others have filled after the snapshot is not the snapshot's answer."""

    def read() -> list[str]:
        with transaction.atomic():
            truth(lambda: list(Book.objects.all()))
            reach("point")
            return _titles()

    reader = schedule.reader(read).to("point")
    _rename()
    assert ["new"] == _titles()

    assert ["old"] == reader.finish()


def test_isolation_set_by_hand(schedule: Schedule, db_kind: str) -> None:
    """``SET TRANSACTION`` inside the block makes it a snapshot, and the next one is none."""
    if db_kind == "mariadb":
        pytest.skip("MariaDB refuses SET TRANSACTION inside a transaction")

    def read() -> list[str]:
        with transaction.atomic():
            _titles()  # asks for the level of this connection, and remembers it
        with _snapshot():
            truth(lambda: list(Book.objects.all()))
            reach("point")
            first = _titles()
        with transaction.atomic():
            return [*first, *_titles()]

    reader = schedule.reader(read).to("point")
    _rename()

    assert ["old", "new"] == reader.finish()
    assert ["new"] == _titles()


@pytest.mark.parametrize(
    "begin",
    [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    ],
)
def test_snapshot_begun_by_hand(schedule: Schedule, db_kind: str, begin: str) -> None:
    """One statement that begins a transaction and says that it is a snapshot is both."""
    if db_kind == "mariadb":
        begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION"
    elif db_kind == "sqlite":
        begin = "BEGIN"

    def read() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(begin)
        try:
            truth(lambda: list(Book.objects.all()))
            reach("point")
            return _titles()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("COMMIT")

    reader = schedule.reader(read).to("point")
    _rename()

    assert ["old"] == reader.finish()
    assert "fill" not in reader.passed
    assert ["new"] == _titles() == _titles()


# READ COMMITTED


@pytest.fixture
def read_committed(db_kind: str) -> None:
    """Only where transactions can be READ COMMITTED."""
    if db_kind == "sqlite":
        pytest.skip("SQLite's transactions are always snapshots")


def test_read_committed_reader_hits_and_fills(schedule: Schedule, read_committed: None) -> None:
    """A transaction that has not written under an entry's tags uses the shared store as everybody does."""

    def read() -> list[str]:
        with transaction.atomic():
            Author.objects.filter(id=2).update(name="C")
            return [*_titles(), *_titles()]

    reader = schedule.reader(read)

    assert ["old", "old"] == reader.finish()
    assert [Outcome.FILL, Outcome.HIT] == reader.outcomes
    with observed() as outcomes:
        _titles()
    assert [Outcome.HIT] == outcomes


def test_read_committed_fill_races_with_a_writer(schedule: Schedule, read_committed: None) -> None:
    """Its fills are judged by versions as any other's."""

    def read() -> list[str]:
        with transaction.atomic():
            return _titles()

    reader = schedule.reader(read).to("fill")
    _rename()

    assert ["old"] == reader.finish()
    assert ["new"] == _titles()


def test_bypass_is_by_tag_not_by_table(schedule: Schedule, read_committed: None) -> None:
    """Only the author whose book it changed is read past the shared store."""
    assert [["old"], ["other"]] == [_titles(1), _titles(2)]

    def read() -> list[list[str]]:
        with transaction.atomic():
            _rename()
            return [_titles(2), _titles(1), _titles(1)]

    reader = schedule.reader(read)
    assert [["other"], ["new"], ["new"]] == reader.finish()
    assert [Outcome.HIT, Outcome.FILL, Outcome.HIT] == reader.outcomes


def test_own_write_is_never_seen_by_others(schedule: Schedule) -> None:
    """A transaction reads what it wrote, twice, and others read what was there until it commits."""
    assert ["old"] == _titles()

    def read() -> list[str]:
        with transaction.atomic():
            _rename()
            found = [*_titles(), *_titles()]
            reach("point")
            return found

    reader = schedule.reader(read).to("point")
    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.HIT] == outcomes

    assert ["new", "new"] == reader.finish()
    assert [Outcome.FILL, Outcome.HIT] == reader.outcomes
    assert ["new"] == _titles()


def test_overlay_sees_commits_of_others(schedule: Schedule, read_committed: None) -> None:
    """Under READ COMMITTED a private answer also depends on the shared versions: a commit beside it shows."""
    Book.objects.create(id=3, author_id=1, title="third")

    def read() -> list[list[str]]:
        with transaction.atomic():
            _rename()
            before = [_titles(), _titles()]
            reach("point")
            return [*before, _titles()]

    reader = schedule.reader(read).to("point")
    _rename(3, "changed")

    assert [["new", "third"], ["new", "third"], ["new", "changed"]] == reader.finish()


@pytest.mark.parametrize("at", ["commit", "done"])
def test_overlay_while_another_writer_is_pending(schedule: Schedule, read_committed: None, at: str) -> None:
    """A pending tag holds up the overlay as well: its transaction reads from the database."""
    Book.objects.create(id=3, author_id=1, title="third")

    def read() -> list[list[str]]:
        with transaction.atomic():
            _rename()
            first = _titles()
            reach("point")
            return [first, _titles(), _titles()]

    reader = schedule.reader(read).to("point")
    writer = schedule.writer(lambda: _rename(3, "changed")).to(at)
    then = ["new", "changed" if at == "done" else "third"]

    assert [["new", "third"], then, then] == reader.finish()
    writer.finish()
    assert ["new", "changed"] == _titles()


def test_manual_autocommit_is_a_transaction(schedule: Schedule) -> None:
    """With ``set_autocommit(False)``, nothing that is not committed is stored for others."""

    def read() -> list[str]:
        transaction.set_autocommit(False)
        try:
            _rename()
            found = [*_titles(), *_titles()]
            transaction.rollback()
            return [*found, *_titles()]
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    reader = schedule.reader(read)

    assert ["new", "new", "old"] == reader.finish()
    assert "mark" not in reader.passed
    assert ["old"] == _titles()


def test_manual_autocommit_reader_sees_commits_of_others(schedule: Schedule) -> None:
    """With autocommit off and nothing begun, what others commit shows where the database shows it."""

    def read() -> list[object]:
        transaction.set_autocommit(False)
        try:
            first = _titles()
            reach("point")
            return [first, _titles() == truth(_titles)]
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    reader = schedule.reader(read).to("point")
    _rename()

    assert [["old"], True] == reader.finish()
    assert ["new"] == _titles()
