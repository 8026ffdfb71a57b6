"""Reads and writes as applications have them, one of each kind, as Python text: what chance alone seldom makes.

Every relation is followed in both directions, in every way Django has; the digits in braces are keys.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import django
from hypothesis import strategies as st

from tests.queries.strategies import Asked
from tests.settings import DB

__all__ = ["THEMES", "everyday_read", "everyday_write"]

_NODE = "UUID('00000000-0000-0000-0000-00000000000{a}')"
_OTHER_NODE = "UUID('00000000-0000-0000-0000-00000000000{b}')"
_LONGEST = "Subquery(Book.objects.filter(author=OuterRef('pk')).order_by('-pages', 'pk').values('title')[:1])"
_BULK_UPDATE = """
rows = list(Book.objects.filter(author_id={a}))
for each in rows:
    each.status, each.pages = {b}, each.pages + 1
Book.objects.bulk_update(rows, ['status', 'pages'])
"""

READS: tuple[tuple[str, str], ...] = (
    # Rows by what names them
    ("Book.objects.filter(pk={a})", "get()"),
    ("Book.objects", "get(pk={a})"),
    ("Author.objects", "get(email='a')"),
    ("Tag.objects", "in_bulk([{a}, {b}])"),
    ("Tag.objects", "in_bulk(['a', 'b'], field_name='name')"),
    ("Node.objects", f"filter(pk={_NODE}).first()"),
    ("OrderLine.objects", "get(pk=({a}, {b}))"),
    ("OrderLine.objects.filter(order_id={a})", "rows"),
    ("SignedBook.objects", "get(pk={a})"),
    ("Shop.objects", "get(pk={a})"),
    ("Place.objects", "get(pk={a})"),
    ("Counted.objects.filter(doubled={b})", "rows"),
    ("Counted.objects.filter(rank=7)", "count()"),
    ("Everything.objects", "filter(shouted='A').first()"),
    ("Everything.objects.filter(pk={a})", "values().get()"),
    # Lists, numbers, parts
    ("Book.objects.filter(status={a})", "rows"),
    ("Book.objects.filter(status={a})", "count()"),
    ("Book.objects.filter(author_id={a}, status={b})", "exists()"),
    ("Book.objects.filter(author__publisher__name='a')", "rows"),
    ("Book.objects.exclude(status={a}).order_by('-pages', 'pk')[:2]", "rows"),
    ("Book.objects.order_by('pk')[1:3]", "rows"),
    ("Book.objects", "aggregate(Sum('pages'), Max('price'), n=Count('author', distinct=True))"),
    ("Book.objects", "aggregate(n=Count('pk', filter=Q(status={a})))"),
    ("Book.objects.values('author').annotate(n=Count('pk')).order_by('author')", "rows"),
    ("Author.objects.annotate(n=Count('books')).filter(n__gte={a})", "rows"),
    ("Author.objects.annotate(n=Max('books__pages')).values_list('pk', 'n', named=True)", "rows"),
    ("Book.objects.order_by('views', 'pk')", "last()"),
    ("Author.objects.filter(born__isnull=False)", "latest('born', 'pk').pk"),
    ("Author.objects.filter(born__isnull=False)", "dates('born', 'year')"),
    ("Book.objects.filter(published__isnull=False)", "datetimes('published', 'day')"),
    ("Book.objects.filter(pk__lte={b})", "iterator(chunk_size=1)"),
    ("Book.objects.filter(author_id={a})", "contains(Book(pk={b}))"),
    ("Book.objects.only('title').filter(pk={a})", "get().status"),
    ("Book.objects.filter(data__a=1)", "values_list('pk', flat=True)"),
    # Sets of queries
    ("Book.objects.filter(status=1).union(Book.objects.filter(author_id={a})).order_by('-id')[:2]", "rows"),
    ("Book.objects.filter(status=1).intersection(Book.objects.filter(author_id={a}))", "rows"),
    ("Author.objects.values_list('name').difference(Publisher.objects.values_list('name'))", "rows"),
    ("Author.objects.values_list('name').union(Tag.objects.values_list('name'), all=True)", "count()"),
    # Queries in queries
    ("Author.objects.filter(Exists(Book.objects.filter(author=OuterRef('pk'), status={a})))", "rows"),
    ("Author.objects.filter(~Exists(Book.objects.filter(coauthors=OuterRef('pk'))))", "rows"),
    ("Author.objects.filter(books__in=Book.objects.filter(tags__name='a'))", "rows"),
    (f"Author.objects.annotate(x={_LONGEST}).values_list('pk', 'x')", "rows"),
    # Relations, followed by a join, by a query of their own, and by hand
    ("Book.objects.filter(pk={a}).select_related('author__publisher', 'author__mentor')", "rows"),
    ("Author.objects.select_related('profile').filter(pk__in=[{a}, {b}])", "rows"),
    ("OrderLine.objects.select_related('order__shop__place_ptr', 'book')", "rows"),
    ("Shop.objects.select_related('place_ptr')", "rows"),
    (f"Node.objects.select_related('parent').filter(parent={_NODE})", "rows"),
    ("Author.objects.filter(pk={a}).prefetch_related('books__tags', 'cowritten', 'pupils')", "rows"),
    ("Book.objects.prefetch_related('coauthors', 'tagging_set__tag').filter(author_id={a})", "rows"),
    ("Publisher.objects.prefetch_related(Prefetch('authors', Author.objects.filter(active=True), 'alive'))", "rows"),
    ("Review.objects.prefetch_related('subject').filter(stars__gte={a})", "rows"),
    ("Book.objects.prefetch_related('reviews').filter(pk={a})", "rows"),
    ("Shop.objects.prefetch_related('stock', 'orders__lines')", "rows"),
    ("Node.objects.prefetch_related('children__children')", "rows"),
    ("Book.objects", "get(pk={a}).author.publisher"),
    ("Author.objects", "get(pk={a}).profile"),
    ("Review.objects", "get(pk={a}).subject"),
    ("Author.objects.get(pk={a}).books.all()", "rows"),
    ("Author.objects.get(pk={a}).pupils.filter(active=False)", "count()"),
    ("Book.objects.get(pk={a}).coauthors.all()", "rows"),
    ("Author.objects.get(pk={a}).cowritten.all()", "rows"),
    ("Book.objects.get(pk={a}).tags.all()", "rows"),
    ("Tag.objects.get(pk={a}).books.all()", "count()"),
    ("Book.objects.get(pk={a}).reviews.all()", "rows"),
    ("Shop.objects.get(pk={a}).stock.all()", "rows"),
    ("Order.objects.get(pk={a}).lines.all()", "rows"),
    ("Shop.objects.filter(stock={a}, city='b')", "rows"),
    ("Book.objects.filter(reviews__stars={a})", "exists()"),
    ("Tagging.objects.filter(tag_id={a}, book_id={b})", "rows"),
    # Not cached, and among those that are
    ("Book.objects.raw('SELECT * FROM library_book WHERE status = {a}')", "rows"),
    ("Book.objects.extra(where=['pages > {a}'])", "rows"),
    ("Book.objects.order_by('?')", "count()"),
)

WRITES: tuple[str, ...] = (
    "Book.objects.filter(pk={a}).update(views=F('views') + 1)",
    "Book.objects.filter(pk={a}).update(status={b})",
    "Book.objects.update(pages=F('pages') + {a})",
    "each = Book.objects.get(pk={a})\neach.status = {b}\neach.save()",
    "each = Book.objects.get(pk={a})\neach.author_id = {b}\neach.save(update_fields=['author'])",
    "each = SignedBook.objects.get(pk={a})\neach.title = 'b'\neach.save()",
    "each = Shop.objects.get(pk={a})\neach.name, each.city = 'b', 'a'\neach.save()",
    "each = Place.objects.get(pk={a})\neach.city = 'b'\neach.save()",
    "each = Author.objects.get(pk={a})\neach.email = None\neach.save()",
    "each = Everything.objects.get(pk=1)\neach.shouted, each.json = 'b', {{'b': {a}}}\neach.save()",
    "each = Counted.objects.get(pk={a})\neach.amount = {b}\neach.save()",
    "Book(pk={a}, title='b', author_id={b}).save()",
    "Book(pk={a}, title='b', author_id={b}).save(force_update=True)",
    "Book.objects.create(title='a', author_id={a}, status={b})",
    "Book.objects.create(pk=4, title='a', author_id={a}, status={b})",
    "Book.objects.get(pk={a}).delete()",
    "Author.objects.get(pk={a}).delete()",
    "Author.objects.filter(pk={a}).delete()",
    "Tag.objects.filter(pk={a}).delete()",
    "Publisher.objects.all().delete()",
    "Shop.objects.get(pk={a}).delete()",
    "Shop.objects.get(pk={a}).delete(keep_parents=True)",
    "Shop.objects.create(name='a', city='b')",
    "Shop(place_ptr_id={a}, opens=time(10, 30)).save_base(raw=True)",
    "Tag.objects.get_or_create(name='b')",
    "Tag.objects.get_or_create(name='c{a}')",
    "Tag.objects.update_or_create(name='a', defaults={{'name': 'A'}})",
    "Author.objects.update_or_create(pk={a}, defaults={{'name': 'b', 'active': False}})",
    "Tag.objects.bulk_create([Tag(name='x'), Tag(name='y')])",
    "Tag.objects.bulk_create([Tag(name='a'), Tag(name='z')], ignore_conflicts=True)",
    _BULK_UPDATE,
    "Book.objects.get(pk={a}).tags.add({b}, through_defaults={{'weight': 3}})",
    "Book.objects.get(pk={a}).tags.set([{b}])",
    "Author.objects.get(pk={a}).cowritten.clear()",
    "Shop.objects.get(pk={a}).stock.remove({b})",
    "Book.objects.get(pk={a}).shops.add({b})",
    "Author.objects.get(pk={a}).pupils.add(Author.objects.get(pk={b}))",
    "Author.objects.get(pk={a}).books.create(title='b')",
    "Review.objects.create(subject=Book.objects.get(pk={a}), stars={b})",
    "each = Review.objects.get(pk={a})\neach.subject = Author.objects.get(pk={b})\neach.save()",
    "Profile.objects.update_or_create(author_id={a}, defaults={{'motto': 'b'}})",
    "Author.objects.get(pk={a}).profile.delete()",
    f"Node.objects.filter(pk={_NODE}).update(parent={_OTHER_NODE})",
    f"Node.objects.filter(pk={_NODE}).delete()",
    "Node.objects.create(pk=UUID('00000000-0000-0000-0000-000000000003'), parent=Node.objects.first())",
    "OrderLine.objects.create(order_id={a}, position=3, book_id={b})",
    "OrderLine.objects.get(pk=({a}, {b})).delete()",
    "Order.objects.filter(pk={a}).delete()",
    "connection.cursor().execute('UPDATE library_author SET name = %s WHERE id = %s', ['b', {a}])",
    "connection.cursor().execute('DELETE FROM library_book_coauthors WHERE book_id = {a}')",
    "connection.cursor().execute('INSERT INTO library_order (shop_id, note) SELECT shop_id, note FROM library_order')",
)

if django.VERSION >= (6, 1):
    READS += (
        ("Slot.objects.filter(shelf_id={a})", "rows"),
        ("Sticker.objects.filter(slot__isnull=False)", "count()"),
        ("Shelf.objects.filter(stickers={a})", "rows"),
    )
    WRITES += (
        "Shelf.objects.filter(pk={a}).delete()",
        "Slot.objects.get(pk={a}).delete()",
        "Slot.objects.create(shelf_id={a})",
        "Sticker.objects.update(shelf_id={a}, slot_id={b})",
    )

if DB == "postgresql":
    READS += (
        ("Measured.objects.filter(numbers__contains=[{a}])", "rows"),
        ("Measured.objects.filter(span__contains={a})", "count()"),
    )
    WRITES += (
        "Measured.objects.filter(pk={a}).update(numbers=[{b}], span=({a}, None))",
        "Measured.objects.create(numbers=[{a}, {b}])",
    )


THEMES = ("Book", "Author", "Book", "Author", "coauthors", "Tag", "Shop", "Order", "Node", "Review", "stock", "pk={a}")
"""What many of the reads and writes have in common: those of one theme meet."""

_DIGIT = st.sampled_from(["1", "2", "1", "2", "3"])


@st.composite
def everyday_read(draw: Any, theme: str) -> Asked:
    """One of the reads with the *theme*."""
    code, form = draw(st.sampled_from(_about(theme, READS)))
    digits = {"a": draw(_DIGIT), "b": draw(_DIGIT)}
    return Asked(code.format(**digits), form.format(**digits))


@st.composite
def everyday_write(draw: Any, theme: str) -> str:
    """One of the writes with the *theme*."""
    code = draw(st.sampled_from(_about(theme, WRITES)))
    return code.format(a=draw(_DIGIT), b=draw(_DIGIT))  # type: ignore[no-any-return]


@cache
def _about(theme: str, texts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(text for text in texts if theme in str(text))
