"""Every table that the database reads for an answer is among the answer's clauses."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot
from django.db import connection, transaction
from django.db.models import Count
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, assume, given, settings
from sqlglot import exp

from everfresh import disabled
from everfresh.exceptions import Uncacheable
from everfresh.queries.plan import plan
from tests.queries.answers import IMPOSSIBLE
from tests.queries.strategies import Asked, asked

pytestmark = pytest.mark.django_db

QUICK = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
_DIALECTS = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}

OPERATIONS: dict[str, Any] = {
    "rows": list,
    "count": lambda queryset: queryset.count(),
    "exists": lambda queryset: queryset.exists(),
    "aggregate": lambda queryset: queryset.aggregate(n=Count("pk")),
}


def tables_read(sql: str) -> set[str]:
    """The tables in the text of a statement."""
    parsed = sqlglot.parse_one(sql, dialect=_DIALECTS[connection.vendor])
    return {each.name for each in parsed.find_all(exp.Table)}


def tables_known(read: Asked, form: str) -> set[str]:
    """The tables in the clauses of an entry."""
    aggregates = {"count": {"__count": Count("*")}, "aggregate": {"n": Count("pk")}}.get(form, {})
    wanted = plan(read.queryset().query, "default", form, None, aggregates).wanted
    return {tag.table for tag in wanted.clauses.tags}


def executed(read: Asked, form: str) -> list[str]:
    """The SELECTs that really ran."""
    with disabled(), CaptureQueriesContext(connection) as captured:
        OPERATIONS[form](read.queryset())
    return [each["sql"] for each in captured.captured_queries if each["sql"].startswith(("SELECT", "("))]


def covers(read: Asked, form: str) -> None:
    """What was read is known."""
    for sql in executed(read, form):
        assert tables_read(sql) <= tables_known(read, form), sql


@pytest.mark.slow
@pytest.mark.parametrize("form", OPERATIONS)
@QUICK
@given(read=asked())
def test_every_table_of_the_sql_is_in_the_clauses(form: str, read: Asked) -> None:
    """For any query, by the text of the SQL that the database was sent."""
    connection.queries_log.clear()
    try:
        # In a savepoint: a refused question would break the transaction around all examples.
        with disabled(), transaction.atomic():
            OPERATIONS[form](read.queryset())
    except IMPOSSIBLE:
        assume(False)
    try:
        covers(read, form)
    except Uncacheable:
        assume(False)


@pytest.mark.parametrize(
    "code",
    [
        "Book.objects.select_related('author__publisher', 'author__mentor')",
        "Book.objects.order_by('author__publisher__name')",
        "Book.objects.annotate(x=fn.Coalesce(Subquery(Author.objects.filter(pk=OuterRef('author')).values('pk')), 1))",
        "Book.objects.annotate(x=Case(When(Exists(Tagging.objects.filter(book=OuterRef('pk'))), then=1), default=2))",
        "Book.objects.filter(Exists(Author.objects.filter(Exists(Publisher.objects.filter(pk=OuterRef('publisher'))))))",
        "Author.objects.exclude(books__tags__name='a')",
        "Author.objects.annotate(r=FilteredRelation('books', condition=Q(books__tags__name='a'))).filter(r__pages=1)",
        "Author.objects.filter(books__reviews__stars=1)",
        "Shop.objects.filter(stock__author__name='a')",
        "Author.objects.filter(pk=1).order_by().union(Author.objects.filter(books__status=1).order_by())",
        "Book.objects.filter(author__in=Author.objects.filter(publisher__name='a'))",
        "Book.objects.values('author__publisher__name').annotate(n=Count('tags'))",
        "Order.objects.select_related('shop').filter(lines__book__title='a')",
        "Author.objects.select_related('profile')",
        "Book.objects.none().union(Book.objects.order_by(), Book.objects.filter(author__name='a').order_by())",
        "Book.objects.order_by().union(Book.objects.order_by()).values_list('author__name')",
    ],
)
def test_tables_that_only_a_part_of_the_query_names(code: str) -> None:
    """Each is a way in which a table gets into the SQL unseen."""
    for form in OPERATIONS:
        try:
            with transaction.atomic():
                executed(Asked(code), form)
        except IMPOSSIBLE:
            continue
        try:
            covers(Asked(code), form)
        except Uncacheable:
            continue


def test_the_statements_are_understood() -> None:
    """A test that reads no table name from SQL would prove nothing."""
    (sql,) = executed(Asked("Book.objects.filter(author__name='a')"), "rows")

    assert {"library_book", "library_author"} == tables_read(sql)
