"""Rows of which something is not known for certain when they are written (DESIGN section 4)."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models.sql import DeleteQuery
from django.db.models.sql.constants import ROW_COUNT
from django.test.utils import isolate_apps

from everfresh.events import Outcome
from everfresh.tables import describe, forget_tables, tables_by_name
from everfresh.writing.capture import changed_by_database
from tests.library import models as library
from tests.library.models import Counted, Everything, Tag
from tests.protocol.schedule import observed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def another_model(table: str, **fields: models.Field[Any, Any]) -> Iterator[type[models.Model]]:
    """One more model of a table that has one."""
    meta = type("Meta", (), {"app_label": "library", "db_table": table, "managed": False})
    model: Any = type("Another", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
    forget_tables()
    try:
        yield model
    finally:
        del apps.all_models["library"]["another"]
        apps.clear_cache()
        forget_tables()


def test_key_that_only_the_database_knows() -> None:
    """A row whose key was not returned may be the one that was asked for and missing."""
    last = Tag.objects.create(name="last").pk
    missing = [Tag.objects.cache().filter(pk=last + more) for more in range(1, 4)]
    assert not any(query.all() for query in missing)
    Tag.objects.bulk_create([Tag(name=name) for name in "abc"], ignore_conflicts=True)

    assert ["a", "b", "c"] == [tag.name for query in missing for tag in query.all()]


def test_column_that_is_left_to_the_database() -> None:
    """A model that does not name a column of its table leaves its value to the database."""
    sevens = Counted.objects.cache().filter(rank=7)
    assert 0 == len(sevens.all())
    with another_model("library_counted", amount=models.IntegerField()) as narrow:
        narrow._default_manager.create(amount=1)

        assert [1] == [counted.amount for counted in sevens.all()]


def test_models_that_do_not_agree() -> None:
    """A column that two models of a table read as different things is compared by neither."""
    assert "amount" in describe("library_counted", connection.vendor).readable  # type: ignore[union-attr]
    with another_model("library_counted", amount=models.TextField()):
        assert "amount" not in describe("library_counted", connection.vendor).readable  # type: ignore[union-attr]


def test_decimals_that_the_database_does_not_tell_apart(configure: Configure) -> None:
    """SQLite keeps 15 digits of a decimal: beyond, what is equal there is not equal in Python."""
    configure(MODELS={"library.Everything": {"tag_fields": ["decimal"]}})
    one, other = Decimal("1234567890123456.7890"), Decimal("1234567890123456.7891")
    equal = Everything.objects.cache().filter(decimal=one)
    assert 0 == len(equal.all())
    Everything.objects.create(decimal=other)

    assert len(equal.nocache()) == len(equal.all())


def test_foreign_keys_without_an_index() -> None:
    """Every foreign key has tags: it is what lists of related rows are filtered by."""
    with another_model("library_loose", tag=models.ForeignKey(Tag, models.CASCADE, db_index=False, related_name="+")):
        assert ("id", "tag_id") == describe("library_loose", connection.vendor).tag_columns  # type: ignore[union-attr]


def test_tables_of_mixed_case() -> None:
    """SQL text names a table in any case, in quotes and out of them."""
    with another_model('library"."Mixed'):
        assert ('library"."Mixed',) == tables_by_name()["mixed"]


def test_fields_of_unknown_classes_name_no_rows() -> None:
    """A column that nobody can name has no tags, and leaves those of the others alone."""
    Everything.objects.bulk_create([Everything(id=1), Everything(id=2)])
    first = Everything.objects.cache().filter(id=1)
    assert [0] == [row.small for row in first.all()]
    Everything.objects.filter(id=2).update(small=5)

    with observed() as outcomes:
        assert [0] == [row.small for row in first.all()]
    assert [Outcome.HIT] == outcomes


@pytest.mark.skipif(django.VERSION < (6, 1), reason="the cascades of the database came with Django 6.1")
@isolate_apps("tests.library")
def test_cascades_of_the_database_go_on() -> None:
    """Where the database deletes rows along with others, it goes on with what depends on those."""

    class First(models.Model):
        class Meta:
            app_label = "library"

    class Second(models.Model):
        first = models.ForeignKey(First, models.DB_CASCADE)

        class Meta:
            app_label = "library"

    class Third(models.Model):
        second = models.ForeignKey(Second, models.DB_CASCADE)

        class Meta:
            app_label = "library"

    assert {"library_second", "library_third"} == set(changed_by_database(First))


@pytest.mark.skipif(django.VERSION < (6, 1), reason="the cascades of the database came with Django 6.1")
def test_cascades_of_the_database_on_a_copy_of_a_connection() -> None:
    """What the database deletes along is invalidated too where each statement is its own COMMIT."""
    slots = library.Slot.objects.cache()
    shelf = library.Shelf.objects.create(name="a")
    library.Slot.objects.create(shelf=shelf)
    assert 1 == len(slots.all())
    own = connection.copy()
    own.ensure_connection()
    try:
        query: Any = library.Shelf.objects.filter(pk=shelf.pk).query.chain(DeleteQuery)
        query.get_compiler(connection=own).execute_sql(ROW_COUNT)
    finally:
        own.close()

    assert 0 == len(slots.all())


@pytest.mark.skipif(django.VERSION < (6, 1), reason="the cascades of the database came with Django 6.1")
@pytest.mark.parametrize("by", ["queryset", "sql"])
def test_cascades_of_the_database_from_an_excluded_table(by: str, configure: Configure) -> None:
    """A table whose own writes nobody looks at may lead the database to rows of one that is cached."""
    configure(EXCLUDE=["library.Shelf"])
    slots = library.Slot.objects.cache()
    library.Slot.objects.create(shelf=library.Shelf.objects.create(name="a"))
    assert 1 == len(slots.all())

    if by == "queryset":
        library.Shelf.objects.all().delete()
    else:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM library_shelf")

    assert 0 == len(slots.all())
