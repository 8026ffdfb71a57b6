"""``.cache(*fields)``: which conditions an answer watches, in words, and that it stays true whatever is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db.models import Model, Q
from hypothesis import assume, given
from hypothesis import strategies as st

from everfresh.policies import with_policy
from everfresh.queries.watching import Watch
from tests.library.models import Author, Book, Order, Publisher, Review, Shop
from tests.queries.strategies import Asked, asked, build
from tests.queries.test_soundness import QUICK, THOROUGH, example, is_possible
from tests.queries.world import World, write
from tests.settings import DB

pytestmark = pytest.mark.django_db(transaction=True)


def words(queryset: Any) -> set[str]:
    """The clauses that are no table's epoch, each a line."""
    return {line for line in queryset.explain_cache().clauses if not line.endswith("!}")}


BOOK = "{library_book.author_id=1}"
AUTHOR = "{library_author.id=1}"


@pytest.mark.seeds("CB-3", "CB-4")
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            [],
            {
                "{library_book.(author_id,status)=(1,2)} and {library_book.author_id=1} and {library_book.status=2}",
            },
        ),
        (["author"], {BOOK, AUTHOR}),
        (["author_id"], {BOOK, AUTHOR}),
        (["author__id"], {BOOK, AUTHOR}),
        (["author__pk"], {BOOK, AUTHOR}),
        (["status"], {"{library_book.status=2}"}),
        (
            ["author", "status"],
            {
                "{library_book.(author_id,status)=(1,2)} and {library_book.author_id=1} and {library_book.status=2}",
                AUTHOR,
            },
        ),
        # No condition on it, or none with a tag of its own: the whole condition.
        (
            ["title"],
            {
                "{library_book.(author_id,status)=(1,2)} and {library_book.author_id=1} and {library_book.status=2}",
            },
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_named_fields(fields: list[str], expected: set[str]) -> None:
    """Of the equalities those on the named fields count, and the rows they lead to."""
    assert words(Book.objects.filter(author=1, status=2).cache(*fields)) == expected


@pytest.mark.seeds("CB-4")
def test_a_later_call_replaces_the_fields() -> None:
    """cache() names the fields anew; the timeout stays."""
    books = Book.objects.filter(author=1, status=2).cache("status", timeout=5)

    assert words(books.cache("author")) == {BOOK, AUTHOR}
    assert words(books.cache()) == words(Book.objects.filter(author=1, status=2).cache())
    assert words(books.filter(pages=3)) == {"{library_book.status=2}"}
    assert books.cache("author").explain_cache().timeout == 5


@pytest.mark.seeds("CB-5")
@pytest.mark.skipif(DB == "mariadb", reason="Text has no value tags there.")
@pytest.mark.parametrize(
    ("queryset", "expected"),
    [
        (
            lambda: Book.objects.cache("author").filter(author__name="x", status=2).select_related("author"),
            # No condition of the book's own table is named, and a book with another status cannot change the answer.
            {"{library_book.status=2}", "{library_author.name='x'}"},
        ),
        (
            lambda: Author.objects.cache("books__author").filter(books__author=1, name="x").values("name"),
            {
                (
                    "{library_author#id, library_author#name, library_author+, library_author-}"
                    " and {library_author.name='x'}"
                ),
                "{library_book#author_id, library_book+, library_book-} and {library_book.author_id=1}",
                AUTHOR,
            },
        ),
        (
            lambda: Book.objects.cache("coauthors").filter(coauthors=1, status=2),
            {
                "{library_book.status=2}",
                (
                    "{library_book_coauthors#author_id, library_book_coauthors#book_id, library_book_coauthors+,"
                    " library_book_coauthors-} and {library_book_coauthors.author_id=1}"
                ),
                AUTHOR,
            },
        ),
        (
            lambda: Publisher.objects.cache("authors").filter(authors=1, country="NL"),
            {
                "{library_publisher.country='NL'}",
                (
                    "{library_author#id, library_author#publisher_id, library_author+, library_author-}"
                    " and {library_author.id=1}"
                ),
            },
        ),
        (
            lambda: Order.objects.cache("shop").filter(shop=3),
            # A row that inherits a table is a row of each.
            {"{library_order.shop_id=3}", "{library_shop.place_ptr_id=3}", "{library_place.id=3}"},
        ),
        (
            lambda: Shop.objects.cache("city").filter(city="x", pk=3),
            {"{library_place.city='x'}", "{library_shop.place_ptr_id=3}"},
        ),
        (
            lambda: Book.objects.cache("author").filter(author__in=[1, 2], status=2),
            {
                "{library_book.author_id=1, library_book.author_id=2}",
                "{library_author.id=1, library_author.id=2}",
            },
        ),
        (
            lambda: Book.objects.cache("author").filter(Q(author=1, pages=2) | Q(status=2, pages=3)),
            {BOOK, AUTHOR, "{library_book.status=2}"},
        ),
        (lambda: Book.objects.cache("author").exclude(author=1), {"{library_book*}"}),
        (
            lambda: Review.objects.cache("content_type").filter(content_type=1, object_id=2),
            {"{library_review.content_type_id=1}", "{django_content_type.id=1}"},
        ),
        (lambda: Author.objects.cache("mentor").filter(mentor=1), {"{library_author.mentor_id=1}", AUTHOR}),
        (lambda: Author.objects.cache("mentor").filter(mentor=None), {"{library_author.mentor_id=None}"}),
    ],
)
def test_spans(queryset: Any, expected: set[str]) -> None:
    """Fields of related models, and fields that are relations of every kind."""
    assert words(queryset()) == expected


def test_a_related_table_that_is_excluded_is_not_watched(configure: Any) -> None:
    """Its writes are not looked at, and the answer does not read it."""
    configure(EXCLUDE=["library.Author"])

    assert words(Book.objects.filter(author=1).cache("author")) == {BOOK}


@pytest.mark.parametrize("path", ["authr", "author__nme", "title__x"])
def test_an_unknown_field_is_an_error(path: str) -> None:
    """At once, where the mistake is, and with the fields there are."""
    with pytest.raises(FieldError, match=r"Choices are: .*id|not permitted"):
        Book.objects.cache(path)


def test_any_of() -> None:
    """As cachebot documents it: each equality by itself, and the row that it leads to."""

    def any_of(queryset: Any, *fields: str) -> set[str]:
        return words(with_policy(queryset.cache(), watch=Watch(fields, any_of=True)))

    books = Book.objects.filter(author=1, status=2)
    assert any_of(books) == {BOOK, AUTHOR, "{library_book.status=2}"}
    assert any_of(books, "author") == {BOOK, AUTHOR}
    assert any_of(books.values("title")) == {BOOK, AUTHOR, "{library_book.status=2}"}
    assert any_of(books.filter(title="x").values("title").exclude(pages=2)) == any_of(books)
    assert any_of(Book.objects.filter(pages=1).values("title")) == {"{library_book*}"}


# Soundness


def paths(model: type[Model], depth: int = 1) -> list[str]:
    """What ``.cache()`` takes for *model*."""
    found = []
    for field in model._meta.get_fields():
        if field.is_relation and field.related_model is None:
            continue
        found.append(field.name)
        if depth and field.is_relation:
            found += [f"{field.name}__{beyond}" for beyond in paths(field.related_model, depth - 1)]
    return found


def watching(read: Asked, data: st.DataObject) -> Asked:
    """The same read, naming some fields."""
    names = st.lists(st.sampled_from(paths(build(read.code).model)), max_size=3)
    watch = Watch(tuple(data.draw(names)), any_of=data.draw(st.booleans()))
    return replace(read, watch=watch, rows=data.draw(st.booleans()))


@pytest.fixture
def world(transactional_db: None) -> World:
    """The rows all examples start from."""
    return World()


def check(world: World, reads: list[Asked], writes: list[str], inside: bool, data: Any) -> None:
    """Ask, write, ask again."""
    world.reset()
    watched = [watching(read, data) for read in reads if is_possible(read)]
    assume(watched)
    example(world, watched, writes, inside=inside)


@pytest.mark.slow
@QUICK
@given(
    reads=st.lists(asked(), min_size=3, max_size=3),
    writes=st.lists(write(), min_size=1, max_size=4),
    inside=st.sampled_from([False, False, False, True]),
    data=st.data(),
)
def test_a_watched_answer_is_the_true_one_after_any_writes(
    world: World, reads: list[Asked], writes: list[str], inside: bool, data: Any
) -> None:
    """Cached == uncached, whatever fields are named."""
    check(world, reads, writes, inside, data)


@pytest.mark.prove
@pytest.mark.timeout(7200)
@THOROUGH
@given(
    reads=st.lists(asked(), min_size=3, max_size=6),
    writes=st.lists(write(), min_size=1, max_size=6),
    inside=st.sampled_from([False, False, False, True]),
    data=st.data(),
)
def test_a_watched_answer_is_the_true_one_after_any_writes_thoroughly(
    world: World, reads: list[Asked], writes: list[str], inside: bool, data: Any
) -> None:
    """The same, many more times."""
    check(world, reads, writes, inside, data)
