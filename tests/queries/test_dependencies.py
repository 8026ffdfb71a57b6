# ruff: noqa: E501  (the lines of a table)
"""From a query to its clauses: one line for each rule of the design (section 3), in words."""

from __future__ import annotations

import pytest

from everfresh.queries.plan import plan
from tests.queries.strategies import build
from tests.settings import DB

pytestmark = pytest.mark.django_db


def words(code: str, form: str = "rows") -> list[str]:
    """The clauses, each a line: all groups in braces must be touched."""
    return plan(build(code).query, "default", form, None).wanted.clauses.words()


# ``T!``: a write of unknown rows, ``T*``: any write, ``T+``: insert, ``T-``: delete, ``T#c``: a change of column c.
CASES: list[tuple[str, str, list[str]]] = [
    (
        "Book.objects.all()",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.all()",
        "count",
        ["{library_book!}", "{library_book+, library_book-}"],
    ),
    (
        "Book.objects.filter(pages=1)",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(author=1)",
        "rows",
        ["{library_book!}", "{library_book.author_id=1}"],
    ),
    (
        "Book.objects.filter(author=1)",
        "count",
        ["{library_book!}", "{library_book#author_id, library_book+, library_book-} and {library_book.author_id=1}"],
    ),
    (
        "Tag.objects.filter(name='a')",
        "rows",
        ["{library_tag!}", "{library_tag.name='a'}"],
    ),
    (
        "Book.objects.filter(author=1, status=2)",
        "rows",
        [
            "{library_book!}",
            "{library_book.(author_id,status)=(1,2)} and {library_book.author_id=1} and {library_book.status=2}",
        ],
    ),
    (
        "Book.objects.filter(Q(author=1) | Q(status=2))",
        "rows",
        ["{library_book!}", "{library_book.author_id=1}", "{library_book.status=2}"],
    ),
    (
        "Book.objects.filter(Q(author=1) | Q(pages=2))",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(status__in=[1, 2])",
        "rows",
        ["{library_book!}", "{library_book.status=1, library_book.status=2}"],
    ),
    (
        "Book.objects.filter(author__in=[1, 2], status=1)",
        "rows",
        [
            "{library_book!}",
            "{library_book.(author_id,status)=(1,1), library_book.(author_id,status)=(2,1)} and {library_book.author_id=1, library_book.author_id=2} and {library_book.status=1}",
        ],
    ),
    (
        "Book.objects.exclude(status=1)",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(Q(status=1) ^ Q(author=2))",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(status__gt=1)",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(status=F('pages'))",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(published__isnull=True)",
        "rows",
        ["{library_book!}", "{library_book.published=None}"],
    ),
    (
        "Book.objects.filter(published__isnull=False)",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(price=Decimal('1'))",
        "rows",
        ["{library_book!}", "{library_book.price=Decimal('1.00')}"],
    ),
    (
        "Book.objects.filter(price=Decimal('1.005'))",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(price=Decimal('-0'))",
        "rows",
        ["{library_book!}", "{library_book.price=Decimal('0.00')}"],
    ),
    (
        "Book.objects.filter(published__year=2020)",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Book.objects.filter(author__name='a')",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-} and {library_author.name='a'}",
            "{library_book*}",
        ],
    ),
    (
        "Book.objects.filter(author__name='a', status=1)",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-} and {library_author.name='a'}",
            "{library_book!}",
            "{library_book.status=1}",
        ],
    ),
    (
        "Author.objects.filter(books__isnull=True)",
        "rows",
        [
            "{library_author*}",
            "{library_book!}",
            "{library_book#author_id, library_book#id, library_book+, library_book-}",
        ],
    ),
    (
        "Author.objects.exclude(books__status=1)",
        "rows",
        [
            "{library_author*}",
            "{library_book!}",
            "{library_book#author_id, library_book#status, library_book+, library_book-} and {library_book.status=1}",
        ],
    ),
    (
        "Author.objects.filter(Q(books__status=1) | Q(email='a'))",
        "rows",
        [
            "{library_author*}",
            "{library_book!}",
            "{library_book#author_id, library_book#status, library_book+, library_book-}",
        ],
    ),
    (
        "Author.objects.annotate(r=FilteredRelation('books', condition=Q(books__status=1))).filter(r__author=1).values('name')",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-}",
            "{library_book!}",
            "{library_book#author_id, library_book#status, library_book+, library_book-} and {library_book.author_id=1}",
        ],
    ),
    (
        "Book.objects.filter(author=1).values('title')",
        "rows",
        [
            "{library_book!}",
            "{library_book#author_id, library_book#id, library_book#title, library_book+, library_book-} and {library_book.author_id=1}",
        ],
    ),
    (
        "Book.objects.filter(author=1).values('title')",
        "count",
        ["{library_book!}", "{library_book#author_id, library_book+, library_book-} and {library_book.author_id=1}"],
    ),
    (
        "Book.objects.values('title').filter(status=1)",
        "rows",
        [
            "{library_book!}",
            "{library_book#id, library_book#status, library_book#title, library_book+, library_book-} and {library_book.status=1}",
        ],
    ),
    (
        "Book.objects.select_related('author').filter(pk=1)",
        "rows",
        ["{library_author*}", "{library_book!}", "{library_book.id=1}"],
    ),
    (
        "Book.objects.order_by('author__name').filter(pk=1)",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-}",
            "{library_book!}",
            "{library_book.id=1}",
        ],
    ),
    (
        "Book.objects.filter(Exists(Author.objects.filter(pk=OuterRef('author'), name='a'))).values('pk')",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-} and {library_author.name='a'}",
            "{library_book!}",
            "{library_book#author_id, library_book#id, library_book+, library_book-}",
        ],
    ),
    (
        "Book.objects.filter(author__in=Author.objects.filter(name='a')).values('pk')",
        "rows",
        [
            "{library_author!}",
            "{library_author#id, library_author#name, library_author+, library_author-} and {library_author.name='a'}",
            "{library_book!}",
            "{library_book#author_id, library_book#id, library_book+, library_book-}",
        ],
    ),
    (
        "Author.objects.filter(name='a').order_by().union(Author.objects.filter(name='b').order_by())",
        "rows",
        ["{library_author!}", "{library_author.name='a'}", "{library_author.name='b'}"],
    ),
    (
        "Book.objects.filter(coauthors=1).values('pk')",
        "rows",
        [
            "{library_book!}",
            "{library_book#id, library_book+, library_book-}",
            "{library_book_coauthors!}",
            "{library_book_coauthors#author_id, library_book_coauthors#book_id, library_book_coauthors+, library_book_coauthors-} and {library_book_coauthors.author_id=1}",
        ],
    ),
    (
        "OrderLine.objects.filter(pk=(1, 2))",
        "rows",
        [
            "{library_orderline!}",
            "{library_orderline.(order_id,position)=(1,2)} and {library_orderline.order_id=1} and {library_orderline.position=2}",
        ],
    ),
    (
        "Everything.objects.filter(shouted='a')",
        "rows",
        ["{library_everything*}"],
    ),
    (
        "Counted.objects.filter(doubled=2)",
        "rows",
        ["{library_counted*}"],
    ),
    (
        "Counted.objects.filter(rank=7)",
        "rows",
        ["{library_counted!}", "{library_counted.rank=7}"],
    ),
    (
        "Shop.objects.filter(city='a')",
        "rows",
        ["{library_place!}", "{library_place.city='a'}", "{library_shop*}"],
    ),
    (
        "Tagging.objects.filter(book=1, tag=2)",
        "rows",
        [
            "{library_tagging!}",
            "{library_tagging.(book_id,tag_id)=(1,2)} and {library_tagging.book_id=1} and {library_tagging.tag_id=2}",
        ],
    ),
    (
        "Review.objects.filter(object_id=1)",
        "rows",
        ["{library_review!}", "{library_review.object_id=1}"],
    ),
    (
        "Author.objects.annotate(n=Count('books')).filter(n=1)",
        "rows",
        [
            "{library_author*}",
            "{library_book!}",
            "{library_book#author_id, library_book#id, library_book+, library_book-}",
        ],
    ),
    (
        "Book.objects.annotate(x=Window(Count('*'), partition_by=[F('author')])).filter(Q(author=1, x=1) | Q(author=2, x=2))",
        "rows",
        ["{library_book*}"],
    ),
    (
        "Node.objects.filter(parent=UUID('00000000-0000-0000-0000-000000000001'))",
        "rows",
        ["{library_node!}", "{library_node.parent_id=UUID('00000000-0000-0000-0000-000000000001')}"],
    ),
]

# Text is told apart by case and accents on PostgreSQL and SQLite only; fractions of seconds by all but MariaDB.
EXACT = DB in ("sqlite", "postgresql")


@pytest.mark.skipif(not EXACT, reason="text and moments have no value tags here")
@pytest.mark.parametrize(("code", "form", "expected"), CASES, ids=[f"{form} of {code}" for code, form, _ in CASES])
def test_clauses(code: str, form: str, expected: list[str]) -> None:
    """What makes the answer stale, and so what does not."""
    assert expected == words(code, form)


@pytest.mark.skipif(EXACT, reason="only where equal in SQL is not equal in Python")
def test_text_has_no_tags_where_case_does_not_matter() -> None:
    """MariaDB's default collation finds A for a."""
    assert words("Tag.objects.filter(name='a')") == ["{library_tag*}"]
    assert words("Book.objects.filter(author=1)") == ["{library_book!}", "{library_book.author_id=1}"]


def test_arms_are_capped() -> None:
    """Past the limit of alternatives, any write to the table counts."""
    many = " | ".join(f"Q(author={number})" for number in range(17))

    assert words(f"Book.objects.filter({many})") == ["{library_book*}"]
    assert len(words(f"Book.objects.filter({many.removesuffix(' | Q(author=16)')})")) == 17


def test_values_are_capped() -> None:
    """Past the limit of values, an IN narrows nothing."""
    assert words(f"Book.objects.filter(author__in={list(range(128))})") != ["{library_book*}"]
    assert words(f"Book.objects.filter(author__in={list(range(129))})") == ["{library_book*}"]


def test_combinations_are_capped() -> None:
    """A set of columns whose values combine past the limit leaves the single columns."""
    (_, clause) = words(f"Book.objects.filter(author__in={list(range(20))}, status__in={list(range(20))})")

    assert "(author_id,status)" not in clause
    assert "library_book.author_id=19" in clause
    assert "library_book.status=19" in clause
