"""django-cacheme: models that tell by what keys they are known, and nodes that stand for their rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from everfresh.compat.cacheme import cacheme, nodes, sources
from everfresh.signals import rows_writing
from tests.conftest import Configure, Elsewhere
from tests.seeds.shelves.models import Book, Fan, Guest, Loud, Reader, Ticket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    """But to what the test decorates."""
    yield
    sources._models.clear()
    sources._throughs.clear()
    rows_writing.receivers.clear()
    rows_writing.sender_receivers_cache.clear()


def known(key: str, **said: Any) -> Callable[[], int]:
    """A function that depends on this invalid key, and tells how often it ran."""
    runs: list[int] = []

    @cacheme(key=lambda c: f"known by {key}", invalid_keys=lambda c: key, **said)
    def function() -> int:
        runs.append(1)
        return len(runs)

    return function  # type: ignore[no-any-return]


def is_kept(function: Callable[[], int], write: Callable[[], object]) -> bool:
    """Is what *function* gave still current after *write*?"""
    before = function()
    assert function() == before
    write()
    return function() == before


# invalid_models

SAVES: dict[str, Callable[[], object]] = {
    "save": lambda: Reader(id=1, name="B").save(),
    "save of a child": lambda: Guest(reader_ptr_id=1, name="B").save(),
    "save of a proxy": lambda: Loud(id=1, name="B").save(),
    "update": lambda: Reader.objects.filter(name="A").update(name="B"),
    "bulk_update": lambda: Reader.objects.bulk_update([Reader(id=1, name="B")], ["name"]),
    "raw SQL": lambda: connection.cursor().execute("UPDATE shelves_reader SET name = 'B' WHERE id = 1"),
    "delete": lambda: Reader.objects.get(id=1).delete(),
    "delete of a queryset": lambda: Reader.objects.filter(name="A").delete(),
    "delete of a proxy": lambda: Loud.objects.get(id=1).delete(),
    "raw delete": lambda: Reader.objects.filter(id=1)._raw_delete("default"),  # type: ignore[attr-defined]
}


@pytest.mark.seeds("CE-15", "CE-F11")
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in SAVES.items()])
def test_writes_to_a_model(write: Callable[[], object]) -> None:
    """By whatever path; the seed heard save() and delete()."""
    Reader.objects.create(id=1, name="A")
    Reader.objects.create(id=2, name="C")
    function = known("Reader:1", invalid_models=[Reader])

    assert not is_kept(function, write)


@pytest.mark.seeds("CE-15")
def test_save_of_nothing() -> None:
    """What it wrote was there before, so nothing is to be computed anew."""
    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader])

    assert is_kept(function, lambda: Reader(id=1, name="A").save())


@pytest.mark.seeds("CE-15")
def test_other_rows() -> None:
    """They leave it, and so do other models."""
    one, two = Reader.objects.create(id=1, name="A"), Reader.objects.create(id=2, name="B")
    function = known("Reader:1", invalid_models=[Reader])

    assert is_kept(function, lambda: Reader.objects.filter(id=2).update(name="C"))
    assert is_kept(function, lambda: Reader.objects.create(id=3))
    assert is_kept(function, two.delete)
    assert is_kept(function, lambda: Book.objects.create(name="book"))
    assert not is_kept(function, one.delete)


@pytest.mark.seeds("CE-15")
def test_keys_in_lists() -> None:
    """A row may be known by several keys."""
    Book.objects.create(id=1, name="book")
    both = known("Book:1", invalid_models=[Book]), known("Books named new")

    assert not is_kept(both[0], lambda: Book.objects.filter(id=1).update(name="old"))
    assert not is_kept(both[1], lambda: Book.objects.filter(id=1).update(name="new"))


def test_keys_made_by_python() -> None:
    """UUIDs; and rows of whom the keys were told when they were deleted are not asked for again."""
    ticket = Ticket.objects.create()
    function = known(f"Ticket:{ticket.pk}", invalid_models=[Ticket])
    other = known("Ticket:other")

    assert not is_kept(function, lambda: Ticket.objects.update(number=2))
    assert not is_kept(function, ticket.delete)
    assert is_kept(other, lambda: Ticket.objects.create().delete())


@pytest.mark.seeds("CE-15", "CE-F11")
def test_at_commit(elsewhere: Elsewhere) -> None:
    """Together with the write: not before it, not without it, and never after it."""
    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader])
    function()
    with transaction.atomic():
        Reader.objects.filter(id=1).update(name="B")
        assert elsewhere(function) == 1
        Reader.objects.get(id=1).delete()
        transaction.set_rollback(True)
    assert function() == 1
    with transaction.atomic():
        Reader.objects.filter(id=1).update(name="C")
        assert elsewhere(function) == 1
    assert elsewhere(function) == 2


@pytest.mark.seeds("CE-15", "CE-F11")
def test_in_between(elsewhere: Elsewhere) -> None:
    """Whoever hears of a save by a signal asks others for nothing old."""
    from django.db.models.signals import post_save

    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader])
    function()
    seen: list[int] = []

    def hear(**_: object) -> None:
        seen.append(elsewhere(function))

    post_save.connect(hear, sender=Reader)
    try:
        Reader(id=1, name="B").save()
    finally:
        post_save.disconnect(hear, sender=Reader)
    assert seen == [2]


def test_many_rows(configure: Configure) -> None:
    """Past the limit they are not asked for: everything that listens to the model is computed anew."""
    configure(LIMITS={"WRITTEN_ROWS": 2})
    function = known("Reader:99", invalid_models=[Reader])

    def write(count: int) -> None:
        with transaction.atomic():
            for _ in range(count):
                Reader.objects.create()

    assert is_kept(function, lambda: write(2))
    assert not is_kept(function, lambda: write(3))


@pytest.mark.seeds("CE-15", "CE-F9")
def test_model_without_keys() -> None:
    """An error where the function is decorated, and not in somebody's save()."""
    with pytest.raises(TypeError, match=r"invalid_models has shelves\.Fan, which has no cache_key"):
        known("a", invalid_models=[Fan])
    with pytest.raises(TypeError, match=r"invalid_m2m_models has shelves\.Reader, which has no m2m_cache_keys"):
        known("a", invalid_m2m_models=[Reader])


@pytest.mark.seeds("CE-15")
def test_error_in_a_key(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the write goes on, and everything that listens is computed anew."""
    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader])
    monkeypatch.setattr(Reader, "cache_key", property(lambda self: [self.nothing]))

    with caplog.at_level(logging.ERROR, "cacheme"):
        assert not is_kept(function, lambda: Reader.objects.filter(id=1).update(name="B"))
    assert "The keys of <class 'tests.seeds.shelves.models.Reader'> 1 are not known" in caplog.text
    assert Reader.objects.get(id=1).name == "B"


def test_database_error_in_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have ended the transaction, so the COMMIT is none."""

    def fail(**_: object) -> None:
        raise DatabaseError("gone")

    known("Reader:1", invalid_models=[Reader])
    rows_writing.connect(fail)
    try:
        with pytest.raises(DatabaseError, match="gone"):
            Reader.objects.create(id=1)
    finally:
        rows_writing.disconnect(fail)
    assert not Reader.objects.exists()


def test_error_of_a_receiver() -> None:
    """Any other is logged by Django, and the write goes on."""

    def fail(**_: object) -> None:
        raise LookupError

    known("Reader:1", invalid_models=[Reader])
    rows_writing.connect(fail)
    try:
        Reader.objects.create(id=1)
    finally:
        rows_writing.disconnect(fail)
    assert Reader.objects.exists()


@pytest.mark.seeds("CE-12", "CE-15")
def test_switched_off_for_a_while() -> None:
    """A process that reads nothing from the cache still tells of its writes."""
    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader])
    assert function() == 1
    with override_settings(CACHEME={"ENABLE_CACHE": False}):
        Reader.objects.filter(id=1).update(name="B")
    assert function() == 2


@pytest.mark.seeds("CE-7", "CE-15")
def test_with_a_timeout() -> None:
    """Both count."""
    Reader.objects.create(id=1, name="A")
    function = known("Reader:1", invalid_models=[Reader], timeout=60)

    assert not is_kept(function, lambda: Reader.objects.filter(id=1).update(name="B"))


@pytest.mark.seeds("CE-15", "CE-16", "CE-F9")
def test_in_both_lists() -> None:
    """A model may be in both, and both count."""
    Reader.m2m_cache_keys = {}  # type: ignore[attr-defined]
    try:
        Reader.objects.create(id=1, name="A")
        function = known("Reader:1", invalid_models=[Reader], invalid_m2m_models=[Fan])
        assert not is_kept(function, lambda: Reader.objects.filter(id=1).update(name="B"))
    finally:
        del Reader.m2m_cache_keys  # type: ignore[attr-defined]


@pytest.mark.seeds("CE-4", "CE-15")
def test_keys_of_the_result() -> None:
    """As its own test has it: a row that is part of the result drops it, and another one does not."""

    @cacheme(
        key=lambda c: "CACHE:RESULT",
        invalid_keys=lambda c: [f"Book:{pk}" for pk in c.cacheme_result],
        invalid_models=[Book],
    )
    def result(id: int) -> list[int]:  # noqa: A002
        return [id]

    one, two = Book.objects.create(name="b1"), Book.objects.create(name="b2")
    assert result(one.id) == result(two.id) == [one.id]
    Book.objects.filter(id=two.id).update(name="x")
    assert result(two.id) == [one.id]
    one.name = "bn"
    one.save()
    assert result(two.id) == [two.id]


@pytest.mark.seeds("CE-15")
def test_instances_that_are_given() -> None:
    """The result depends on them by itself, whatever keys are named."""

    @cacheme(key=lambda c: "names", invalid_keys=lambda c: "nothing")
    def names(one: Reader, two: Reader) -> list[str]:
        return [one.name, two.name]

    one, two = Reader.objects.create(name="A"), Reader.objects.create(name="B")
    assert names(one, two) == ["A", "B"]
    two.name = "C"
    two.save()
    assert names(one, two) == ["A", "C"]


# invalid_m2m_models

PAIRS: dict[str, Callable[[Book, Reader], object]] = {
    "add": lambda book, reader: book.readers.add(reader),
    "add from the other side": lambda book, reader: reader.books.add(book),
    "set": lambda book, reader: book.readers.set([reader]),
    "through a child": lambda book, reader: book.readers.add(Guest.objects.create(reader_ptr=reader)),
    "from a proxy": lambda book, reader: Loud.objects.get(pk=reader.pk).books.add(book),
}
PARTINGS: dict[str, Callable[[Book, Reader], object]] = {
    "remove": lambda book, reader: book.readers.remove(reader),
    "remove from the other side": lambda book, reader: reader.books.remove(book),
    "set to nothing": lambda book, reader: book.readers.set([]),
    "clear": lambda book, reader: book.readers.clear(),
    "clear from the other side": lambda book, reader: reader.books.clear(),
}


def sides() -> tuple[Callable[[], int], Callable[[], int]]:
    """Functions that depend on either side of the pair."""
    through: Any = Book.readers.through
    return (
        known("Book:1:readers", invalid_m2m_models=[through]),
        known("Reader:1:books", invalid_m2m_models=[through]),
    )


@pytest.mark.seeds("CE-16", "CE-F8")
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in PAIRS.items()])
def test_pairs(write: Callable[[Book, Reader], object]) -> None:
    """Both sides hear of it, from whichever side it comes."""
    book, reader = Book.objects.create(id=1), Reader.objects.create(id=1)
    left, right = sides()
    left()
    right()
    write(book, reader)
    assert (left(), right()) == (2, 2)


@pytest.mark.seeds("CE-16", "CE-F8")
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in PARTINGS.items()])
def test_partings(write: Callable[[Book, Reader], object]) -> None:
    """clear() too, of which the seed made an error."""
    book, reader = Book.objects.create(id=1), Reader.objects.create(id=1)
    book.readers.add(reader)
    left, right = sides()
    left()
    right()
    write(book, reader)
    assert (left(), right()) == (2, 2)


@pytest.mark.seeds("CE-16")
def test_other_pairs() -> None:
    """They leave it."""
    Book.objects.create(id=1)
    Reader.objects.create(id=1)
    other, one = Book.objects.create(id=2), Reader.objects.create(id=2)
    left, right = sides()

    assert is_kept(left, lambda: other.readers.add(one))
    assert is_kept(right, one.books.clear)  # type: ignore[attr-defined]


@pytest.mark.seeds("CE-16", "CE-F8")
def test_pairs_with_themselves() -> None:
    """One model on both sides, with one function."""
    one, two = Reader.objects.create(id=1), Reader.objects.create(id=2)
    follower = known("Reader:1:follows", invalid_m2m_models=[Reader.follows.through])
    followed = known("Reader:2:follows")
    for function in (follower, followed):
        assert not is_kept(function, lambda: one.follows.add(two))
        assert not is_kept(function, one.follows.clear)


@pytest.mark.seeds("CE-16", "CE-F8")
def test_rows_of_pairs() -> None:
    """Saves and deletions of them tell both sides as well."""
    book, reader = Book.objects.create(id=1), Reader.objects.create(id=1)
    for key in ("Book:1:fans", "Reader:1:loves"):
        function = known(key, invalid_m2m_models=[Fan])
        assert not is_kept(function, lambda: book.fans.add(reader)), key
        assert not is_kept(function, lambda: Fan.objects.update(since=Fan.objects.get().since + 1)), key
        assert not is_kept(function, lambda: Fan.objects.get().delete()), key
        assert not is_kept(function, lambda: Fan(book=book, reader=reader).save()), key
        assert not is_kept(function, book.fans.clear), key
        others = {"book": Book.objects.create(), "reader": Reader.objects.create()}
        assert is_kept(function, lambda: Fan.objects.create(**others))  # noqa: B023
        Fan.objects.all().delete()


@pytest.mark.seeds("CE-16")
def test_pairs_without_a_function(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and everything that listens is computed anew."""
    book, reader = Book.objects.create(id=1), Reader.objects.create(id=1)
    left, _ = sides()
    monkeypatch.setattr(Book.readers.through, "m2m_cache_keys", {"Book": lambda ids: []})

    with caplog.at_level(logging.ERROR, "cacheme"):
        assert not is_kept(left, lambda: book.readers.add(reader))
    assert "KeyError: 'Reader'" in caplog.text


# Nodes of rows


class InvalidReaderNode(nodes.ModelInvalidNode):
    id = nodes.Field()

    def key(self) -> str:
        return f"reader:{self.id}"

    class Meta:
        model = Reader


class InvalidReaderBookNode(nodes.ModelInvalidNode):
    reader = nodes.Field()
    book = nodes.Field()

    def key(self) -> str:
        return f"reader:{self.reader}:book:{self.book}"

    class Meta:
        model = Reader.books.through  # type: ignore[attr-defined]
        m2m = True


class ReaderNode(nodes.Node):
    reader = nodes.Field()

    def key(self) -> str:
        return f"reader:{self.reader.id}"

    def invalid_nodes(self) -> Any:
        return [InvalidReaderNode(instance=self.reader), InvalidReaderBookNode(reader=self.reader)]


@pytest.mark.seeds("CE-3", "CE-17", "CE-19", "CE-20")
def test_nodes_of_rows() -> None:
    """The README's."""
    runs = []

    @cacheme(node=lambda c: ReaderNode(reader=c.reader), stale=False)
    def function(reader: Reader) -> int:
        runs.append(1)
        return len(runs)

    reader = Reader.objects.create(name="test")
    assert (function(reader), function(reader)) == (1, 1)
    reader.name += "cc"
    reader.save()
    assert function(reader) == 2
    book = Book.objects.create(name="b1")
    reader.books.add(book)  # type: ignore[attr-defined]
    assert function(reader) == 3
    Book.objects.create(name="b2").readers.add(reader)
    assert function(reader) == 4
    reader.books.clear()  # type: ignore[attr-defined]
    assert function(reader) == 5
    Book.objects.create(name="b3").readers.add(Reader.objects.create())
    assert function(reader) == 5
    assert InvalidReaderNode.objects.invalid(instance=reader) == 1
    assert function(reader) == 6
    assert InvalidReaderNode.objects.invalid(id=reader.id) == 1
    assert InvalidReaderBookNode.objects.invalid(book=book) == 0
    assert function(reader) == 7
    assert InvalidReaderBookNode.objects.invalid(reader=reader) == 1


@pytest.mark.seeds("CE-19")
def test_two_nodes_of_one_model() -> None:
    """There may be several; where the seed had room for one."""

    class Second(InvalidReaderNode):
        def key(self) -> str:
            return f"second:{self.id}"

    assert (str(Second(id=1)), str(InvalidReaderNode(id=1))) == ("second:1", "reader:1")
