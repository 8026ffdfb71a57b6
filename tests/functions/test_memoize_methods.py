"""Memoized methods: of models, of other classes, of classes themselves, and of none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from everfresh import NotCached, memoize
from everfresh.functions import Memoized
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)


class Shelf:
    """No model, and nothing that has a name."""

    def __init__(self, author_id: int) -> None:
        self.author_id = author_id
        self.runs = 0

    @memoize(key=lambda call: f"shelf:{call.self.author_id}:{call.shout}")
    def titles(self, shout: bool = False) -> list[str]:
        self.runs += 1
        found = [book.title for book in Book.objects.filter(author_id=self.author_id)]
        return [title.upper() for title in found] if shout else found

    @memoize
    def nameless(self) -> int:
        return 1

    @property
    @memoize(key=lambda call: f"count:{call.self.author_id}")
    def count(self) -> int:
        return len(self.titles())

    @memoize
    @classmethod
    def outer(cls, number: int) -> tuple[str, int]:
        Shelf.seen.append(number)
        return cls.__name__, number

    @classmethod
    @memoize
    def inner(cls, number: int) -> tuple[str, int]:
        Shelf.seen.append(number)
        return cls.__name__, number

    @memoize
    @staticmethod
    def static_outer(number: int) -> int:
        Shelf.seen.append(number)
        return number

    @staticmethod
    @memoize
    def static_inner(number: int) -> int:
        Shelf.seen.append(number)
        return number

    seen: list[int] = []


class TallShelf(Shelf):
    """Inherits them."""


@dataclass(frozen=True)
class Point:
    """Has a name in keys."""

    x: int

    @memoize
    def double(self) -> int:
        return self.x * 2


def full_name(self: Author, separator: str = " ") -> str:
    """A method of a model."""
    return f"{self.name}{separator}{self.books.count()}"


@pytest.fixture
def author(monkeypatch: pytest.MonkeyPatch) -> Author:
    """One author with one book, read from the database; and the class has a method more."""
    monkeypatch.setattr(Author, "full_name", memoize(full_name), raising=False)
    Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author_id=1, title="one")
    return Author.objects.get(id=1)


@pytest.mark.seeds("CE-1")
def test_method(author: Author) -> None:
    """``call.self`` is the instance; what the face can do, it can do for the instance."""
    shelf = Shelf(1)
    assert [shelf.titles(), shelf.titles(False), shelf.titles(shout=True), Shelf(1).titles()] == [
        ["one"],
        ["one"],
        ["ONE"],
        ["one"],
    ]
    assert shelf.runs == 2
    assert shelf.titles.cache_key(True) == "shelf:1:True"
    assert shelf.titles.peek() == Shelf.titles.peek(shelf) == ["one"]
    assert shelf.titles.many([(), (True,)]) == [["one"], ["ONE"]]
    shelf.titles.invalidate()
    with pytest.raises(NotCached):
        shelf.titles.peek()
    assert shelf.titles.refresh() == ["one"]
    assert Shelf(2).titles() == []
    assert shelf.count == 1


def test_self_without_a_name() -> None:
    """The error says which argument it is."""
    with pytest.raises(
        TypeError, match=r"Shelf\.nameless\(\) cannot be cached by its argument 'self': .*\.Shelf, whic"
    ):
        Shelf(1).nameless()
    assert Point(2).double() == Point(2).double() == 4
    assert Point(2).double.cache_key().endswith(".Point.double(self=" + Point(2).double.cache_key().rpartition("=")[2])


def test_method_of_a_model(author: Any) -> None:
    """By the row: what it reads and the row itself end the result; what is in memory is the caller's."""
    assert author.full_name() == author.full_name(" ") == "A 1"
    assert author.full_name("-") == "A-1"
    Book.objects.create(id=2, author_id=1, title="two")
    assert author.full_name() == "A 2"
    Author.objects.filter(id=1).update(name="B")
    fresh: Any = Author.objects.get(id=1)
    assert fresh.full_name() == "B 2"
    fresh.name = "C"
    fresh.full_name.invalidate()
    assert fresh.full_name() == "C 2"
    author = Author.objects.get(id=1)
    assert author.full_name() == "B 2"
    assert Author.full_name.peek(author) == "B 2"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["outer", "inner", "static_outer", "static_inner"])
def test_order_of_decorators(name: str) -> None:
    """Class methods and static methods work in either order, by the class and by an instance."""
    Shelf.seen.clear()
    results = [getattr(owner, name)(5) for owner in (Shelf, Shelf(1), TallShelf, TallShelf(1), Shelf)]
    if name.startswith("static"):
        assert results == [5] * 5
        assert Shelf.seen == [5]
    else:
        assert results == [("Shelf", 5), ("Shelf", 5), ("TallShelf", 5), ("TallShelf", 5), ("Shelf", 5)]
        assert Shelf.seen == [5, 5]


@pytest.mark.parametrize("name", ["outer", "static_outer", "static_inner"])
def test_faces_of_class_methods(name: str) -> None:
    """What the face can do, where it is the outermost decorator."""
    method = getattr(Shelf, name)
    assert isinstance(method, Memoized)
    result = method(7)
    assert method.peek(7) == result
    method.invalidate(7)
    with pytest.raises(NotCached):
        method.peek(7)
    assert method.refresh(7) == result


def test_result_of_an_inherited_method() -> None:
    """Is that of the function, whatever class it is asked by."""
    assert TallShelf(1).titles is not Shelf(1).titles
    assert TallShelf.static_outer(1) == 1
    assert TallShelf.static_outer.invalidate_all() == 1
