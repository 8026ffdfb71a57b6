# ruff: noqa: D103  (the name of a shape is its sentence)
"""The query shapes: each a function that reads something of the library through the querysets it is given.

The name says what is read. A shape is deterministic: it orders what has no order of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import django
from django.contrib.contenttypes.models import ContentType
from django.contrib.contenttypes.prefetch import GenericPrefetch
from django.db import connection
from django.db.models import (
    Avg,
    BooleanField,
    Case,
    CharField,
    Count,
    DateTimeField,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    When,
    Window,
    prefetch_related_objects,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import (
    Cast,
    Coalesce,
    Concat,
    ExtractMonth,
    ExtractYear,
    Length,
    Lower,
    Rank,
    RowNumber,
    TruncDay,
    TruncMonth,
    Upper,
)

from tests.library import models as library
from tests.library.models import (
    Author,
    Book,
    Counted,
    Everything,
    Managed,
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
from tests.matrix import data as d
from tests.matrix.models import Account, Letter
from tests.matrix.reading import Reader
from tests.settings import DB

Shape = Callable[[Reader], Any]

SHAPES: dict[str, Shape] = {}

ONLY_WITH_CACHE_ALL: set[str] = set()
"""Shapes whose reads are Django's own (relations of instances): there is no queryset to say ``.cache()`` on."""

BYPASSED: dict[str, str] = {}
"""Shapes that are answered by the database, and why that is right."""


def shape(function: Shape) -> Shape:
    """Take part in the matrix."""
    SHAPES[function.__name__] = function
    return function


def only_with_cache_all(function: Shape) -> Shape:
    """Its reads are cached only when the settings say so."""
    ONLY_WITH_CACHE_ALL.add(function.__name__)
    return function


def bypassed(reason: str) -> Callable[[Shape], Shape]:
    """It is never cached, for *reason*."""

    def mark(function: Shape) -> Shape:
        BYPASSED[function.__name__] = reason
        return function

    return mark


def supports(feature: str) -> bool:
    """Has this run's database the *feature*?"""
    return bool(getattr(connection.features, feature))


def _published(q: Reader) -> Any:
    # MariaDB without tables of time zones: Django takes a truncated NULL for a sign of that, and raises.
    return q(Book).filter(published__isnull=False)


# What a queryset gives


@shape
def instances(q: Reader) -> Any:
    return q(Book)


@shape
def instances_unordered_by_meta(q: Reader) -> Any:
    return q(Publisher).order_by("name")


@shape
def values(q: Reader) -> Any:
    return q(Book).values("id", "title", "price")


@shape
def values_all(q: Reader) -> Any:
    return q(Author).values()


@shape
def values_with_expression(q: Reader) -> Any:
    return q(Book).values("title", shout=Upper("title"), double=F("pages") * 2)


@shape
def values_over_relation(q: Reader) -> Any:
    return q(Book).values("title", "author__name", "author__publisher__country")


@shape
def values_list(q: Reader) -> Any:
    return q(Book).values_list("title", "status")


@shape
def values_list_flat(q: Reader) -> Any:
    return q(Book).values_list("title", flat=True)


@shape
def values_list_named(q: Reader) -> Any:
    return q(Author).values_list("name", "born", named=True)


@shape
def values_list_with_expression(q: Reader) -> Any:
    return q(Author).values_list("id", Lower("name"), F("publisher__name"))


@shape
def values_m2m(q: Reader) -> Any:
    return q(Book).order_by("id", "tags__id").values("id", "tags__name")


@shape
def get_by_pk(q: Reader) -> Any:
    return q(Book).get(pk=d.B0)


@shape
def get_by_unique(q: Reader) -> Any:
    return q(Author).get(email="bob@x.org")


@shape
def get_absent(q: Reader) -> Any:
    return q(Author).get(email="new@x.org")


@shape
def get_by_name_of_relation(q: Reader) -> Any:
    return q(Profile).get(author__name="Ada")


@shape
def get_too_many(q: Reader) -> Any:
    return q(Book).get(author=d.BOB)


@shape
def first(q: Reader) -> Any:
    return q(Book).filter(status=1).first()


@shape
def first_of_unordered(q: Reader) -> Any:
    return q(Publisher).filter(country="NL").first()


@shape
def last(q: Reader) -> Any:
    return q(Book).last()


@shape
def earliest(q: Reader) -> Any:
    return q(Author).exclude(born=None).earliest("born")


@shape
def latest(q: Reader) -> Any:
    return q(Book).filter(published__isnull=False).latest("published", "id")


@shape
def in_bulk(q: Reader) -> Any:
    return q(Book).in_bulk([d.B0, d.B3, d.BASE + 77])


@shape
def in_bulk_by_unique(q: Reader) -> Any:
    return q(Tag).order_by("id").in_bulk(["red", "green", "new"], field_name="name")


@shape
def in_bulk_all(q: Reader) -> Any:
    return q(Tag).order_by("id").in_bulk()


@shape
def count(q: Reader) -> Any:
    return q(Book).count()


@shape
def count_of_author(q: Reader) -> Any:
    return q(Book).filter(author=d.ADA).count()


@shape
def count_of_compound(q: Reader) -> Any:
    return q(Book).filter(author=d.ADA, status=1).count()


@shape
def count_over_join(q: Reader) -> Any:
    return q(Book).filter(author__publisher__country="NL").count()


@shape
def count_distinct_over_m2m(q: Reader) -> Any:
    return q(Book).filter(tags__name__in=["red", "blue"]).distinct().count()


@shape
def count_of_slice(q: Reader) -> Any:
    return q(Book).filter(pages__gt=90)[1:4].count()


@shape
def count_of_groups(q: Reader) -> Any:
    return q(Book).values("author").annotate(n=Count("id")).filter(n__gt=1).count()


@shape
def exists(q: Reader) -> Any:
    return q(Book).filter(author=d.DAN).exists()


@shape
def exists_at_all(q: Reader) -> Any:
    return q(Tag).exists()


@shape
def exists_over_m2m(q: Reader) -> Any:
    return q(Book).filter(tags=d.GREEN).exists()


@shape
def contains(q: Reader) -> Any:
    return q(Book).filter(status=1).contains(Book(pk=d.B1))


@shape
def aggregate(q: Reader) -> Any:
    return q(Book).aggregate(Sum("pages"), lowest=Min("price"), highest=Max("price"), mean=Avg("pages"))


@shape
def aggregate_over_joins(q: Reader) -> Any:
    return q(Author).aggregate(pages=Sum("books__pages"), n=Count("books__tags", distinct=True))


@shape
def aggregate_filtered(q: Reader) -> Any:
    return q(Book).aggregate(
        n=Count("pk", filter=Q(status=1)), views=Sum("views", filter=Q(author__name="Ada"), default=0)
    )


@shape
def aggregate_by_reference(q: Reader) -> Any:
    return q(Book).aggregate(total=Sum("pages"), n=Count("pk"), per=Sum("pages") * 1.0 / Count("pk"))


@shape
def aggregate_of_aggregate(q: Reader) -> Any:
    return q(Book).aggregate(total=Sum("pages"), double=F("total") * 2)


@shape
def aggregate_of_annotation(q: Reader) -> Any:
    return q(Author).annotate(n=Count("books")).aggregate(most=Max("n"), all=Sum("n"))


@shape
def aggregate_of_slice(q: Reader) -> Any:
    return q(Book).order_by("-views", "id")[:3].aggregate(Sum("views"))


@shape
def aggregate_of_nothing(q: Reader) -> Any:
    return q(Book).filter(author=d.DAN).aggregate(Sum("pages"), Count("pk"), Min("published"))


@shape
def aggregate_with_subquery(q: Reader) -> Any:
    best = Review.objects.filter(object_id=OuterRef("pk")).order_by("-stars", "id").values("stars")[:1]
    return q(Book).annotate(best=Subquery(best)).aggregate(Sum("best"))


@shape
def dates(q: Reader) -> Any:
    return q(Author).dates("born", "year")


@shape
def datetimes(q: Reader) -> Any:
    return q(Book).datetimes("published", "month", order="DESC")


@shape
def sliced(q: Reader) -> Any:
    return q(Book).order_by("-views", "id")[1:3]


@shape
def sliced_index(q: Reader) -> Any:
    return q(Author).order_by("-id")[:9][0] if q(Author).exists() else None


@shape
def reversed_order(q: Reader) -> Any:
    return q(Book).order_by("status", "-pages", "id").reverse()


@shape
def ordered_by_relation(q: Reader) -> Any:
    return q(Book).order_by("author__publisher__name", "-author__name", "id").values_list("id", flat=True)


@shape
def ordered_by_relation_pk_model(q: Reader) -> Any:
    return q(Order).order_by("shop__city", "id")


@shape
def ordered_by_expression(q: Reader) -> Any:
    return q(Author).order_by(F("born").desc(nulls_last=True), Length("name"), "id")


@shape
def ordered_by_m2m_count(q: Reader) -> Any:
    return q(Book).annotate(n=Count("coauthors")).order_by("-n", "id").values_list("id", "n")


# Set operations


@shape
def union(q: Reader) -> Any:
    return q(Book).filter(status=1).order_by().union(q(Book).filter(author=d.BOB).order_by()).order_by("id")


@shape
def union_all_values(q: Reader) -> Any:
    return q(Author).order_by().values_list("name").union(q(Tag).values_list("name"), all=True).order_by("name")


@shape
def union_sliced(q: Reader) -> Any:
    return q(Publisher).values("name").union(q(Author).order_by().values("name")).order_by("-name")[:3]


@shape
def union_count(q: Reader) -> Any:
    return q(Author).order_by().values("name").union(q(Tag).values("name")).count()


@shape
def intersection(q: Reader) -> Any:
    if not supports("supports_select_intersection"):
        return q(Tag)
    left, right = q(Book).filter(status=1).order_by(), q(Book).filter(author=d.ADA).order_by()
    return left.intersection(right).order_by("id")


@shape
def difference(q: Reader) -> Any:
    if not supports("supports_select_difference"):
        return q(Tag)
    left, right = q(Book).order_by(), q(Book).filter(status=1).order_by()
    return left.values_list("id").difference(right.values_list("id")).order_by("id")


# Relations loaded along


@shape
def select_related_one(q: Reader) -> Any:
    return q(Book).select_related("author")


@shape
def select_related_deep(q: Reader) -> Any:
    return q(Book).select_related("author__publisher", "author__mentor__publisher")


@shape
def select_related_nullable(q: Reader) -> Any:
    return q(Author).select_related("publisher", "mentor")


@shape
def select_related_reverse_one_to_one(q: Reader) -> Any:
    return q(Author).select_related("profile")


@shape
def select_related_two(q: Reader) -> Any:
    return q(Tagging).select_related("book__author", "tag").order_by("id")


@shape
def select_related_filtered(q: Reader) -> Any:
    return q(Book).filter(status=1).select_related("author").only("title", "author__name")


@shape
def select_related_get(q: Reader) -> Any:
    return q(Book).select_related("author__publisher").get(pk=d.B3)


@shape
def prefetch_reverse(q: Reader) -> Any:
    return q(Author).prefetch_related("books")


@shape
def prefetch_forward(q: Reader) -> Any:
    return q(Book).prefetch_related("author__publisher")


@shape
def prefetch_many_to_many(q: Reader) -> Any:
    return q(Book).prefetch_related("coauthors", Prefetch("tags", Tag.objects.order_by("id")))


@shape
def prefetch_many_to_many_reverse(q: Reader) -> Any:
    return q(Tag).order_by("id").prefetch_related("books")


@shape
def prefetch_generic(q: Reader) -> Any:
    return q(Book).prefetch_related(Prefetch("reviews", Review.objects.order_by("id")))


@shape
def prefetch_generic_foreign_key(q: Reader) -> Any:
    return q(Review).order_by("id").prefetch_related("subject")


@shape
def prefetch_generic_with_querysets(q: Reader) -> Any:
    wanted = GenericPrefetch("subject", [Book.objects.select_related("author"), Author.objects.all()])
    return q(Review).order_by("id").prefetch_related(wanted)


@shape
def prefetch_nested(q: Reader) -> Any:
    return (
        q(Publisher)
        .order_by("id")
        .prefetch_related("authors__books", Prefetch("authors__books__tags", Tag.objects.order_by("id")))
    )


@shape
def prefetch_with_queryset(q: Reader) -> Any:
    few = Prefetch("books", Book.objects.filter(status=1).order_by("-pages", "id"))
    return q(Author).prefetch_related(few)


@shape
def prefetch_to_attr(q: Reader) -> Any:
    few = Prefetch("books", Book.objects.filter(tags__name="red").order_by("id"), to_attr="red_books")
    return q(Author).prefetch_related(few)


@shape
def prefetch_sliced(q: Reader) -> Any:
    return q(Author).prefetch_related(Prefetch("books", Book.objects.order_by("-pages", "id")[:1], to_attr="thickest"))


@shape
def prefetch_one_to_one(q: Reader) -> Any:
    return q(Author).prefetch_related("profile")


@shape
@only_with_cache_all
def prefetch_after_the_fact(q: Reader) -> Any:
    authors = list(q(Author))
    prefetch_related_objects(authors, Prefetch("books__tags", Tag.objects.order_by("id")), "publisher")
    return authors


@shape
def only(q: Reader) -> Any:
    return q(Book).only("title", "status")


@shape
def defer(q: Reader) -> Any:
    return q(Book).defer("data", "title")


@shape
@only_with_cache_all
def deferred_field_loaded_later(q: Reader) -> Any:
    return [(author.bio, author.name) for author in q(Author).only("name")]


# Annotations


@shape
def annotated_f_and_value(q: Reader) -> Any:
    return q(Book).annotate(weight=F("pages") * F("price"), kind=Value("book"), one=Value(1))


@shape
def annotated_case(q: Reader) -> Any:
    size = Case(
        When(pages__gte=200, then=Value("thick")),
        When(author__active=False, then=Value("quiet")),
        default=Value("thin"),
        output_field=CharField(),
    )
    return q(Book).annotate(size=size)


@shape
def annotated_subquery(q: Reader) -> Any:
    newest = Book.objects.filter(author=OuterRef("pk")).order_by("-pages", "id").values("title")[:1]
    return q(Author).annotate(thickest=Subquery(newest))


@shape
def annotated_subquery_coalesced(q: Reader) -> Any:
    stars = (
        Review.objects.filter(object_id=OuterRef("pk"))
        .order_by()
        .values("object_id")
        .annotate(s=Sum("stars"))
        .values("s")
    )
    return q(Book).annotate(stars=Coalesce(Subquery(stars, output_field=IntegerField()), 0)).values("id", "stars")


@shape
def annotated_subquery_in_case(q: Reader) -> Any:
    motto = Profile.objects.filter(author=OuterRef("pk")).values("motto")[:1]
    return q(Author).annotate(says=Case(When(active=True, then=Subquery(motto)), default=Value("-")))


@shape
def annotated_exists(q: Reader) -> Any:
    return q(Author).annotate(tagged=Exists(Tagging.objects.filter(book__author=OuterRef("pk"), tag__name="red")))


@shape
def annotated_nested_subqueries(q: Reader) -> Any:
    inner = Tagging.objects.filter(book=OuterRef("pk"), weight__lte=OuterRef(OuterRef("id")))
    books = Book.objects.filter(Exists(inner), author=OuterRef("pk")).order_by("id").values("title")[:1]
    return q(Author).annotate(title=Subquery(books))


@shape
def annotated_window(q: Reader) -> Any:
    place = Window(RowNumber(), partition_by=[F("author")], order_by=[F("pages").desc(), F("id").asc()])
    return q(Book).annotate(place=place)


@shape
def filtered_on_window(q: Reader) -> Any:
    place = Window(Rank(), partition_by=[F("author__publisher")], order_by=[F("views").desc(), F("id").asc()])
    return q(Book).annotate(place=place).filter(place=1).order_by("id")


@shape
def annotated_count_filtered(q: Reader) -> Any:
    return (
        q(Author)
        .order_by("id")
        .annotate(
            n=Count("books", filter=Q(books__status=1), distinct=True),
            p=Sum("books__pages", filter=Q(books__tags=d.RED)),
        )
    )


@shape
def annotated_two_relations(q: Reader) -> Any:
    return (
        q(Author)
        .order_by("id")
        .annotate(n=Count("books", distinct=True), m=Count("cowritten", distinct=True))
        .values("id", "n", "m")
    )


@shape
def annotated_concat(q: Reader) -> Any:
    return q(Author).annotate(label=Concat("name", Value(" of "), "publisher__name", output_field=CharField()))


@shape
def annotated_cast(q: Reader) -> Any:
    return q(Book).annotate(
        text=Cast("pages", CharField(max_length=10)), exact=Cast("views", DecimalField(max_digits=9, decimal_places=2))
    )


@shape
def annotated_trunc(q: Reader) -> Any:
    return _published(q).annotate(
        month=TruncMonth("published"), day=TruncDay("published", output_field=DateTimeField())
    )


@shape
def annotated_extract(q: Reader) -> Any:
    return q(Author).annotate(year=ExtractYear("born"), month=ExtractMonth("born"))


@shape
def annotated_json_key(q: Reader) -> Any:
    return q(Book).annotate(a=KeyTransform("a", "data"), text=KeyTextTransform("k", KeyTransform("deep", "data")))


@shape
def annotated_boolean(q: Reader) -> Any:
    return q(Book).annotate(thick=ExpressionWrapper(Q(pages__gt=150), output_field=BooleanField()))


@shape
def annotated_then_filtered(q: Reader) -> Any:
    return q(Author).order_by("id").annotate(n=Count("books")).filter(n__gte=2, name__startswith="A")


@shape
def aliased(q: Reader) -> Any:
    return q(Book).alias(total=F("pages") + F("views")).filter(total__gt=110).order_by("total", "id")


@shape
def grouped(q: Reader) -> Any:
    return q(Book).values("status").annotate(n=Count("id"), pages=Sum("pages")).order_by("status")


@shape
def grouped_having(q: Reader) -> Any:
    return q(Book).values("author__name").annotate(n=Count("tags")).filter(n__gt=0).order_by("author__name")


@shape
def grouped_by_month(q: Reader) -> Any:
    return (
        _published(q).annotate(month=TruncMonth("published")).values("month").annotate(n=Count("id")).order_by("month")
    )


@shape
def grouped_filtered_before(q: Reader) -> Any:
    return q(Book).filter(author=d.ADA).values("status").annotate(worth=Sum("price")).order_by("status")


# Filters


@shape
def filter_foreign_key(q: Reader) -> Any:
    return q(Book).filter(author=d.ADA)


@shape
def filter_foreign_key_instance(q: Reader) -> Any:
    return q(Book).filter(author=Author(pk=d.BOB))


@shape
def filter_compound(q: Reader) -> Any:
    return q(Book).filter(author_id=d.ADA, status=1)


@shape
def filter_indexed_decimal(q: Reader) -> Any:
    return q(Book).filter(price=Decimal("9.5"))


@shape
def filter_decimal_float(q: Reader) -> Any:
    return q(Book).filter(price=2.25)


@shape
def filter_indexed_datetime(q: Reader) -> Any:
    return q(Book).filter(published=d.T0)


@shape
def filter_indexed_date(q: Reader) -> Any:
    return q(Author).filter(born=date(1900, 1, 1))


@shape
def filter_date_from_text(q: Reader) -> Any:
    return q(Author).filter(born="1815-12-10")


@shape
def filter_boolean(q: Reader) -> Any:
    return q(Author).filter(active=False)


@shape
def filter_text(q: Reader) -> Any:
    return q(Author).filter(name="Bob")


@shape
def filter_text_ignoring_case(q: Reader) -> Any:
    return q(Author).filter(name__iexact="BOB")


@shape
def filter_over_foreign_keys(q: Reader) -> Any:
    return q(Book).filter(author__publisher__name="Acme")


@shape
def filter_reverse_foreign_key(q: Reader) -> Any:
    return q(Publisher).filter(authors__books__status=2).distinct().order_by("id")


@shape
def filter_reverse_twice(q: Reader) -> Any:
    return q(Author).filter(books__status=1).filter(books__tags=d.RED).distinct()


@shape
def filter_many_to_many(q: Reader) -> Any:
    return q(Book).filter(tags__name="red").order_by("id")


@shape
def filter_many_to_many_by_key(q: Reader) -> Any:
    return q(Book).filter(coauthors=d.BOB)


@shape
def filter_many_to_many_reverse(q: Reader) -> Any:
    return q(Author).filter(cowritten__title="Alpha")


@shape
def filter_through(q: Reader) -> Any:
    return q(Book).filter(tagging__weight__gte=2).distinct()


@shape
def filter_one_to_one(q: Reader) -> Any:
    return q(Author).filter(profile__motto="think")


@shape
def filter_generic_relation(q: Reader) -> Any:
    return q(Book).filter(reviews__stars__gte=4).distinct()


@shape
def filter_content_type(q: Reader) -> Any:
    return q(Review).filter(content_type__model="book", object_id=d.B0).order_by("id")


@shape
def filter_parent_column(q: Reader) -> Any:
    return q(Shop).filter(city="Delft").order_by("name")


@shape
def filter_on_child_of_parent(q: Reader) -> Any:
    return q(Place).filter(shop__opens__isnull=True).order_by("id")


@shape
def filter_self_reference(q: Reader) -> Any:
    return q(Author).filter(mentor__name="Ada")


@shape
def filter_self_reference_reverse(q: Reader) -> Any:
    return q(Author).filter(pupils__active=False)


@shape
def filter_to_field(q: Reader) -> Any:
    return q(Letter).filter(owner="ada").order_by("id")


@shape
def filter_to_field_by_instance(q: Reader) -> Any:
    return q(Letter).filter(owner=Account(pk=d.BASE + 1, handle="bob")).order_by("id")


@shape
def filter_over_to_field(q: Reader) -> Any:
    return q(Account).filter(letters__text="three")


@shape
def exclude(q: Reader) -> Any:
    return q(Book).exclude(author=d.ADA, status=1)


@shape
def exclude_many_valued(q: Reader) -> Any:
    return q(Author).exclude(books__status=2)


@shape
def exclude_many_to_many(q: Reader) -> Any:
    return q(Book).exclude(tags__name="red")


@shape
def exclude_deep(q: Reader) -> Any:
    return q(Publisher).exclude(authors__books__tags__name="blue").order_by("id")


@shape
def filtered_relation(q: Reader) -> Any:
    thick = FilteredRelation("books", condition=Q(books__pages__gte=200))
    return q(Author).annotate(thick=thick).filter(thick__status=1)


@shape
def filtered_relation_counted(q: Reader) -> Any:
    named = FilteredRelation("books", condition=Q(books__author=d.ADA) | Q(books__status=2))
    return q(Author).annotate(some=named, n=Count("some")).order_by("id").values("id", "n")


@shape
def q_or(q: Reader) -> Any:
    return q(Book).filter(Q(author=d.BOB) | Q(status=1))


@shape
def q_or_over_tables(q: Reader) -> Any:
    return q(Book).filter(Q(author__name="Ada") | Q(tags__name="red")).distinct()


@shape
def q_nested(q: Reader) -> Any:
    return q(Book).filter(Q(author=d.ADA) & (Q(status=1) | Q(pages=200)) | Q(author=d.CLEO))


@shape
def q_xor(q: Reader) -> Any:
    return q(Book).filter(Q(author=d.ADA) ^ Q(status=1))


@shape
def q_not(q: Reader) -> Any:
    return q(Book).filter(~Q(author=d.ADA), ~(Q(status=1) & Q(price=Decimal("9.50"))))


@shape
def in_queryset(q: Reader) -> Any:
    return q(Book).filter(author__in=Author.objects.filter(publisher__country="DE"))


@shape
def in_queryset_values(q: Reader) -> Any:
    return q(Author).filter(name__in=Account.objects.values("handle")) | q(Author).filter(
        pk__in=Book.objects.filter(status=2).values("author")
    )


@shape
def in_list(q: Reader) -> Any:
    return q(Book).filter(author__in=[d.BOB, d.CLEO])


@shape
def in_list_with_none(q: Reader) -> Any:
    return q(Author).filter(publisher__in=[d.ZETA, None])


@shape
def in_list_of_both(q: Reader) -> Any:
    return q(Book).filter(author__in=[d.ADA, d.BOB], status__in=[2, 3])


@shape
def is_null(q: Reader) -> Any:
    return q(Author).filter(publisher__isnull=True)


@shape
def equals_none(q: Reader) -> Any:
    return q(Author).filter(email=None)


@shape
def is_not_null(q: Reader) -> Any:
    return q(Author).filter(mentor__isnull=False)


@shape
def reverse_is_null(q: Reader) -> Any:
    return q(Author).filter(books__isnull=True)


@shape
def reverse_is_not_null(q: Reader) -> Any:
    return q(Author).filter(books__isnull=False).distinct()


@shape
def column_over_outer_join_is_null(q: Reader) -> Any:
    return q(Author).filter(publisher__country__isnull=True)


@shape
def profile_is_null(q: Reader) -> Any:
    return q(Author).filter(profile__isnull=True)


@shape
def outer_join_or(q: Reader) -> Any:
    return q(Author).filter(Q(publisher__name="Zeta") | Q(publisher=None)).order_by("id")


@shape
def ranges(q: Reader) -> Any:
    return q(Book).filter(pages__range=(100, 200), views__gt=4, views__lt=9)


@shape
def text_lookups(q: Reader) -> Any:
    return q(Book).filter(Q(title__contains="lt") | Q(title__startswith="G") | Q(title__iregex="^z"))


@shape
def filter_by_f(q: Reader) -> Any:
    return q(Book).filter(pages__gt=F("views") * 25)


@shape
def filter_by_f_over_relation(q: Reader) -> Any:
    return q(Book).filter(title__lt=F("author__publisher__name"))


@shape
def filter_by_transform(q: Reader) -> Any:
    return q(Book).filter(published__year=2024, published__date__gte=date(2024, 3, 1))


@shape
def filter_by_exists(q: Reader) -> Any:
    return q(Author).filter(~Exists(Book.objects.filter(author=OuterRef("pk"), views__gt=6)))


@shape
def filter_by_exists_of_union(q: Reader) -> Any:
    mine = Book.objects.filter(author=OuterRef("author"), pages__gt=OuterRef("views")).values("pk")
    other = Book.objects.filter(status=OuterRef("pages")).values("pk")
    if DB == "mariadb":
        # It knows no outer table inside a UNION.
        return q(Tag)
    return q(Book).filter(Exists(mine.union(other))).order_by("id").values_list("title", flat=True)


@shape
def filter_by_subquery(q: Reader) -> Any:
    most = Book.objects.filter(author=OuterRef("author")).order_by("-pages", "id").values("pk")[:1]
    return q(Book).filter(pk=Subquery(most))


@shape
def distinct(q: Reader) -> Any:
    return q(Book).order_by("pages").values_list("pages", flat=True).distinct()


@shape
def distinct_on(q: Reader) -> Any:
    if DB != "postgresql":
        return q(Tag)
    return q(Book).order_by("author_id", "-pages").distinct("author_id").values_list("title", flat=True)


@shape
def distinct_on_count(q: Reader) -> Any:
    if DB != "postgresql":
        return q(Tag).count()
    return q(Book).order_by("status").distinct("status").count()


@shape
def combined_with_operators(q: Reader) -> Any:
    return (q(Book).filter(author__name="Ada") & q(Book).filter(status=1)) | q(Book).filter(tags__name="blue")


# Models of every sort


@shape
def composite_key_get(q: Reader) -> Any:
    return q(OrderLine).get(pk=(d.ORDER, 1))


@shape
def composite_key_part(q: Reader) -> Any:
    return q(OrderLine).filter(order=d.ORDER).order_by("position")


@shape
def composite_key_in(q: Reader) -> Any:
    return q(OrderLine).filter(pk__in=[(d.ORDER, 2), (d.ORDER2, 1)]).order_by("pk")


@shape
def composite_key_values(q: Reader) -> Any:
    return q(OrderLine).order_by("order", "position").values_list("pk", "amount")


@shape
def composite_key_related(q: Reader) -> Any:
    return q(OrderLine).select_related("order__shop", "book__author").order_by("pk")


@shape
def composite_key_prefetch(q: Reader) -> Any:
    return q(Order).order_by("id").prefetch_related(Prefetch("lines", OrderLine.objects.order_by("position")))


@shape
def uuid_get(q: Reader) -> Any:
    return q(Node).get(pk=str(d.LEFT))


@shape
def uuid_children(q: Reader) -> Any:
    return q(Node).filter(parent=d.ROOT).order_by("label")


@shape
def uuid_grandparent(q: Reader) -> Any:
    return q(Node).filter(parent__parent=d.ROOT).select_related("parent__parent")


@shape
def proxy(q: Reader) -> Any:
    return q(SignedBook).filter(author=d.ADA)


@shape
def inherited_table(q: Reader) -> Any:
    return q(Shop).order_by("pk")


@shape
def inherited_table_by_parent(q: Reader) -> Any:
    return q(Place).select_related("shop").order_by("pk")


@shape
def inherited_table_values(q: Reader) -> Any:
    return q(Shop).order_by("pk").values("name", "opens")


@shape
def inherited_table_get(q: Reader) -> Any:
    return q(Shop).get(pk=d.SHOP)


@shape
def inherited_many_to_many(q: Reader) -> Any:
    return q(Book).filter(shops__city="Ghent")


@shape
def json_key(q: Reader) -> Any:
    return q(Book).filter(data__a=1)


@shape
def json_has_key(q: Reader) -> Any:
    return q(Book).filter(data__has_key="a", data__deep__k__isnull=True)


@shape
def json_whole(q: Reader) -> Any:
    return q(Book).filter(data={"b": "x"})


@shape
def array_lookups(q: Reader) -> Any:
    if DB != "postgresql":
        return q(Tag)
    return q(library.Measured).filter(numbers__contains=[2]).annotate(head=F("numbers__0"))


@shape
def range_lookups(q: Reader) -> Any:
    if DB != "postgresql":
        return q(Tag)
    return q(library.Measured).filter(span__contains=3).order_by("pk")


@shape
def measured(q: Reader) -> Any:
    return q(library.Measured if DB == "postgresql" else Tag).order_by("pk")


@shape
def everything(q: Reader) -> Any:
    return q(Everything).order_by("pk")


@shape
def everything_values(q: Reader) -> Any:
    return q(Everything).order_by("pk").values()


@shape
def everything_extremes(q: Reader) -> Any:
    return q(Everything).aggregate(
        Max("moment"), Min("duration"), Sum("decimal"), Max("time"), Max("float"), StdDev("small")
    )


@shape
def everything_by_kind(q: Reader) -> Any:
    return q(Everything).filter(uuid=uuid.UUID(int=7), duration__gt=d.timedelta(0), ip="2001:db8::1", boolean=True)


@shape
def custom_field(q: Reader) -> Any:
    return q(Everything).filter(shouted="hey").values_list("shouted", flat=True)


@shape
def generated(q: Reader) -> Any:
    return q(Counted).filter(doubled=6).order_by("pk")


@shape
def generated_values(q: Reader) -> Any:
    return q(Counted).order_by("pk").values_list("doubled", flat=True)


@shape
def database_default(q: Reader) -> Any:
    return q(Counted).filter(rank=7).order_by("pk").values("amount", "rank")


@shape
def other_database(q: Reader) -> Any:
    return q(Managed, "other").order_by("pk")


@shape
def other_database_get(q: Reader) -> Any:
    return q(Publisher, "other").get(pk=d.ACME)


@shape
def same_query_on_default(q: Reader) -> Any:
    return q(Managed).order_by("pk")


@shape
def shelves(q: Reader) -> Any:
    if not d.HAS_DATABASE_CASCADES:
        return q(Tag)
    return q(library.Shelf).order_by("pk").prefetch_related("slots", "stickers")


@shape
def slots(q: Reader) -> Any:
    if not d.HAS_DATABASE_CASCADES:
        return q(Tag)
    return q(library.Slot).filter(shelf=d.BASE).order_by("pk")


@shape
def stickers(q: Reader) -> Any:
    if not d.HAS_DATABASE_CASCADES:
        return q(Tag)
    return q(library.Sticker).filter(shelf=d.BASE).order_by("pk").values("pk", "slot")


@shape
def content_types(q: Reader) -> Any:
    return q(ContentType).filter(app_label="library", model__in=["book", "author"]).order_by("model").values("model")


# Relations of instances: Django's own querysets, cached where the settings say so


@shape
@only_with_cache_all
def access_foreign_key(q: Reader) -> Any:
    return [book.author for book in q(Book)]


@shape
@only_with_cache_all
def access_foreign_key_nullable(q: Reader) -> Any:
    return [(author.publisher, author.mentor) for author in q(Author)]


@shape
@only_with_cache_all
def access_one_to_one(q: Reader) -> Any:
    return [profile.author for profile in q(Profile).order_by("pk")]


@shape
@only_with_cache_all
def access_reverse_one_to_one(q: Reader) -> Any:
    return [getattr(author, "profile", None) for author in q(Author)]


@shape
@only_with_cache_all
def access_to_field(q: Reader) -> Any:
    return [letter.owner for letter in q(Letter).order_by("pk")]


@shape
@only_with_cache_all
def access_parent_link(q: Reader) -> Any:
    return [shop.place_ptr for shop in q(Shop).order_by("pk")]


@shape
@only_with_cache_all
def access_child(q: Reader) -> Any:
    return [getattr(place, "shop", None) for place in q(Place).order_by("pk")]


@shape
@only_with_cache_all
def access_generic_foreign_key(q: Reader) -> Any:
    return [review.subject for review in q(Review).order_by("pk")]


@shape
def manager_reverse(q: Reader) -> Any:
    return q.of(Author(pk=d.ADA).books)


@shape
def manager_reverse_filtered(q: Reader) -> Any:
    return q.of(Author(pk=d.ADA).books).filter(status=1).values_list("title", flat=True)


@shape
def manager_reverse_count(q: Reader) -> Any:
    return q.of(Author(pk=d.ADA).books).count()


@shape
def manager_reverse_to_field(q: Reader) -> Any:
    return q.of(Account(pk=d.BASE, handle="ada").letters).order_by("pk")


@shape
def manager_many_to_many(q: Reader) -> Any:
    return q.of(Book(pk=d.B0).coauthors)


@shape
def manager_many_to_many_through(q: Reader) -> Any:
    return q.of(Book(pk=d.B0).tags).filter(name__lt="zz").order_by("name")


@shape
def manager_many_to_many_reverse(q: Reader) -> Any:
    return q.of(Author(pk=d.BOB).cowritten).count()


@shape
def manager_many_to_many_exists(q: Reader) -> Any:
    return q.of(Tag(pk=d.GREEN).books).exists()


@shape
def manager_generic_relation(q: Reader) -> Any:
    return q.of(Book(pk=d.B0).reviews).order_by("pk")


@shape
def manager_generic_relation_sum(q: Reader) -> Any:
    return q.of(Book(pk=d.B0).reviews).aggregate(Sum("stars"))


@shape
def manager_self(q: Reader) -> Any:
    return q.of(Author(pk=d.ADA).pupils)


# Async twins


@shape
async def async_get(q: Reader) -> Any:
    return await q(Book).aget(pk=d.B0)


@shape
async def async_count(q: Reader) -> Any:
    return await q(Book).filter(author=d.ADA).acount()


@shape
async def async_exists(q: Reader) -> Any:
    return await q(Book).filter(author=d.DAN).aexists()


@shape
async def async_aggregate(q: Reader) -> Any:
    return await q(Book).aaggregate(Sum("pages"))


@shape
async def async_for(q: Reader) -> Any:
    return [book async for book in q(Book).filter(status=1)]


@shape
async def async_first(q: Reader) -> Any:
    return await q(Book).order_by("-views", "id").afirst()


@shape
async def async_in_bulk(q: Reader) -> Any:
    return await q(Book).ain_bulk([d.B0, d.B1])


@shape
async def async_contains(q: Reader) -> Any:
    return await q(Book).filter(status=1).acontains(Book(pk=d.B1))


# What passes through


@shape
@bypassed("iterator() streams rows and holds none of them")
def iterator(q: Reader) -> Any:
    return list(q(Book).iterator(chunk_size=100))


@shape
@bypassed("raw() is SQL whose tables nobody declared")
def raw(q: Reader) -> Any:
    return list(Book.objects.raw("SELECT * FROM library_book ORDER BY id"))


@shape
@bypassed("it asks for the time of the database")
def now(q: Reader) -> Any:
    return q(Book).filter(published__lt=django.db.models.functions.Now()).values_list("id", flat=True)


@shape
@bypassed("extra() holds SQL whose tables are not known")
def extra(q: Reader) -> Any:
    return q(Book).extra(where=["views > 4"])


@shape
@bypassed("none() asks the database nothing")
def none(q: Reader) -> Any:
    return q(Book).none()


@shape
@bypassed("an empty IN () asks the database nothing")
def in_nothing(q: Reader) -> Any:
    return q(Book).filter(pk__in=[])


@shape
def moment_in_another_zone(q: Reader) -> Any:
    from datetime import timedelta, timezone

    return q(Book).filter(published=d.T0.astimezone(timezone(timedelta(hours=5))))


@shape
def moment_range(q: Reader) -> Any:
    return q(Book).filter(published__gte=datetime(2024, 3, 1, tzinfo=UTC)).values_list("published", flat=True)
