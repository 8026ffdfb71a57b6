"""The rows: a few for the scenarios, which begin each with the same ones, and many for the clock."""

from __future__ import annotations

from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection

from benchmarks.shop.models import Article, Author, Badge, Bar, Category, Comment, Product, Profile, Tag, Visit
from benchmarks.workload import ROWS, row

AUTHORS, ARTICLES_EACH, CATEGORIES = 50, 40, 10
ARTICLES = AUTHORS * ARTICLES_EACH
VISITS = 20_000
THOUSAND = 1000


def make_tables() -> None:
    """All tables, empty."""
    call_command("migrate", run_syncdb=True, verbosity=0)


def few() -> None:
    """Forget everything and write the rows that every scenario begins with."""
    _empty()
    Author.objects.bulk_create(Author(pk=pk, name=f"author {pk}", active=pk != 4) for pk in range(1, 6))
    Category.objects.bulk_create(Category(pk=pk, name=f"category {pk}", rank=pk) for pk in range(1, 4))
    Tag.objects.bulk_create(Tag(pk=pk, name=f"tag {pk}") for pk in range(1, 4))
    articles = [
        Article(
            pk=pk,
            author_id=1 + pk % 3,
            category_id=1 + pk % 2,
            title=f"article {pk}",
            about={"tenant": f"{'x' * 60} {pk % 2}", "n": pk},
        )
        for pk in range(1, 9)
    ]
    Article.objects.bulk_create(articles)
    for article in articles[:3]:
        article.tags.set([1, 2])
    Comment.objects.bulk_create(
        Comment(pk=pk, article_id=None if pk > 6 else 1 + pk % 4, reviewer_id=1 + pk % 3, text=f"comment {pk}")
        for pk in range(1, 9)
    )
    Badge.objects.bulk_create(Badge(pk=pk, article_id=pk, name=f"badge {pk}") for pk in range(1, 4))
    for pk in range(1, 4):
        Bar(pk=pk, name=f"bar {pk}", city="Rome", beers=pk).save(force_insert=True)
    _continue_numbering()


def many() -> None:
    """Forget everything and write the rows that operations are timed on."""
    _empty()
    Author.objects.bulk_create(Author(pk=pk, name=f"author {pk}") for pk in range(1, AUTHORS + 1))
    Category.objects.bulk_create(Category(pk=pk, name=f"category {pk}", rank=pk) for pk in range(1, CATEGORIES + 1))
    Article.objects.bulk_create(
        Article(
            pk=1 + number,
            author_id=1 + number // ARTICLES_EACH,
            category_id=1 + number % CATEGORIES,
            title=f"article {number}, of some importance",
            text="Nobody has read all of it. " * 4,
            views=number,
            about={"words": number},
        )
        for number in range(ARTICLES)
    )
    Visit.objects.bulk_create(
        Visit(batch=number // THOUSAND, author_id=1 + number % AUTHORS, path=f"/articles/{number}/")
        for number in range(VISITS)
    )
    Product.objects.bulk_create(Product(**row(pk)) for pk in range(1, ROWS + 1))
    Profile.objects.bulk_create(
        Profile(pk=pk, author_id=pk, title=f"profile {pk}", text="Nobody has read all of it. " * 4, about={"words": pk})
        for pk in range(1, AUTHORS + 1)
    )
    _continue_numbering()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE first_products AS SELECT * FROM shop_product")
        cursor.execute("ANALYZE")


def _models() -> list[type]:
    return list(apps.get_app_config("shop").get_models(include_auto_created=True))


def _empty() -> None:
    tables = [model._meta.db_table for model in _models()]
    connection.ops.execute_sql_flush(
        connection.ops.sql_flush(no_style(), tables, reset_sequences=True, allow_cascade=True)
    )


def _continue_numbering() -> None:
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), _models()):
            cursor.execute(statement)
