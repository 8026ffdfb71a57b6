"""A write drops the entries whose answer it can change, and no others (DESIGN section 3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet, Sum

import everfresh
from tests.conftest import Configure
from tests.library.models import Author, Book, Managed, Node, OrderLine, Place, Profile, Publisher, Review, Shop, Tag
from tests.matrix import data as d
from tests.matrix.reading import plain, watching
from tests.settings import DB

pytestmark = pytest.mark.django_db(databases="__all__")

EXACT_TEXT = DB != "mariadb"
"""Does the database tell texts apart as Python does?"""

Read = Callable[[], Any]


def _value(read: Read) -> object:
    found = read()
    return plain(list(found) if isinstance(found, QuerySet) else found)


def _dropped(read: Read, write: Callable[[], Any]) -> bool:
    """Did *write* drop the entry of *read*? Whichever, the answer must be the true one."""
    _value(read)
    with watching() as seen:
        _value(read)
    assert seen.only_hits, str(seen)
    write()
    with watching() as seen:
        found = _value(read)
    with everfresh.disabled():
        assert found == _value(read)
    return not seen.only_hits


def keeps(read: Read, write: Callable[[], Any]) -> None:
    """*read* is a hit after *write*."""
    assert not _dropped(read, write)


def drops(read: Read, write: Callable[[], Any]) -> None:
    """*read* asks the database after *write*."""
    assert _dropped(read, write)


def one_more_view(pk: int = d.B0) -> None:
    """By ``save()`` of a whole instance."""
    book = Book.objects.get(pk=pk)
    book.views += 1
    book.save()


def one_more_view_by_update(pk: int = d.B0) -> None:
    """By ``update()``."""
    Book.objects.filter(pk=pk).update(views=F("views") + 1)


VIEWS = pytest.mark.parametrize("view", [one_more_view, one_more_view_by_update])


# Columns


@VIEWS
def test_count_survives_other_columns(view: Callable[[], None]) -> None:
    """`views += 1` keeps `count()`."""
    keeps(Book.objects.count, view)


@VIEWS
def test_filtered_count_survives_other_columns(view: Callable[[], None]) -> None:
    """`views += 1` keeps the count of an author's books, that author's too."""
    keeps(Book.objects.filter(author=d.ADA).count, view)


@VIEWS
def test_count_over_range_survives_other_columns(view: Callable[[], None]) -> None:
    """A filter that is no equality names its column all the same."""
    keeps(Book.objects.filter(pages__gt=100).count, view)


@VIEWS
def test_exists_survives_other_columns(view: Callable[[], None]) -> None:
    """`views += 1` keeps `exists()`."""
    keeps(Book.objects.filter(author=d.ADA, status=1).exists, view)


@VIEWS
def test_values_survive_other_columns(view: Callable[[], None]) -> None:
    """`values("title")` shows no views."""
    keeps(lambda: Book.objects.order_by("id").values("title"), view)


@VIEWS
def test_aggregate_survives_other_columns(view: Callable[[], None]) -> None:
    """A sum of pages holds no views."""
    keeps(lambda: Book.objects.aggregate(Sum("pages")), view)


@VIEWS
def test_aggregate_of_the_column_is_dropped(view: Callable[[], None]) -> None:
    """A sum of views does."""
    drops(lambda: Book.objects.aggregate(Sum("views")), view)


@VIEWS
def test_instances_show_every_column(view: Callable[[], None]) -> None:
    """A list of instances shows whatever changes in its rows."""
    drops(lambda: Book.objects.filter(author=d.ADA), view)


@VIEWS
def test_only_shows_the_columns_named(view: Callable[[], None]) -> None:
    """`only("title")` shows no views."""
    keeps(lambda: Book.objects.only("title"), view)


@VIEWS
def test_ordering_counts_as_shown(view: Callable[[], None]) -> None:
    """What decides the order decides the answer."""
    drops(lambda: Book.objects.order_by("-views", "id").values_list("title", flat=True), view)


@VIEWS
def test_join_survives_other_columns(view: Callable[[], None]) -> None:
    """Counting authors by their books' status reads no views."""
    keeps(Author.objects.filter(books__status=1).count, view)


@VIEWS
def test_annotation_survives_other_columns(view: Callable[[], None]) -> None:
    """Counting each author's books reads no views."""
    keeps(lambda: Author.objects.annotate(n=Count("books")).values("id", "n"), view)


def test_update_of_filtered_column_drops_count() -> None:
    """A count is dropped when the column it filters on changes."""
    drops(Book.objects.filter(status=1).count, lambda: Book.objects.filter(pk=d.B0).update(status=2))


def test_count_of_table_survives_updates() -> None:
    """No update changes how many rows there are."""
    keeps(Book.objects.count, lambda: Book.objects.update(title="x", status=3, author=d.BOB))


def test_count_of_table_sees_insert_and_delete() -> None:
    """Inserts and deletes do."""
    drops(Book.objects.count, lambda: Book.objects.create(title="x", author_id=d.ADA))
    drops(Book.objects.count, lambda: Book.objects.filter(title="x").delete())


# Values


def test_other_authors_row_keeps_list() -> None:
    """A write to another author's row keeps this author's list."""
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.filter(author=d.BOB).update(title="x"))


def test_other_authors_new_row_keeps_list() -> None:
    """So does a new row of another author."""
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.create(title="x", author_id=d.BOB))


def test_other_authors_bulk_create_keeps_list() -> None:
    """So do many."""
    rows = [Book(title="x", author_id=d.BOB) for _ in range(5)]
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.bulk_create(rows))


def test_other_authors_delete_keeps_list() -> None:
    """So do deletes."""
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.filter(author=d.BOB).delete())


def test_own_new_row_drops_list() -> None:
    """A new row of this author is part of the list."""
    drops(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.create(title="x", author_id=d.ADA))


def test_move_drops_both_lists_and_no_third() -> None:
    """A row that changes hands drops the list it left and the list it came to."""

    def move() -> None:
        Book.objects.filter(pk=d.B0).update(author=d.DAN)

    def back() -> None:
        Book.objects.filter(pk=d.B0).update(author=d.ADA)

    drops(lambda: Book.objects.filter(author=d.ADA), move)
    drops(lambda: Book.objects.filter(author=d.DAN), back)
    keeps(lambda: Book.objects.filter(author=d.BOB), move)


def test_get_survives_other_rows() -> None:
    """`get(pk=1)` survives writes to 2."""
    keeps(lambda: Book.objects.get(pk=d.B0), lambda: one_more_view(d.B1))


def test_get_survives_other_rows_deleted() -> None:
    """And the end of 2."""
    keeps(lambda: Book.objects.get(pk=d.B0), lambda: Book.objects.filter(pk=d.B1).delete())


def test_get_by_unique_survives_other_rows() -> None:
    """A unique column is as good as the key, where text is exact."""
    read = lambda: Author.objects.get(email="ada@x.org")  # noqa: E731
    assert _dropped(read, lambda: Author.objects.filter(pk=d.BOB).update(bio="x")) is not EXACT_TEXT


def test_absent_survives_other_rows() -> None:
    """That nobody has an address stays known until somebody gets it."""
    read = Author.objects.filter(pk=d.BASE + 99).first
    keeps(read, lambda: Author.objects.create(name="x"))
    drops(read, lambda: Author.objects.create(pk=d.BASE + 99, name="x"))


def test_compound_survives_same_author_with_other_status() -> None:
    """A list of author and status survives a row with the same author and another status."""
    read = lambda: Book.objects.filter(author=d.ADA, status=1)  # noqa: E731
    keeps(read, lambda: Book.objects.filter(pk=d.B1).update(title="x"))
    keeps(read, lambda: Book.objects.create(author_id=d.ADA, status=2))


def test_compound_survives_same_status_with_other_author() -> None:
    """And vice versa."""
    read = lambda: Book.objects.filter(author=d.ADA, status=1)  # noqa: E731
    keeps(read, lambda: Book.objects.filter(pk=d.B3).update(title="x"))


def test_compound_survives_both_halves_apart() -> None:
    """Two rows that each have one of the values are no row that has both."""

    def write() -> None:
        Book.objects.create(author_id=d.ADA, status=2)
        Book.objects.create(author_id=d.BOB, status=1)

    keeps(lambda: Book.objects.filter(author=d.ADA, status=1), write)


def test_compound_sees_its_own() -> None:
    """A row that has both drops it."""
    drops(lambda: Book.objects.filter(author=d.ADA, status=1), lambda: Book.objects.create(author_id=d.ADA, status=1))


def test_in_list_survives_values_not_in_it() -> None:
    """`IN (…)` is one group of values."""
    read = lambda: Book.objects.filter(author__in=[d.BOB, d.CLEO])  # noqa: E731
    keeps(read, lambda: Book.objects.filter(author=d.ADA).update(title="x"))
    drops(read, lambda: Book.objects.filter(author=d.CLEO).update(title="x"))


def test_in_bulk_survives_other_rows() -> None:
    """`in_bulk()` is such a list of keys."""
    read = lambda: Book.objects.in_bulk([d.B0, d.B1])  # noqa: E731
    keeps(read, lambda: one_more_view(d.B2))
    drops(read, lambda: one_more_view(d.B1))


def test_each_arm_of_or_counts() -> None:
    """An OR is touched by each of its arms, and by nothing else."""
    read = lambda: Book.objects.filter(Q(author=d.CLEO) | Q(status=2))  # noqa: E731
    keeps(read, lambda: one_more_view(d.B0))
    drops(read, lambda: one_more_view(d.B5))
    drops(read, lambda: one_more_view(d.B4))


def test_null_is_a_value() -> None:
    """`isnull=True` is an equality."""
    read = lambda: Author.objects.filter(publisher__isnull=True)  # noqa: E731
    keeps(read, lambda: Author.objects.filter(pk=d.ADA).update(bio="x"))
    keeps(read, lambda: Author.objects.filter(pk=d.ADA).update(publisher=d.ZETA))
    drops(read, lambda: Author.objects.filter(pk=d.ADA).update(publisher=None))


def test_typed_values_are_told_apart() -> None:
    """Dates, decimals and datetimes at their scale name exactly their rows."""
    keeps(lambda: Author.objects.filter(born=date(1900, 1, 1)), lambda: Author.objects.filter(pk=d.ADA).update(bio="x"))
    keeps(lambda: Book.objects.filter(price=Decimal("9.5")), lambda: one_more_view(d.B1))
    drops(lambda: Book.objects.filter(price=Decimal("9.5000")), lambda: one_more_view(d.B0))


def test_uuid_parent_survives_other_branches() -> None:
    """The children of one node survive what happens below another."""
    read = lambda: Node.objects.filter(parent=d.ROOT)  # noqa: E731
    keeps(read, lambda: Node.objects.create(parent_id=d.LEFT))
    drops(read, lambda: Node.objects.create(parent_id=d.ROOT))


def test_composite_key_survives_other_rows() -> None:
    """Both parts of a composite key count."""
    read = lambda: OrderLine.objects.get(pk=(d.ORDER, 1))  # noqa: E731
    keeps(read, lambda: OrderLine.objects.filter(pk=(d.ORDER, 2)).update(amount=5))
    keeps(read, lambda: OrderLine.objects.filter(pk=(d.ORDER2, 1)).update(amount=5))
    drops(read, lambda: OrderLine.objects.filter(pk=(d.ORDER, 1)).update(amount=5))


def test_proxy_and_its_model_share_rows() -> None:
    """A write through the proxy is a write to the model's row, and to no other."""
    keeps(lambda: Book.objects.filter(author=d.BOB), lambda: one_more_view(d.B0))


# Writes that change nothing


def test_save_without_change_keeps_everything() -> None:
    """`save()` of what is already there is no change."""

    def save() -> None:
        for book in Book.objects.all():
            book.save()

    keeps(Book.objects.count, save)
    keeps(lambda: Book.objects.order_by("id").values("title", "views", "author", "status"), save)
    keeps(lambda: Publisher.objects.order_by("id"), lambda: Publisher.objects.get(pk=d.ACME).save())


def test_update_to_the_same_keeps_everything() -> None:
    """Neither is an update to the values that are there."""
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.filter(status=1).update(status=1))
    # What the database computes of no tag column is not read back to find that out: one more SELECT for each update.
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.update(status=F("status")))


def test_update_of_no_row_keeps_everything() -> None:
    """Nor one that matches nothing."""
    keeps(Book.objects.all, lambda: Book.objects.filter(pk=1).update(title="x"))
    keeps(Book.objects.all, lambda: Book.objects.filter(pk=1).delete())


def test_rollback_keeps_everything() -> None:
    """What was rolled back never happened."""

    def write() -> None:
        with transaction.atomic():
            Book.objects.all().delete()
            transaction.set_rollback(True)

    keeps(Book.objects.all, write)


def test_other_database_keeps_everything() -> None:
    """The same table of another database is another table."""
    keeps(lambda: Managed.objects.order_by("pk"), lambda: Managed.objects.using("other").update(name="x"))


# Relations


def test_other_books_tags_keep_this_books() -> None:
    """`add()` to another book keeps this book's tags, though the relation's table is the same."""
    keeps(lambda: Book(pk=d.B0).tags.order_by("id"), lambda: Book(pk=d.B2).tags.add(d.GREEN))
    drops(lambda: Book(pk=d.B0).tags.order_by("id"), lambda: Book(pk=d.B0).tags.add(d.GREEN))


def test_other_books_coauthors_keep_this_books() -> None:
    """So with a table that Django made."""
    keeps(Book(pk=d.B0).coauthors.all, lambda: Book(pk=d.B1).coauthors.add(d.DAN))
    keeps(Book(pk=d.B0).coauthors.all, Book(pk=d.B1).coauthors.clear)
    drops(Book(pk=d.B0).coauthors.all, lambda: Author(pk=d.DAN).cowritten.add(d.B0))


def test_foreign_key_manager_names_its_rows() -> None:
    """A reverse manager's list is an equality list."""
    keeps(Author(pk=d.ADA).books.all, lambda: Author(pk=d.BOB).books.all().delete())
    drops(Author(pk=d.ADA).books.all, lambda: Author(pk=d.ADA).books.create(title="x"))


def test_generic_relation_names_its_rows() -> None:
    """A generic relation's list is one of content type and key."""
    read = lambda: Book(pk=d.B0).reviews.order_by("id")  # noqa: E731
    keeps(read, lambda: Review.objects.filter(object_id=d.B3).update(stars=1))
    drops(read, lambda: Review.objects.filter(object_id=d.B0).update(stars=1))


def test_join_survives_rows_beyond_its_filter() -> None:
    """A filter on the joined table names the joined rows."""
    read = lambda: Book.objects.filter(author__publisher=d.ACME).values_list("title", flat=True)  # noqa: E731
    keeps(read, lambda: Author.objects.filter(pk=d.DAN).update(bio="x"))
    keeps(read, lambda: Author.objects.filter(pk=d.DAN).update(publisher=d.ZETA))
    drops(read, lambda: Author.objects.filter(pk=d.DAN).update(publisher=d.ACME))


def test_select_related_shows_the_related_row() -> None:
    """A list with `select_related` is dropped by writes to a row it shows, and by no other table."""
    read = lambda: Book.objects.filter(author=d.ADA).select_related("author")  # noqa: E731
    drops(read, lambda: Author.objects.filter(pk=d.ADA).update(bio="x"))
    keeps(read, lambda: Publisher.objects.update(country="XX"))
    keeps(read, lambda: Book.objects.filter(author=d.BOB).update(title="x"))


def test_list_without_select_related_survives_the_related_row() -> None:
    """A list of rows does not show what they point to."""
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Author.objects.update(bio="x", name="y"))


def test_one_to_one_survives_other_rows() -> None:
    """A profile is named by its author's key."""
    keeps(lambda: Profile.objects.get(pk=d.ADA), lambda: Profile.objects.filter(pk=d.BOB).update(motto="x"))


def test_inherited_row_survives_others() -> None:
    """A child is named by its key in its own table."""
    read = lambda: Shop.objects.get(pk=d.SHOP)  # noqa: E731
    keeps(read, lambda: Shop.objects.filter(pk=d.STALL).update(opens=None))
    drops(read, lambda: Shop.objects.filter(pk=d.SHOP).update(opens=None))
    drops(read, lambda: Place.objects.filter(pk=d.SHOP).update(name="x"))


def test_prefetched_rows_are_entries_of_their_own() -> None:
    """What a prefetch brings is dropped apart: the authors stay when a book changes."""
    list(Author.objects.prefetch_related("books"))
    one_more_view()
    with watching() as seen:
        list(Author.objects.prefetch_related("books"))
    assert [read.outcome.value for read in seen.reads] == ["hit", "fill"]


# Other writes


def raw(sql: str) -> None:
    """Through Django's cursor."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_raw_sql_drops_exactly_its_table() -> None:
    """Raw SQL drops whatever reads its table, and no other."""
    drops(lambda: Book.objects.get(pk=d.B0), lambda: raw("UPDATE library_book SET views = 1 WHERE id = 1"))
    keeps(Author.objects.all, lambda: raw("UPDATE library_book SET views = 2"))
    keeps(lambda: Tag.objects.order_by("id"), lambda: raw("SELECT * FROM library_tag"))


def test_more_rows_than_the_limit_drop_the_table(configure: Configure) -> None:
    """An update of more rows than are looked at drops the whole table, and no other."""
    configure(LIMITS={"WRITTEN_ROWS": 2})
    drops(lambda: Book.objects.filter(author=d.CLEO), lambda: Book.objects.filter(author=d.ADA).update(title="x"))
    keeps(Author.objects.all, lambda: Book.objects.filter(author=d.ADA).update(title="y"))
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Book.objects.filter(author=d.BOB).update(title="z"))


def test_cascade_drops_what_goes_along() -> None:
    """A cascade drops the lists of the rows that go, and keeps the lists of those that stay."""
    drops(lambda: Book.objects.filter(author=d.CLEO), lambda: Author.objects.get(pk=d.CLEO).delete())
    keeps(lambda: Book.objects.filter(author=d.ADA), lambda: Author.objects.get(pk=d.BOB).delete())


def test_set_null_drops_what_it_changes() -> None:
    """`SET_NULL` changes exactly the rows that pointed there."""
    keeps(lambda: Author.objects.filter(publisher=d.ACME), lambda: Publisher.objects.get(pk=d.ZETA).delete())
    drops(lambda: Author.objects.filter(publisher=d.ACME), lambda: Publisher.objects.get(pk=d.ACME).delete())


def test_bulk_update_names_its_rows() -> None:
    """`bulk_update()` knows its rows as any update does."""

    def write() -> None:
        book = Book.objects.get(pk=d.B3)
        book.title = "x"
        Book.objects.bulk_update([book], ["title"])

    keeps(lambda: Book.objects.filter(author=d.ADA), write)
    drops(lambda: Book.objects.filter(author=d.BOB), lambda: Book.objects.filter(pk=d.B3).update(title="z"))


def test_invalidate_instance_keeps_other_rows() -> None:
    """`invalidate(instance)` drops what shows its row, and keeps the rest."""
    with everfresh.disabled():
        book = Book.objects.get(pk=d.B0)
    drops(lambda: Book.objects.get(pk=d.B0), lambda: everfresh.invalidate(book))
    keeps(lambda: Book.objects.filter(author=d.BOB), lambda: everfresh.invalidate(book))


def test_invalidate_queryset_keeps_other_rows() -> None:
    """`invalidate(queryset)` drops what shows its rows, and keeps the rest."""
    drops(lambda: Book.objects.filter(author=d.ADA), lambda: everfresh.invalidate(Book.objects.filter(pk=d.B0)))
    keeps(lambda: Book.objects.filter(author=d.BOB), lambda: everfresh.invalidate(Book.objects.filter(pk=d.B0)))


def test_invalidate_model_keeps_other_tables() -> None:
    """`invalidate(Model)` drops its table's entries, and keeps the rest."""
    drops(lambda: Book.objects.filter(author=d.ADA), lambda: everfresh.invalidate(Book))
    keeps(Author.objects.all, lambda: everfresh.invalidate(Book))


def test_tag_fields_of_the_settings(configure: Configure) -> None:
    """A column that the settings name gets value tags."""
    configure(MODELS={"library.Book": {"tag_fields": ["pages"]}})
    keeps(lambda: Book.objects.filter(pages=100), lambda: one_more_view(d.B2))
    drops(lambda: Book.objects.filter(pages=100), lambda: one_more_view(d.B0))


def test_tag_sets_of_the_settings(configure: Configure) -> None:
    """A set of columns that the settings name gets compound tags."""
    configure(MODELS={"library.Book": {"tag_sets": [["status", "pages"]]}})
    read = lambda: Book.objects.filter(status=1, pages=100)  # noqa: E731
    keeps(read, lambda: one_more_view(d.B3))
    keeps(read, lambda: one_more_view(d.B4))
    drops(read, lambda: one_more_view(d.B0))
