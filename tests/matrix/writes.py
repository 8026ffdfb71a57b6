# ruff: noqa: D103  (the name of a write is its sentence)
"""The write paths: each a function that changes something of the library in one way.

Each begins with the rows of `tests.matrix.data`. The name says how it writes; what it changes shows in some shape.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, connections, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Concat, Lower, Now

import everfresh
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
from tests.settings import DB

Write = Callable[[], None]

WRITES: dict[str, Write] = {}

CHANGES_NOTHING: set[str] = set()
"""Writes after which every answer is what it was."""

BY_ITSELF: set[str] = set()
"""Writes that need a transaction of their own, or another connection: not for use inside ``atomic()``."""


def write(function: Write) -> Write:
    """Take part in the matrix."""
    WRITES[function.__name__] = function
    return function


def changes_nothing(function: Write) -> Write:
    """No answer may differ afterwards."""
    CHANGES_NOTHING.add(function.__name__)
    return function


def by_itself(function: Write) -> Write:
    """It cannot be part of a transaction."""
    BY_ITSELF.add(function.__name__)
    return function


def only_on(condition: bool) -> Callable[[Write], Write]:
    """Take part in the matrix where *condition* holds."""
    return write if condition else lambda function: function


# By save


@write
def save_new() -> None:
    Author(name="New", email="new@x.org", publisher_id=d.ACME, born=date(1999, 9, 9)).save()


@write
def save_new_book() -> None:
    Book(title="Eta", author_id=d.ADA, status=1, pages=120, price=Decimal("9.5"), data={"a": 1}, published=d.T0).save()


@write
def save_first_book_of_author() -> None:
    Book(title="First", author_id=d.DAN, status=1).save()


@write
def save_one_column() -> None:
    book = Book.objects.get(pk=d.B0)
    book.title = "Aleph"
    book.save()


@write
def save_every_column() -> None:
    book = Book.objects.get(pk=d.B0)
    book.title, book.status, book.pages, book.views = "Other", 2, 321, 99
    book.price, book.data, book.published = Decimal("7.77"), {"a": [1]}, d.T0 + timedelta(days=900)
    book.author = Author.objects.get(pk=d.DAN)
    book.save()


@write
def save_other_author() -> None:
    book = Book.objects.get(pk=d.B3)
    book.author_id = d.CLEO
    book.save()


@write
def save_update_fields() -> None:
    book = Book.objects.get(pk=d.B1)
    book.status, book.title = 1, "not saved"
    book.save(update_fields=["status"])


@write
def save_of_deferred() -> None:
    book = Book.objects.only("views").get(pk=d.B1)
    book.views = 1000
    book.save()


@write
def save_forced_insert() -> None:
    Tag(pk=d.BASE + 50, name="new").save(force_insert=True)


@write
def save_forced_update() -> None:
    Author(pk=d.CLEO, name="Clea", email="new@x.org", mentor_id=d.BOB).save(force_update=True)


@write
def save_of_unread_row() -> None:
    """An instance made by hand: the old row was never in memory."""
    Book(pk=d.B4, title="Overwritten", author_id=d.DAN, status=3).save()


@write
@changes_nothing
def save_unchanged() -> None:
    for book in Book.objects.all():
        book.save()


@write
def save_to_null() -> None:
    author = Author.objects.get(pk=d.BOB)
    author.email = author.publisher = author.mentor = author.born = None
    author.save()


@write
def save_from_null() -> None:
    author = Author.objects.get(pk=d.DAN)
    author.publisher_id, author.mentor_id, author.born = d.ZETA, d.CLEO, date(1900, 1, 1)
    author.save()


@write
def save_related_row() -> None:
    publisher = Publisher.objects.get(pk=d.ACME)
    publisher.country = "BE"
    publisher.save()


@write
def save_name_used_by_filters() -> None:
    author = Author.objects.get(pk=d.ADA)
    author.name = "Augusta"
    author.save()


@write
def save_one_to_one() -> None:
    profile = Profile.objects.get(pk=d.BOB)
    profile.motto = "think"
    profile.save()


@write
def save_new_one_to_one() -> None:
    Profile(author_id=d.DAN, motto="think").save()


@write
def save_expression() -> None:
    book = Book.objects.get(pk=d.B0)
    book.views = F("views") + 1
    book.status = F("status") + 1
    book.save()


@write
def save_proxy() -> None:
    book = SignedBook.objects.get(pk=d.B0)
    book.author_id, book.title = d.BOB, "Signed"
    book.save()


@write
def save_child_of_parent() -> None:
    shop = Shop.objects.get(pk=d.SHOP)
    shop.city, shop.opens = "Ghent", None
    shop.save()


@write
def save_child_column_only() -> None:
    shop = Shop.objects.get(pk=d.STALL)
    shop.opens = time(10)
    shop.save(update_fields=["opens"])


@write
def save_parent_of_child() -> None:
    place = Place.objects.get(pk=d.SHOP)
    place.name, place.city = "Renamed", "Ghent"
    place.save()


@write
def save_new_child() -> None:
    Shop(name="Corner", city="Delft", opens=time(8)).save()


@write
def save_child_for_existing_parent() -> None:
    shop = Shop(place_ptr_id=d.KIOSK, opens=time(6))
    shop.save_base(raw=True)


@write
def save_composite_key() -> None:
    line = OrderLine.objects.get(pk=(d.ORDER, 1))
    line.amount, line.book_id = 20, d.B4
    line.save()


@write
def save_new_composite_key() -> None:
    OrderLine(order_id=d.ORDER, position=3, book_id=d.B5, amount=4).save()


@write
def save_uuid_node() -> None:
    node = Node.objects.get(pk=d.LEAF)
    node.parent_id, node.label = d.ROOT, "moved"
    node.save()


@write
def save_new_uuid_node() -> None:
    Node(parent_id=d.LEFT, label="second leaf").save()


@write
def save_every_kind_of_column() -> None:
    row = Everything.objects.get(pk=d.E1)
    row.big, row.binary, row.boolean, row.char, row.date = -(2**60), b"new\x00", True, "cc", date(2000, 1, 1)
    row.moment, row.decimal, row.duration = d.T0 + timedelta(days=1), Decimal("-1.2300"), timedelta(hours=-3)
    row.float, row.ip, row.json, row.small, row.text = -1.5, "2001:db8::1", [1, {"a": None}], 3, "t"
    row.time, row.url, row.uuid, row.shouted = time(1, 2, 3), "http://a.b/", uuid.UUID(int=7), "hey"
    row.save()


@write
def save_generated() -> None:
    row = Counted.objects.get(pk=d.BASE + 1)
    row.amount, row.rank = 3, 8
    row.save()


@write
def save_new_generated() -> None:
    Counted(amount=3).save()


@write
def save_on_other_database() -> None:
    row = Managed.objects.using("other").get(pk=d.BASE)
    row.name = "farther"
    row.save()


@write
def save_copied_to_other_database() -> None:
    row = Managed.objects.get(pk=d.BASE)
    row.save(using="other")


@write
def save_to_field() -> None:
    letter = Letter.objects.get(pk=d.BASE)
    letter.owner = Account.objects.get(handle="bob")
    letter.save()


# By create and its kin


@write
def create() -> None:
    Book.objects.create(title="Theta", author_id=d.BOB, status=2, data={"a": 1, "deep": {"k": 1}})


@write
def create_tag() -> None:
    Tag.objects.create(name="new")


@write
def create_by_related_manager() -> None:
    Author(pk=d.DAN).books.create(title="Iota", status=1)


@write
def create_on_other_database() -> None:
    Managed.objects.using("other").create(name="new")


@write
def get_or_create_new() -> None:
    assert Author.objects.get_or_create(email="new@x.org", defaults={"name": "New", "publisher_id": d.ZETA})[1]


@write
@changes_nothing
def get_or_create_found() -> None:
    assert not Author.objects.get_or_create(email="ada@x.org", defaults={"name": "No"})[1]


@write
def update_or_create_new() -> None:
    assert Tag.objects.update_or_create(name="new", defaults={"name": "newer"})[1]


@write
def update_or_create_found() -> None:
    assert not Author.objects.update_or_create(email="ada@x.org", defaults={"name": "Adah", "active": False})[1]


@write
def bulk_create() -> None:
    Book.objects.bulk_create([Book(title=f"Bulk {n}", author_id=d.DAN, status=n, pages=n * 100) for n in range(3)])


@write
def bulk_create_in_batches() -> None:
    Tag.objects.bulk_create([Tag(name=f"t{n}") for n in range(5)], batch_size=2)


@write
def bulk_create_ignoring_conflicts() -> None:
    Tag.objects.bulk_create([Tag(name="red"), Tag(name="new")], ignore_conflicts=True)


@write
def bulk_create_updating_conflicts() -> None:
    target = {} if connection.vendor == "mysql" else {"unique_fields": ["email"]}
    Author.objects.bulk_create(
        [Author(name="Ida", email="ada@x.org", publisher_id=d.ZETA), Author(name="New", email="new@x.org")],
        update_conflicts=True,
        update_fields=["name", "publisher"],
        **target,
    )


@write
def bulk_create_composite() -> None:
    OrderLine.objects.bulk_create([OrderLine(order_id=d.ORDER, position=n, amount=n) for n in (7, 8)])


@write
def bulk_create_with_expression() -> None:
    Author.objects.bulk_create([Author(name=Lower(Value("BOB")), email="new@x.org")])


@write
def bulk_create_generated() -> None:
    Counted.objects.bulk_create([Counted(amount=3), Counted(amount=9, rank=1)])


# update


@write
def bulk_update() -> None:
    books = list(Book.objects.filter(author=d.ADA))
    for book in books:
        book.status, book.pages = book.status + 1, book.pages + 1
    Book.objects.bulk_update(books, ["status", "pages"])


@write
def bulk_update_foreign_key() -> None:
    books = list(Book.objects.all())
    for book in books:
        book.author_id = d.DAN if book.author_id == d.ADA else d.ADA
    Book.objects.bulk_update(books, ["author"], batch_size=4)


@write
def bulk_update_json() -> None:
    book = Book.objects.get(pk=d.B5)
    book.data = {"a": 1}
    Book.objects.bulk_update([book], ["data"])


@write
def update_literal() -> None:
    Book.objects.filter(status=1).update(status=2)


@write
def update_everything() -> None:
    Book.objects.update(title="Same", pages=1)


@write
def update_one_unindexed_column() -> None:
    Book.objects.filter(pk=d.B0).update(views=6)


@write
def update_f() -> None:
    Book.objects.update(views=F("views") + 3)


@write
def update_f_indexed() -> None:
    Book.objects.filter(author=d.ADA).update(status=F("status") + 1, price=F("price") * 2)


@write
def update_f_of_other_column() -> None:
    Book.objects.filter(pk=d.B0).update(status=F("views"))


@write
def update_case() -> None:
    Book.objects.update(status=Case(When(pages__gte=200, then=Value(1)), default=F("status")))


@write
def update_subquery() -> None:
    total = Review.objects.filter(object_id=OuterRef("pk")).order_by().values("object_id")
    Book.objects.update(views=Coalesce(Subquery(total.annotate(s=Sum("stars")).values("s")), 0))


@write
def update_subquery_foreign_key() -> None:
    mentor = Profile.objects.filter(motto="think").values("pk")[:1]
    Author.objects.filter(mentor=None).exclude(pk=d.ADA).update(mentor=Subquery(mentor))


@write
def update_function() -> None:
    Author.objects.filter(pk=d.ADA).update(name=Concat(Value("B"), Value("ob")))


@write
def update_over_join_filter() -> None:
    Book.objects.filter(author__publisher__name="Acme", tags__name="red").update(status=9)


@write
def update_by_own_filter() -> None:
    """After the update the rows no longer match what they were found by."""
    Author.objects.filter(name="Bob").update(name="Rob")


@write
def update_annotated() -> None:
    Author.objects.annotate(n=models.Count("books")).filter(n__gt=1).update(bio="prolific", active=False)


@write
def update_where_exists() -> None:
    Author.objects.filter(~Exists(Book.objects.filter(author=OuterRef("pk")))).update(publisher=d.ACME)


@write
def update_many_to_many_filter() -> None:
    Book.objects.filter(Q(coauthors__name="Bob") | Q(tags__name="blue")).update(author=d.CLEO)


@write
def update_by_related_manager() -> None:
    Author(pk=d.ADA).books.update(status=5)


@write
def update_foreign_key_by_instance() -> None:
    Book.objects.filter(pk=d.B3).update(author=Author.objects.get(pk=d.DAN))


@write
def update_to_field_by_instance() -> None:
    Letter.objects.filter(pk=d.BASE).update(owner=Account.objects.get(handle="bob"))


@write
def update_to_field_by_value() -> None:
    Letter.objects.filter(pk=d.BASE + 2).update(owner="ada")


@write
def update_to_null() -> None:
    Author.objects.filter(pk__in=[d.ADA, d.BOB]).update(publisher=None, born=None, email=None)


@write
@changes_nothing
def update_to_same() -> None:
    Book.objects.filter(author=d.ADA).update(author=d.ADA)


@write
@changes_nothing
def update_of_nothing() -> None:
    assert Book.objects.filter(title="no such").update(status=1) == 0


@write
def update_child_and_parent() -> None:
    assert Shop.objects.filter(city="Delft").update(city="Ghent", opens=time(7)) == 1


@write
def update_parent_column_by_child() -> None:
    Shop.objects.filter(opens=None).update(city="Delft")


@write
def update_child_by_stock() -> None:
    Shop.objects.filter(stock__title="Delta").update(opens=time(5))


@write
def update_proxy() -> None:
    SignedBook.objects.filter(pk=d.B1).update(author=d.BOB)


@write
def update_primary_key() -> None:
    Tag.objects.create(pk=d.BASE + 60, name="loose")
    Tag.objects.filter(name="loose").update(id=d.BASE + 61, name="new")


@write
def update_primary_key_by_f() -> None:
    Managed.objects.update(id=F("id") + 10)


@write
def update_composite_key() -> None:
    OrderLine.objects.filter(order=d.ORDER, position=1).update(position=9)


@write
def update_part_of_composite_key() -> None:
    OrderLine.objects.filter(pk=(d.ORDER, 2)).update(order=d.ORDER2, position=5)


@write
def update_swaps_unique() -> None:
    """Two rows exchange their unique values by way of a third."""
    Author.objects.filter(pk=d.ADA).update(email="swap@x.org")
    Author.objects.filter(pk=d.BOB).update(email="ada@x.org")
    Author.objects.filter(pk=d.ADA).update(email="bob@x.org")


@write
def update_generated() -> None:
    Counted.objects.filter(amount=4).update(amount=3)


@write
def update_json() -> None:
    Book.objects.filter(pk=d.B2).update(data={"a": 1, "deep": {"k": None}})


@write
def update_datetime() -> None:
    Book.objects.filter(pk=d.B2).update(published=d.T0)


@write
def update_to_now() -> None:
    Book.objects.filter(pk=d.B2).update(published=Now())


@write
def update_date_from_text() -> None:
    Author.objects.filter(pk=d.CLEO).update(born="1900-01-01")


@write
def update_decimal_from_float() -> None:
    Book.objects.filter(pk=d.B1).update(price=9.5)


@write
def update_decimal_beyond_scale() -> None:
    Book.objects.filter(pk=d.B1).update(price=Decimal("9.50000"))


@write
def update_datetime_in_another_zone() -> None:
    from datetime import timezone

    Book.objects.filter(pk=d.B5).update(published=d.T0.astimezone(timezone(timedelta(hours=-3))))


@write
def update_custom_field() -> None:
    Everything.objects.filter(pk=d.E1).update(shouted="hey")


@write
def update_on_other_database() -> None:
    Publisher.objects.using("other").update(country="XX")


@write
def update_more_rows_than_are_looked_at() -> None:
    many = [Tag(name=f"many {n}") for n in range(1_100)]
    Tag.objects.bulk_create(many, batch_size=400)
    Tag.objects.filter(name__startswith="many").delete()
    Tag.objects.filter(pk=d.RED).update(name="ruby")


@write
def update_generic_key() -> None:
    Review.objects.filter(pk=d.BASE + 3).update(content_type=ContentType.objects.get_for_model(Book), object_id=d.B3)


# delete


@write
def delete_instance() -> None:
    Book.objects.get(pk=d.B0).delete()


@write
def delete_cascading() -> None:
    Author.objects.get(pk=d.ADA).delete()


@write
def delete_setting_null() -> None:
    Publisher.objects.get(pk=d.ACME).delete()


@write
def delete_setting_null_elsewhere() -> None:
    """The lines of orders lose their book."""
    Book.objects.filter(pk__in=[d.B1, d.B3]).delete()


@write
def delete_self_reference() -> None:
    Author.objects.filter(pk=d.CLEO).delete()


@write
def delete_queryset() -> None:
    Book.objects.filter(status=1).delete()


@write
def delete_fast() -> None:
    assert Tagging.objects.filter(tag=d.RED).delete()[0] == 3


@write
def delete_over_join() -> None:
    Tagging.objects.filter(book__author__name="Ada").delete()


@write
def delete_raw() -> None:
    Tagging.objects.filter(weight__gt=2)._raw_delete("default")


@write
@changes_nothing
def delete_of_nothing() -> None:
    Book.objects.filter(title="no such").delete()


@write
def delete_tree() -> None:
    Node.objects.get(pk=d.LEFT).delete()


@write
def delete_child() -> None:
    Order.objects.filter(shop=d.SHOP).delete()
    Shop.objects.get(pk=d.SHOP).delete()


@write
def delete_child_keeping_parent() -> None:
    Order.objects.all().delete()
    Shop.objects.get(pk=d.SHOP).delete(keep_parents=True)


@write
def delete_parent() -> None:
    Place.objects.filter(city="Ghent").delete()


@write
def delete_composite_key() -> None:
    OrderLine.objects.get(pk=(d.ORDER, 1)).delete()


@write
def delete_composite_key_queryset() -> None:
    OrderLine.objects.filter(pk__in=[(d.ORDER, 2), (d.ORDER2, 1)]).delete()


@write
def delete_generic() -> None:
    Review.objects.filter(stars__gte=4).delete()


@write
def delete_one_to_one() -> None:
    Profile.objects.get(motto="think").delete()


@write
def delete_everything_of_a_table() -> None:
    Tag.objects.all().delete()


@write
def delete_by_related_manager() -> None:
    Author(pk=d.BOB).books.filter(status=2).delete()


@write
def delete_to_field() -> None:
    Account.objects.filter(handle="ada").delete()


@write
def delete_on_other_database() -> None:
    Managed.objects.using("other").filter(name="far").delete()


# Relations


@write
def many_to_many_add() -> None:
    Book(pk=d.B1).coauthors.add(d.DAN, Author(pk=d.BOB))


@write
def many_to_many_add_reverse() -> None:
    Author(pk=d.BOB).cowritten.add(d.B5, d.B4)


@write
@changes_nothing
def many_to_many_add_again() -> None:
    Book(pk=d.B0).coauthors.add(d.BOB)


@write
def many_to_many_remove() -> None:
    Book(pk=d.B0).coauthors.remove(d.BOB)


@write
def many_to_many_remove_reverse() -> None:
    Author(pk=d.CLEO).cowritten.remove(d.B0)


@write
def many_to_many_set() -> None:
    Book(pk=d.B0).coauthors.set([d.CLEO, d.DAN])


@write
def many_to_many_set_reverse() -> None:
    Author(pk=d.BOB).cowritten.set([d.B2])


@write
def many_to_many_clear() -> None:
    Book(pk=d.B0).coauthors.clear()


@write
def many_to_many_clear_reverse() -> None:
    Author(pk=d.BOB).cowritten.clear()


@write
def many_to_many_create() -> None:
    Book.objects.get(pk=d.B0).coauthors.create(name="Eve", email="new@x.org")


@write
def through_add() -> None:
    Book(pk=d.B0).tags.add(d.GREEN, through_defaults={"weight": 9})


@write
def through_add_reverse() -> None:
    Tag(pk=d.GREEN).books.add(d.B2, d.B5, through_defaults={"weight": 2})


@write
def through_remove() -> None:
    Book(pk=d.B0).tags.remove(d.RED)


@write
def through_set() -> None:
    Book(pk=d.B0).tags.set([d.GREEN, d.BLUE], through_defaults={"weight": 4})


@write
def through_clear_reverse() -> None:
    Tag(pk=d.RED).books.clear()


@write
def through_save() -> None:
    tagging = Tagging.objects.get(pk=d.BASE)
    tagging.tag_id, tagging.weight = d.GREEN, 8
    tagging.save()


@write
def inherited_many_to_many_add() -> None:
    Shop.objects.get(pk=d.STALL).stock.add(d.B5)


@write
def inherited_many_to_many_clear_reverse() -> None:
    Book(pk=d.B0).shops.clear()


@write
def foreign_key_add() -> None:
    Publisher(pk=d.ZETA).authors.add(*Author.objects.filter(pk__in=[d.DAN, d.ADA]))


@write
def foreign_key_add_one_by_one() -> None:
    Publisher.objects.get(pk=d.ZETA).authors.add(Author.objects.get(pk=d.DAN), bulk=False)


@write
def foreign_key_remove() -> None:
    Publisher(pk=d.ACME).authors.remove(Author.objects.get(pk=d.ADA))


@write
def foreign_key_clear() -> None:
    Publisher(pk=d.ACME).authors.clear()


@write
def foreign_key_set() -> None:
    Publisher(pk=d.ACME).authors.set(Author.objects.filter(pk__in=[d.ADA, d.CLEO]))


@write
def foreign_key_set_reassigning() -> None:
    Author(pk=d.BOB).books.set(Book.objects.filter(author=d.ADA))


@write
def foreign_key_clear_self() -> None:
    Author(pk=d.ADA).pupils.clear()


@write
def foreign_key_create() -> None:
    Publisher(pk=d.IDLE).authors.create(name="Fay", email="new@x.org")


@write
def generic_create() -> None:
    Book.objects.get(pk=d.B0).reviews.create(stars=4)


@write
def generic_add() -> None:
    Book.objects.get(pk=d.B0).reviews.add(Review.objects.get(pk=d.BASE + 2))


@write
def generic_set() -> None:
    Book.objects.get(pk=d.B5).reviews.set(Review.objects.filter(stars__gte=4))


@write
def generic_clear() -> None:
    Book.objects.get(pk=d.B0).reviews.clear()


@write
def generic_subject() -> None:
    review = Review.objects.get(pk=d.BASE)
    review.subject = Author.objects.get(pk=d.ADA)
    review.save()


# What the database changes by itself


@only_on(d.HAS_DATABASE_CASCADES)
def database_cascade() -> None:
    library.Shelf.objects.get(pk=d.BASE).delete()


@only_on(d.HAS_DATABASE_CASCADES)
def database_cascade_queryset() -> None:
    library.Shelf.objects.filter(name="shelf 1").delete()


@only_on(d.HAS_DATABASE_CASCADES)
def database_cascade_raw_delete() -> None:
    library.Shelf.objects.filter(pk=d.BASE)._raw_delete("default")


@only_on(d.HAS_DATABASE_CASCADES)
def database_cascade_by_raw_sql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM library_shelf WHERE id = %s", [d.BASE])


@only_on(DB == "postgresql")
def array_and_range() -> None:
    from django.db.backends.postgresql.psycopg_any import NumericRange

    library.Measured.objects.filter(pk=d.BASE + 1).update(numbers=[2], span=NumericRange(2, 4))


# Raw SQL through Django's cursor


def _run(sql: str, params: Any = None, using: str = "default") -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)


@write
def raw_update() -> None:
    _run("UPDATE library_book SET status = 2, title = 'raw' WHERE id = %s", [d.B0])


@write
def raw_insert() -> None:
    _run("INSERT INTO library_tag (name) VALUES ('new')")


@write
def raw_delete() -> None:
    _run("DELETE FROM library_tagging WHERE weight > 1")


@write
def raw_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE library_author SET name = %s WHERE id = %s", [("Raw", d.ADA), ("Rawer", d.BOB)])


@write
def raw_quoted() -> None:
    name = connection.ops.quote_name("library_publisher")
    _run(f"/* a comment */ UPDATE {name} SET country = 'BE' -- and another")


@write
def raw_mixed_case() -> None:
    table = "library_AUTHOR" if connection.vendor != "mysql" else "library_author"
    _run(f"uPdAtE {table} sEt active = (1 = 0)")


@write
def raw_with() -> None:
    if connection.vendor == "mysql":
        _run("UPDATE library_book b JOIN library_author a ON b.author_id = a.id SET b.views = 77 WHERE a.name = 'Ada'")
    else:
        _run(
            "WITH x AS (SELECT id FROM library_author WHERE name = 'Ada') "
            "UPDATE library_book SET views = 77 WHERE author_id IN (SELECT id FROM x)"
        )


@write
def raw_replace() -> None:
    if connection.vendor == "postgresql":
        _run(
            f"INSERT INTO library_tag (id, name) VALUES ({d.RED}, 'ruby') ON CONFLICT (id) DO UPDATE SET name = 'ruby'"
        )
    else:
        _run(f"REPLACE INTO library_managed (id, name) VALUES ({d.BASE}, 'replaced')")


@write
@changes_nothing
def raw_select() -> None:
    _run("SELECT * FROM library_book")


@write
def raw_on_other_database() -> None:
    _run("UPDATE library_managed SET name = 'raw'", using="other")


# Async twins


@write
def async_save() -> None:
    async def run() -> None:
        book = await Book.objects.aget(pk=d.B0)
        book.status = 2
        await book.asave()

    async_to_sync(run)()


@write
def async_create() -> None:
    async def run() -> None:
        await Book.objects.acreate(title="Async", author_id=d.DAN, status=1)

    async_to_sync(run)()


@write
def async_update() -> None:
    async_to_sync(Book.objects.filter(author=d.ADA).aupdate)(status=3)


@write
def async_delete() -> None:
    async_to_sync(Book.objects.filter(author=d.BOB).adelete)()


@write
def async_bulk() -> None:
    async def run() -> None:
        await Tag.objects.abulk_create([Tag(name="new")])
        await Book(pk=d.B2).tags.aadd(d.RED)
        await Book(pk=d.B0).coauthors.aclear()

    async_to_sync(run)()


@write
def async_get_or_create() -> None:
    async def run() -> None:
        await Author.objects.aget_or_create(email="new@x.org", defaults={"name": "New"})

    async_to_sync(run)()


# By other ways of Django


def _historical(name: str) -> Any:
    return ProjectState.from_apps(apps).apps.get_model("library", name)


@write
def historical_save() -> None:
    book = _historical("Book").objects.get(pk=d.B0)
    book.title, book.status = "History", 2
    book.save()


@write
def historical_create() -> None:
    _historical("Tag").objects.create(name="new")


@write
def historical_update() -> None:
    _historical("Book").objects.filter(author=d.ADA).update(author=d.DAN)


@write
def historical_delete() -> None:
    _historical("Author").objects.filter(pk=d.ADA).delete()


@write
def loaddata() -> None:
    rows = [
        {"model": "library.tag", "pk": d.RED, "fields": {"name": "ruby"}},
        {"model": "library.tag", "pk": d.BASE + 70, "fields": {"name": "new"}},
        {
            "model": "library.book",
            "pk": d.B0,
            "fields": {"title": "Loaded", "author": d.BOB, "status": 2, "coauthors": [d.DAN]},
        },
        {"model": "library.shop", "pk": d.SHOP, "fields": {"opens": "11:00:00", "stock": [d.B5]}},
        {"model": "library.place", "pk": d.SHOP, "fields": {"name": "Loaded", "city": "Ghent"}},
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps(rows))
        call_command("loaddata", str(path), verbosity=0)


@write
@by_itself
def flush_command() -> None:
    with transaction.atomic():
        Tag.objects.create(name="about to go")
    call_command("flush", interactive=False, verbosity=0)
    ContentType.objects.clear_cache()


# Transactions


@write
def atomic_several() -> None:
    with transaction.atomic():
        Tag.objects.create(name="new")
        Book.objects.filter(pk=d.B0).update(status=2)
        with transaction.atomic():
            Author(pk=d.ADA).books.filter(status=2).delete()


@write
@changes_nothing
def rolled_back() -> None:
    try:
        with transaction.atomic():
            Book.objects.all().delete()
            Tag.objects.create(name="new")
            assert Book.objects.count() == 0
            raise KeyError
    except KeyError:
        pass


@write
def savepoint_rolled_back() -> None:
    with transaction.atomic():
        Book.objects.filter(pk=d.B0).update(title="kept")
        try:
            with transaction.atomic():
                Book.objects.update(title="undone")
                assert Book.objects.filter(title="undone").exists()
                raise KeyError
        except KeyError:
            pass
        assert Book.objects.filter(title="kept").count() == 1


@write
@by_itself
def committed_by_hand() -> None:
    transaction.set_autocommit(False)
    try:
        Book.objects.filter(author=d.ADA).update(status=4)
        transaction.commit()
        Tag.objects.create(name="undone")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


@write
@by_itself
def both_databases_in_one_block() -> None:
    with transaction.atomic(), transaction.atomic(using="other"):
        Managed.objects.update(name="here")
        Managed.objects.using("other").update(name="there")


# Past Django, and then said


@contextmanager
def _past_django() -> Iterator[Any]:
    """A cursor of the driver's own, on a connection that Django never saw."""
    outside = connection.copy()
    outside.ensure_connection()
    cursor = outside.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()
        outside.connection.commit()
        outside.connection.close()


def _rename_unseen(name: str) -> None:
    with _past_django() as cursor:
        cursor.execute(f"UPDATE library_book SET title = '{name}', views = 1 WHERE id = {d.B0}")


@write
@by_itself
def unseen_then_instance() -> None:
    book = Book.objects.get(pk=d.B0)
    _rename_unseen("unseen")
    everfresh.invalidate(book)


@write
@by_itself
def unseen_then_queryset() -> None:
    _rename_unseen("unseen")
    everfresh.invalidate(Book.objects.filter(pk=d.B0))


@write
@by_itself
def unseen_then_joined_queryset() -> None:
    _rename_unseen("unseen")
    everfresh.invalidate(Book.objects.filter(author__name="Ada"))


@write
@by_itself
def unseen_then_model() -> None:
    with _past_django() as cursor:
        cursor.execute(f"UPDATE library_book SET author_id = {d.DAN}, status = 7 WHERE id = {d.B0}")
    everfresh.invalidate(Book)


@write
@by_itself
def unseen_then_app() -> None:
    with _past_django() as cursor:
        cursor.execute(f"UPDATE library_tagging SET tag_id = {d.GREEN} WHERE tag_id = {d.RED}")
        cursor.execute("DELETE FROM library_book_coauthors")
    everfresh.invalidate("library")


@write
@by_itself
def unseen_then_everything() -> None:
    with _past_django() as cursor:
        cursor.execute("DELETE FROM library_review")
        cursor.execute("UPDATE library_publisher SET name = 'Acme 2' WHERE name = 'Acme'")
    everfresh.invalidate(None)


@write
@by_itself
def unseen_insert_then_instance() -> None:
    with _past_django() as cursor:
        cursor.execute(f"INSERT INTO library_tag (id, name) VALUES ({d.BASE + 80}, 'new')")
    with everfresh.disabled():
        tag = Tag.objects.get(name="new")
    everfresh.invalidate(tag)


@write
@by_itself
def unseen_child_then_instance() -> None:
    shop = Shop.objects.get(pk=d.SHOP)
    with _past_django() as cursor:
        cursor.execute(f"UPDATE library_place SET name = 'unseen' WHERE id = {d.SHOP}")
        cursor.execute(f"UPDATE library_shop SET opens = '04:00:00' WHERE place_ptr_id = {d.SHOP}")
    everfresh.invalidate(shop)


@write
@by_itself
def unseen_child_then_queryset() -> None:
    with _past_django() as cursor:
        cursor.execute(f"UPDATE library_place SET name = 'unseen' WHERE id = {d.SHOP}")
        cursor.execute(f"UPDATE library_shop SET opens = '04:00:00' WHERE place_ptr_id = {d.SHOP}")
    everfresh.invalidate(Shop.objects.filter(pk=d.SHOP))


@write
@by_itself
def unseen_through_the_drivers_cursor() -> None:
    cursor = connection.connection.cursor()
    cursor.execute("UPDATE library_author SET bio = 'unseen'")
    cursor.close()
    everfresh.invalidate(Author, using="default")


@write
def moment_before_the_epoch() -> None:
    Book.objects.filter(pk=d.B0).update(published=datetime(1815, 12, 10, 1, 2, 3, 4, tzinfo=UTC))
