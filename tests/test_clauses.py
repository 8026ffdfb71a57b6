"""Queries that say less, or more, than their lookups and joins look like (DESIGN section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db.models import Case, F, IntegerField, Max, Min, OrderBy, Q, Subquery, Sum, When
from django.db.models.lookups import Exact
from django.test.utils import register_lookup
from django.utils import timezone

from everfresh.queries.fingerprint import _by_clock, _model_bytes, fingerprint
from tests.library.models import Author, Book, Review, Tag, Tagging

if TYPE_CHECKING:
    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


class AtLeast(Exact):  # type: ignore[type-arg]
    """Somebody's own lookup, made of Django's "equals"."""

    lookup_name = "at_least"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        """Another operator."""
        return f">= {rhs}"


@pytest.mark.parametrize("value", [2, True])
def test_lookup_of_ones_own(value: object) -> None:
    """A class made of "equals" need not mean it: its value names no rows."""
    author = Author.objects.create(name="a")
    with register_lookup(IntegerField, AtLeast):
        books = Book.objects.cache().filter(status__at_least=value)
        assert not books.all()
        Book.objects.create(author=author, status=3)

        assert [3] == [book.status for book in books.all()]


def test_generic_relation() -> None:
    """The content type is no filter and no join column, and stands in the join all the same."""
    book = Book.objects.create(author=Author.objects.create(name="a"))
    book.reviews.create(stars=5)
    praised = Book.objects.cache().filter(reviews__stars=5).values_list("pk", flat=True)
    assert [book.pk] == list(praised.all())
    Review.objects.update(content_type=ContentType.objects.get_for_model(Author))

    assert [] == list(praised.all())


def test_distinct_on(db_kind: str) -> None:
    """The columns of DISTINCT ON stand in no expression of the query, and decide which rows come back."""
    if db_kind != "postgresql":
        pytest.skip("only PostgreSQL has DISTINCT ON")
    authors = [Author.objects.create(name=name) for name in "ab"]
    books = [Book.objects.create(author=authors[0], title="t") for _ in range(2)]
    titles = Book.objects.cache().order_by().distinct("author").values_list("title", flat=True)
    assert ["t"] == list(titles.all())
    Book.objects.filter(pk=books[0].pk).update(author=authors[1])

    assert ["t", "t"] == list(titles.all())


def test_values_in_a_query_inside_an_aggregate() -> None:
    """They are copied when the aggregate is resolved: what is derived with one is not taken for another."""
    authors = [Author.objects.create(name=name, bio="old") for name in "ab"]
    Book.objects.create(author=authors[0])

    def bio(author: Author) -> str:
        only = Author.objects.filter(pk=author.pk).values("bio")
        return str(Book.objects.cache().aggregate(bio=Max(Subquery(only)))["bio"])

    assert ["old", "old"] == [bio(author) for author in authors]
    Author.objects.filter(name="b").update(bio="new")

    assert ["old", "new"] == [bio(author) for author in authors]


def test_aggregates_are_told_apart() -> None:
    """Of the same rows, under the same name."""
    author = Author.objects.create(name="a")
    Book.objects.bulk_create([Book(author=author, pages=pages) for pages in (1, 2)])
    books = Book.objects.cache()

    assert [{"n": 1}, {"n": 2}, {"n": 3}] == [books.aggregate(n=kind("pages")) for kind in (Min, Max, Sum)]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(F("published__hour").asc(), id="path"),
        pytest.param(Case(When(Q(published__hour=1), then=1), default=2).asc(), id="condition"),
    ],
)
def test_part_of_a_moment_in_an_expression(order: OrderBy) -> None:
    """What is the hour depends on the time zone in force, also where a path that is yet to be resolved asks for it."""
    keys = []
    for zone in ("UTC", "Asia/Kathmandu"):
        with timezone.override(zone):
            keys += [Book.objects.cache().order_by(order).explain_cache().key]

    assert keys[0] != keys[1]


def test_part_of_a_moment_in_the_order_of_a_related_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordering by a relation is ordering by what its model is ordered by."""
    monkeypatch.setattr(Book._meta, "ordering", ["published__hour"])
    _by_clock.cache_clear()
    keys = []
    for zone in ("UTC", "Asia/Kathmandu"):
        with timezone.override(zone):
            keys += [Tagging.objects.cache().order_by("book").explain_cache().key]
    _by_clock.cache_clear()

    assert keys[0] != keys[1]


def test_schema_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other columns or in another order, which an older release has stored, are never asked for."""
    name = Tag._meta.get_field("name")
    names = []
    for owner, attribute, value in [
        (name, "column", "name"),
        (name, "column", "label"),
        (Tag._meta, "ordering", ["-id"]),
    ]:
        with monkeypatch.context() as now:
            now.setattr(owner, attribute, value)
            _model_bytes.cache_clear()
            names.append(fingerprint(Tag.objects.all().query).identity)
    _model_bytes.cache_clear()

    assert 3 == len(set(names))


def test_rules_are_part_of_the_key(configure: Configure) -> None:
    """Entries that were made under other rules have other keys."""
    keys = [Book.objects.filter(pages=1).cache().explain_cache().key]
    configure(MODELS={"library.Book": {"tag_fields": ["pages"]}})
    keys += [Book.objects.filter(pages=1).cache().explain_cache().key]

    assert keys[0] != keys[1]
