"""What a computation is given: its name in keys, and whether it is what the database holds."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import django
import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count, F, Prefetch, Value
from django.http import QueryDict
from django.utils import translation
from django.utils.functional import SimpleLazyObject, cached_property, lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from pytest_django import DjangoAssertNumQueries

from everfresh.exceptions import Unencodable
from everfresh.given import as_given, canonical, note_given
from everfresh.keys import encode
from everfresh.recording import Recording, recording
from tests.library.models import (
    Author,
    Book,
    Everything,
    Node,
    Order,
    OrderLine,
    Place,
    Profile,
    Publisher,
    Review,
    Shop,
    SignedBook,
    Tag,
    Tagging,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: int
    y: object = 0


class Nearer(Point):
    """No dataclass of its own: nobody knows what it holds."""


class Pair(NamedTuple):
    a: int
    b: int


class Guest(AnonymousUser):
    pass


@pytest.fixture
def author() -> Author:
    """As it is in the database, with one book, read there."""
    Author.objects.create(id=1, name="A", email="a@example.org", publisher=Publisher.objects.create(id=1, name="P"))
    Author.objects.create(id=2, name="B")
    book = Book.objects.create(id=1, author_id=1, title="one", pages=10)
    Tagging.objects.create(book=book, tag=Tag.objects.create(id=1, name="t"))
    return Author.objects.get(id=1)


def name(value: object) -> bytes:
    """As it comes into a key."""
    return encode(canonical(value))


# Names

SAME: list[tuple[Callable[[], object], Callable[[], object]]] = [
    (lambda: {3, 1, 2}, lambda: {2, 3, 1}),
    (lambda: gettext_lazy("a"), lambda: "a"),
    (lazy(lambda: 3, int), lambda: 3),
    (lambda: SimpleLazyObject(lambda: [1]), lambda: [1]),
    (lambda: [SimpleLazyObject(lambda: Author.objects.get(id=1))], lambda: [Author.objects.get(id=1)]),
    (lambda: Point(1, [2]), lambda: Point(1, [2])),
    (lambda: Author.objects, Author.objects.all),
    (lambda: Author.objects.get(id=1).books, lambda: Author.objects.get(id=1).books.all()),  # noqa: PLW0108
    (lambda: Author.objects.filter(id=1), lambda: Author.objects.filter(id=1)),
    (lambda: Author.objects.select_related("publisher").get(id=1), lambda: Author.objects.only("id").get(id=1)),
    (AnonymousUser, AnonymousUser),
    (lambda: QueryDict("a=1&a=2"), lambda: QueryDict("a=1&a=2")),
]


@pytest.mark.parametrize("at", range(len(SAME)))
def test_one_name(at: int, author: Author) -> None:
    """What a computation cannot, or is not to, tell apart has one name."""
    one, other = SAME[at]
    assert name(one()) == name(other())


def test_an_evaluated_queryset_has_the_name_of_its_query(author: Author) -> None:
    """For the same query may have another answer tomorrow."""
    asked, unasked = Author.objects.filter(id=1), Author.objects.filter(id=1)
    list(asked)

    assert name(asked) == name(unasked)


DIFFERENT: list[Callable[[], object]] = [
    *(lambda value=value: value for value in (1, True, 1.0, "1", Decimal(1), Decimal("1.0"), b"1", None, "", 0, False)),
    *(lambda value=value: value for value in ([1], (1,), {1}, frozenset({1}), {1: 1}, [[1]], [], (), {}, set())),
    *(lambda value=value: value for value in ([1, 2], [2, 1], [12], ["1, 2"], {"a": 1}, {"a": True}, {"a": {}})),
    *(lambda value=value: value for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [{"b": 2, "a": 1}])),
    lambda: OrderedDict(a=1, b=2),
    lambda: OrderedDict(b=2, a=1),
    lambda: mark_safe("1"),
    lambda: ("safe", "1"),
    lambda: ("list", 1),
    lambda: ("tuple", 1),
    lambda: ("row", "library.Author", 1),
    lambda: Author.objects.annotate(n=Count("books")).get(id=1),
    lambda: ("safe", "1"),
    lambda: OrderedDict(a=1),
    lambda: Colour.RED,
    lambda: Colour.BLUE,
    lambda: Colour,
    lambda: int,
    lambda: Author,
    lambda: Point(1),
    lambda: Point(1, 1),
    lambda: Point(1, "1"),
    lambda: Pair(1, 2),
    lambda: dt.date(2000, 1, 1),
    lambda: dt.datetime(2000, 1, 1),
    lambda: dt.datetime(2000, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    lambda: dt.time(1),
    lambda: dt.timedelta(1),
    lambda: uuid.UUID(int=1),
    AnonymousUser,
    Guest,
    lambda: QueryDict("a=1&a=2"),
    lambda: QueryDict("a=2"),
    lambda: Author.objects.get(id=1),
    lambda: Author.objects.get(id=2),
    lambda: Publisher.objects.get(id=1),
    lambda: Book.objects.get(id=1),
    lambda: SignedBook.objects.get(id=1),
    Author.objects.all,
    lambda: Author.objects.filter(id=1),
    lambda: Author.objects.filter(id="2"),
    lambda: Author.objects.filter(id=1).order_by("name"),
    lambda: Author.objects.filter(id=1)[:1],
    lambda: Author.objects.filter(id=1).using("other"),
    lambda: Author.objects.filter(id=1).values(),
    lambda: Author.objects.filter(id=1).values("id"),
    lambda: Author.objects.filter(id=1).values_list("id"),
    lambda: Author.objects.filter(id=1).values_list("id", flat=True),
    lambda: Author.objects.filter(id=1).values_list("id", named=True),
    lambda: Author.objects.filter(id=1).select_related("publisher"),
    lambda: Author.objects.filter(id=1).prefetch_related("books"),
    lambda: Author.objects.filter(id=1).prefetch_related(Prefetch("books")),
    lambda: Author.objects.filter(id=1).prefetch_related(Prefetch("books", to_attr="read")),
    lambda: Author.objects.filter(id=1).prefetch_related(Prefetch("books", Book.objects.filter(pages=1))),
    lambda: Author.objects.filter(id=1).clean(),
    lambda: Author.objects.filter(id=1).cache(expire_on=["create"]),
    lambda: Book.objects.filter(author_id=1),
    lambda: Author.objects.get(id=1).books,
]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_different_names(author: Author) -> None:
    """Everything else has a name of its own: no two of these share one."""
    names: dict[bytes, object] = {}
    for make in DIFFERENT:
        value = make()
        assert names.setdefault(name(value), value) is value


def test_a_copy_in_another_database_is_another_row(author: Author) -> None:
    """And an instance that says nothing of its database is of the default one."""
    elsewhere, nowhere = Author.objects.get(id=1), Author.objects.get(id=1)
    elsewhere._state.db, nowhere._state.db = "other", None

    assert name(elsewhere) != name(author) == name(nowhere)


def test_a_primary_key_has_one_name(author: Author) -> None:
    """Whatever was assigned in memory; of a composite key, all parts."""
    loose = Author.objects.get(id=1)
    loose.id = "1"  # type: ignore[assignment]
    order = Order.objects.create(id=1)
    lines = [OrderLine.objects.create(order=order, position=position) for position in (1, 2)]

    assert name(loose) == name(author)
    assert name(lines[0]) != name(lines[1])
    assert name(lines[0]) == name(OrderLine.objects.get(pk=(1, 1)))


def test_a_lazy_text_is_that_of_the_language_in_force() -> None:
    """Two languages, two keys."""
    text = gettext_lazy("Yes")
    with translation.override("nl"):
        assert name(text) == name("Ja")
    assert name(text) == name("Yes")


LOCAL = namedtuple("LOCAL", "a")  # noqa: PYI024
LOCAL.__qualname__ = "somewhere.else"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(object, "builtins.object", id="object"),
        pytest.param(lambda: [{"a": object()}], "builtins.object", id="deep"),
        pytest.param(lambda: test_one_name, "builtins.function", id="function"),
        pytest.param(lambda: (each for each in ()), "builtins.generator", id="generator"),
        pytest.param(lambda: Nearer(1), "tests.functions.test_given.Nearer", id="no dataclass of its own"),
        pytest.param(lambda: LOCAL(1), "somewhere.else", id="namedtuple that cannot be imported"),
        pytest.param(lambda: type("Local", (), {}), "Local", id="class that cannot be imported"),
        pytest.param(lambda: type("Words", (str,), {})("a"), "Words", id="a subclass of str"),
        pytest.param(lambda: Author(name="x"), "an unsaved library.Author", id="unsaved"),
        pytest.param(Node, "an unsaved library.Node", id="unsaved, with a key"),
        pytest.param(lambda: OrderLine(order_id=1), "an unsaved library.OrderLine", id="unsaved, half a key"),
        pytest.param(lambda: Author.objects.annotate(n=Value(object())), "library.Author", id="queryset"),
    ],
)
def test_no_name(make: Callable[[], object], words: str) -> None:
    """What has no name that holds in every process is refused, and called by its own."""
    with pytest.raises(Unencodable, match=words.replace(".", r"\.")):
        canonical(make())


def test_what_holds_itself_has_no_name() -> None:
    """And asking for one ends."""
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(Unencodable, match="nested more than 64 deep"):
        canonical(circle)


# Rows


@contextmanager
def noted(*values: object) -> Iterator[Recording]:
    """A recording in which *values* were noted."""
    with recording() as recorded:
        note_given(values)
        yield recorded


def is_as_stored(*values: object) -> bool:
    """Are they what the database holds, as far as anybody can tell?"""
    with noted(*values) as recorded:
        return not recorded.moved and not recorded.untracked


def test_nothing_given_asks_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Neither the database nor the cache; and outside of a recording nothing is looked at."""
    with django_assert_num_queries(0):
        with noted(1, "a", [None, {"a": (b"", 2.5)}], Author.objects.all(), object()) as recorded:
            assert not recorded.clauses
        note_given([Author(id=1)])


def test_a_row_is_asked_for_and_depended_on(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Once: it comes from the cache after that."""
    with django_assert_num_queries(1), noted(author) as recorded:
        assert recorded.clauses
        assert not recorded.moved
    with django_assert_num_queries(0), noted(author, [author], {author: author}) as again:
        assert again.clauses == recorded.clauses


def test_rows_of_one_model_are_asked_for_together(
    author: Author, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One query for each model, and one for each step away from what was given."""
    Book.objects.bulk_create([Book(id=at, author_id=at % 2 + 1, title=str(at)) for at in range(2, 10)])
    books = list(Book.objects.select_related("author__publisher"))
    with django_assert_num_queries(3):
        assert is_as_stored(*books)


CHANGES: list[Callable[[Author], Any]] = [
    lambda author: setattr(author, "name", "new"),
    lambda author: setattr(author, "name", mark_safe("A")),
    lambda author: setattr(author, "active", 1),
    lambda author: setattr(author, "publisher_id", "1"),
    lambda author: setattr(author, "name", F("name")),
    lambda author: setattr(author, "email", None),
    lambda author: setattr(author, "id", 2),
    lambda author: setattr(author, "id", 77),
    lambda author: setattr(author, "id", None),
    lambda author: Author.objects.filter(id=1).update(name="new"),
    lambda author: Author.objects.filter(id=1).delete(),
    lambda author: setattr(author, "publisher", Publisher.objects.create(id=7, name="Q")),
    lambda author: setattr(author.publisher, "name", "new"),
    lambda author: setattr(author.publisher, "id", 5),
    lambda author: (author.publisher, Publisher.objects.update(name="new")),
    lambda author: (author.publisher, setattr(author, "publisher_id", None)),
    lambda author: author._state.fields_cache.update(publisher=None),
    lambda author: setattr(author, "publisher", Publisher(name="unsaved")),
]


@pytest.mark.parametrize("at", range(len(CHANGES)))
@pytest.mark.parametrize(
    "wrap", [lambda author: author, lambda author: [{"a": (Point(1, author),)}]], ids=["itself", "in containers"]
)
def test_what_differs_from_its_row(at: int, wrap: Callable[[Author], object], author: Author) -> None:
    """Changed in memory or by somebody else, in itself or in what is loaded with it: of no use to others."""
    assert is_as_stored(wrap(author))
    CHANGES[at](author)
    with noted(wrap(author)) as recorded:
        assert recorded.moved


def test_an_unsaved_instance_is_no_row() -> None:
    """A key may leave it out, and the result is still of what is in memory."""
    with noted(Author(name="x")) as recorded:
        assert recorded.moved


def test_deferred_fields_are_not_compared(author: Author) -> None:
    """They are asked for when they are wanted, and followed then."""
    partly = Author.objects.only("name").get(id=1)
    Author.objects.filter(id=1).update(bio="new")
    assert is_as_stored(partly)

    Author.objects.filter(id=1).update(name="new")
    assert not is_as_stored(partly)


def test_every_kind_of_column(author: Author, db_kind: str) -> None:
    """What was read is equal to what is read, whatever class its values have."""
    Everything.objects.create(
        id=1,
        binary=b"x",
        date=dt.date(2000, 1, 1),
        moment=dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        decimal=Decimal("1.5"),
        duration=dt.timedelta(1),
        float=1.5,
        ip="::1",
        json={"a": [1, None]},
        time=dt.time(1),
        uuid=uuid.UUID(int=1),
        shouted="a",
    )
    assert is_as_stored(Everything.objects.get(id=1), *Place.objects.all())
    Shop.objects.create(id=1, name="S")
    order = Order.objects.create(id=1, shop_id=1)
    OrderLine.objects.create(order=order, position=1)

    assert is_as_stored(
        Shop.objects.get(id=1),
        SignedBook.objects.get(id=1),
        OrderLine.objects.select_related("order__shop").get(pk=(1, 1)),
        Shop.objects.get(id=1).place_ptr,
        Place.objects.select_related("shop").get(id=1),
    )


def test_one_to_one_from_the_other_side(author: Author) -> None:
    """Also that there is none, which is remembered as well."""
    without = Author.objects.select_related("profile").get(id=1)
    assert is_as_stored(without)
    Profile.objects.create(author_id=1, motto="m")
    assert not is_as_stored(without)

    having = Author.objects.select_related("profile").get(id=1)
    assert is_as_stored(having)
    Profile.objects.update(motto="n")
    assert not is_as_stored(having)
    Profile.objects.all().delete()
    assert not is_as_stored(having)


def test_generic_relation(author: Author) -> None:
    """What a generic foreign key has loaded is compared with what it leads to."""
    book = Book.objects.get(id=1)
    Review.objects.create(id=1, subject=book)
    review = Review.objects.prefetch_related("subject").get(id=1)
    assert is_as_stored(review)
    review.object_id = 7
    assert not is_as_stored(review)

    review = Review.objects.prefetch_related("subject").get(id=1)
    assert isinstance(review.subject, Book)
    assert ContentType.objects.get_for_model(Book)
    Book.objects.filter(id=1).update(title="new")
    assert not is_as_stored(review)


PREFETCHED: list[tuple[str, Callable[[], Any]]] = [
    ("books", lambda: Book.objects.create(id=7, author_id=1, title="two")),
    ("books", lambda: Book.objects.filter(id=1).update(title="new")),
    ("books", lambda: Book.objects.filter(id=1).delete()),
    ("books__tags", lambda: Tag.objects.update(name="new")),
    ("books__tags", lambda: Tagging.objects.all().delete()),
    ("books__tags", lambda: Tagging.objects.create(book_id=1, tag=Tag.objects.create(id=7, name="u"), id=7)),
    ("books__coauthors", lambda: Book.objects.get(id=1).coauthors.add(2)),
    ("books__reviews", lambda: Review.objects.create(subject=Book.objects.get(id=1))),
    ("pupils", lambda: Author.objects.filter(id=2).update(mentor_id=1)),
    ("cowritten", lambda: Book.objects.get(id=1).coauthors.add(1)),
    ("publisher__authors", lambda: Author.objects.filter(id=2).update(publisher_id=1)),
]


@pytest.mark.parametrize("at", range(len(PREFETCHED)))
def test_prefetched_lists(at: int, author: Author) -> None:
    """They are asked for again: which rows, in which order, and each as it is."""
    path, change = PREFETCHED[at]
    loaded = Author.objects.prefetch_related(path).get(id=1)
    assert is_as_stored(loaded)
    with noted(loaded) as recorded:
        assert recorded.clauses
    change()
    assert not is_as_stored(loaded)


def test_a_prefetched_list_of_its_own_query(author: Author) -> None:
    """What ``books.all()`` gives is named by the author alone, so some of the books do not do for all."""
    Book.objects.create(id=2, author_id=1, title="two", pages=20)
    some = Author.objects.prefetch_related(Prefetch("books", Book.objects.filter(pages=20))).get(id=1)
    every = Author.objects.prefetch_related(Prefetch("books", Book.objects.filter(pages__gt=1))).get(id=1)

    assert not is_as_stored(some)
    assert is_as_stored(every)


def test_what_is_no_column_is_untracked(author: Author) -> None:
    """An annotation or an attribute from elsewhere came from reads that nobody followed."""
    counted = Author.objects.annotate(n=Count("books")).get(id=1)
    with noted(counted) as recorded:
        assert recorded.untracked == ["'n', which a given library.Author holds and its row does not"]
        assert not recorded.moved
    listed = Author.objects.prefetch_related(Prefetch("books", to_attr="read")).get(id=1)
    with noted(listed) as recorded:
        assert recorded.untracked == ["'read', which a given library.Author holds and its row does not"]


@pytest.mark.parametrize("kind", [functools.cached_property, cached_property], ids=["functools", "Django"])
def test_cached_properties(kind: Any, author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are computed again, by the row: what they read is followed."""

    def size(self: Author) -> int:
        return self.books.count() if self.books.count() < 3 else int("fails")

    prop = kind(size)
    prop.__set_name__(Author, "size")
    monkeypatch.setattr(Author, "size", prop, raising=False)
    assert author.size == 1  # type: ignore[attr-defined]
    assert is_as_stored(author)
    for number in (2, 3):
        Book.objects.create(id=number, author_id=1, title="another")
        with noted(author) as recorded:
            assert recorded.untracked == ["'size', which a given library.Author holds and its row does not"]


def test_circles_end(author: Author) -> None:
    """In containers and in what is loaded."""
    circle: list[object] = [author]
    circle.append(circle)
    book = author.books.get()
    author.mentor = author
    assert book.author is author
    assert not is_as_stored(circle)

    Author.objects.filter(id=1).update(mentor_id=1)
    loaded = Author.objects.prefetch_related("books__author__books").get(id=1)
    assert is_as_stored(circle, loaded, book)


def test_a_lazy_object_is_what_it_stands_for(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """One that was not asked yet will ask inside."""
    lazy_author = SimpleLazyObject(lambda: Author.objects.get(id=1))
    with django_assert_num_queries(0):
        assert is_as_stored(lazy_author)
    assert lazy_author.name == "A"
    Author.objects.filter(id=1).update(name="new")
    assert not is_as_stored(lazy_author)


def test_a_related_manager_brings_its_instance(author: Author) -> None:
    """With what was prefetched for it; the rows that a queryset knows already count too."""
    assert is_as_stored(author.books, author.books.all())
    author.name = "new"
    assert not is_as_stored(author.books)
    assert not is_as_stored(author.books.all())


def test_evaluated_querysets(author: Author) -> None:
    """In a container they are asked again, and compared: annotations too, for their query says what these are."""
    rows = Author.objects.annotate(n=Count("books")).order_by("id")
    values = Author.objects.values("id", "name")
    lists = Author.objects.values_list("id", "name", named=True)
    for each in (rows, values, lists):
        list(each)
        assert is_as_stored([each])
    Book.objects.create(id=7, author_id=2, title="two")
    with noted([rows]) as recorded:
        assert recorded.untracked
    Author.objects.filter(id=1).update(name="new")
    for each in (rows, values, lists):
        with noted([each]) as recorded:
            assert recorded.moved
    Author.objects.create(id=7, name="more")
    with noted([rows]) as recorded:
        assert recorded.moved


def test_an_evaluated_queryset_is_computed_with_anew(author: Author) -> None:
    """Anything else is given on as it is."""
    rows = Author.objects.all()
    assert as_given(rows) is rows
    assert len(rows) == 2
    Author.objects.create(id=7, name="more")
    again = as_given(rows)

    assert len(again) == 3
    assert as_given(author) is author
    assert as_given(lazy_author := SimpleLazyObject(lambda: author)) is lazy_author


@pytest.mark.skipif(django.VERSION < (6, 1), reason="fetch modes are of Django 6.1")
def test_fetch_mode_is_part_of_the_name() -> None:
    """For it decides what may be asked for, and what raises."""
    from django.db.models import FETCH_RAISE

    assert name(Author.objects.fetch_mode(FETCH_RAISE)) != name(Author.objects.all())
