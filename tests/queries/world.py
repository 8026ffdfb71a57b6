"""A small set of rows that is put back in no time, and strategies for writes that change it, as Python text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import date, time
from typing import Any

import django
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.cache import caches
from django.core.exceptions import FieldError, MultipleObjectsReturned, ObjectDoesNotExist
from django.db import DatabaseError, connection, models, transaction
from django.db.models import ProtectedError
from hypothesis import strategies as st

from everfresh import disabled
from tests.queries.strategies import MODELS, NAMES, build, condition, kind_of, literal

__all__ = ["World", "do", "write"]

_FREE_KEYS = 100


class World:
    """The rows, as the driver gave them: put back past Django's cursor, and so past the cache."""

    def __init__(self) -> None:
        with disabled(), transaction.atomic():
            _populate()
        ContentType.objects.clear_cache()
        self._rows: list[tuple[str, list[Any]]] = []
        self._tables: list[str] = []
        for name in connection.introspection.django_table_names(only_existing=True):
            if name.startswith("library_"):
                self._tables.append(name)
                self._read(name)
        self._sequences = list(_sequences())

    def _read(self, name: str) -> None:
        columns = [
            field.column
            for model in apps.get_models(include_auto_created=True)
            if model._meta.db_table == name and not model._meta.proxy
            for field in model._meta.local_concrete_fields
            if field.column is not None and not getattr(field, "generated", False)
        ]
        quote = connection.ops.quote_name
        named = ", ".join(map(quote, dict.fromkeys(columns)))
        with closing(connection.create_cursor()) as cursor:
            cursor.execute(f"SELECT {named} FROM {quote(name)}")
            rows = [tuple(map(_as_written, row)) for row in cursor.fetchall()]
        if rows:
            marks = ", ".join(["%s"] * len(rows[0]))
            self._rows.append((f"INSERT INTO {quote(name)} ({named}) VALUES ({marks})", rows))

    def reset(self) -> None:
        """Every row as it was, and an empty store."""
        if connection.needs_rollback:
            connection.set_rollback(False)
        with transaction.atomic(), closing(connection.create_cursor()) as cursor:
            if connection.vendor == "mysql":
                cursor.execute("SET foreign_key_checks = 0")
            for name in self._tables:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(name)}")
            for statement, rows in self._rows:
                cursor.executemany(statement, rows)
            if connection.vendor == "mysql":
                cursor.execute("SET foreign_key_checks = 1")
            for statement in self._sequences:
                cursor.execute(statement)
        caches["default"].clear()


def _sequences() -> Iterator[str]:
    """Make the keys that the database gives out the same in every example, so that one run again is the same."""
    if connection.vendor == "sqlite":
        yield f"UPDATE sqlite_sequence SET seq = {_FREE_KEYS} WHERE name LIKE 'library_%'"
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT sequencename FROM pg_sequences WHERE sequencename LIKE 'library_%'")
            yield from (f"SELECT setval('{name}', {_FREE_KEYS})" for (name,) in cursor.fetchall())


def _as_written(value: Any) -> Any:
    # SQLite's driver makes times of its text, but does not take them.
    return str(value) if connection.vendor == "sqlite" and isinstance(value, date | time) else value


def _populate() -> None:
    rows = _ROWS
    rows += _ROWS_OF_DJANGO_6_1 if django.VERSION >= (6, 1) else ""
    rows += _ROWS_OF_POSTGRESQL if connection.vendor == "postgresql" else ""
    for code in filter(None, rows.splitlines()):
        build(code)


_ROWS = """
Publisher.objects.create(pk=1, name='a', country='NL')
Publisher.objects.create(pk=2, name='b', country='a')
Author.objects.create(pk=1, name='a', email='a', publisher_id=1, born=date(2020, 1, 1))
Author.objects.create(pk=2, name='b', email=None, publisher_id=2, mentor_id=1, born=date(2021, 6, 30), active=False)
Author.objects.create(pk=3, name='A', email='b', mentor_id=2)
Profile.objects.create(author_id=1, motto='a')
Tag.objects.create(pk=1, name='a')
Tag.objects.create(pk=2, name='b')
Book.objects.create(pk=1, title='a', author_id=1, status=1, pages=1, data={'a': 1}, published=datetime(2020, 1, 1, tzinfo=UTC))
Book.objects.create(pk=2, title='b', author_id=1, status=2, pages=2, price=Decimal('2.50'), data={'a': [1, 2]})
Book.objects.create(pk=3, title='a', author_id=2, status=1, pages=3, price=0, published=datetime(2020, 1, 1, 23, 30, tzinfo=UTC))
Book.objects.get(pk=1).coauthors.set([2, 3])
Book.objects.get(pk=2).coauthors.set([3])
Tagging.objects.create(pk=1, book_id=1, tag_id=1, weight=1)
Tagging.objects.create(pk=2, book_id=1, tag_id=2, weight=2)
Tagging.objects.create(pk=3, book_id=3, tag_id=1, weight=2)
Review.objects.create(pk=1, content_type=ContentType.objects.get_for_model(Book), object_id=1, stars=3)
Review.objects.create(pk=2, content_type=ContentType.objects.get_for_model(Book), object_id=2, stars=1)
Review.objects.create(pk=3, content_type=ContentType.objects.get_for_model(Author), object_id=1, stars=2)
Shop.objects.create(pk=1, name='a', city='a', opens=time(9))
Shop.objects.create(pk=2, name='b', city='b')
Shop.objects.get(pk=1).stock.set([1, 2])
Order.objects.create(pk=1, shop_id=1, note='a')
Order.objects.create(pk=2, note='b')
OrderLine.objects.create(order_id=1, position=1, book_id=1, amount=1)
OrderLine.objects.create(order_id=1, position=2, book_id=2, amount=2)
OrderLine.objects.create(order_id=2, position=1, amount=3)
Node.objects.create(pk=UUID('00000000-0000-0000-0000-000000000001'), label='a')
Node.objects.create(pk=UUID('00000000-0000-0000-0000-000000000002'), parent_id=UUID('00000000-0000-0000-0000-000000000001'), label='b')
Everything.objects.create(pk=1, char='a', text='a', decimal=Decimal('1'), date=date(2020, 1, 1), boolean=True, json={'a': 1}, shouted='a', uuid=UUID('00000000-0000-0000-0000-000000000001'))
Everything.objects.create(pk=2, char='b', big=1, small=2, moment=datetime(2020, 1, 1, 23, 30, tzinfo=UTC), float=0.5, ip='127.0.0.1')
Counted.objects.create(pk=1, amount=1)
Counted.objects.create(pk=2, amount=2, rank=1)
"""  # noqa: E501
_ROWS_OF_DJANGO_6_1 = """
Shelf.objects.create(pk=1, name='a')
Shelf.objects.create(pk=2, name='b')
Slot.objects.create(pk=1, shelf_id=1)
Slot.objects.create(pk=2, shelf_id=2)
Sticker.objects.create(pk=1, shelf_id=1, slot_id=2)
Sticker.objects.create(pk=2, shelf_id=2)
"""
_ROWS_OF_POSTGRESQL = """
Measured.objects.create(pk=1, numbers=[1, 2], span=(1, 3))
Measured.objects.create(pk=2, numbers=[3])
"""


# Writes

REFUSED = (
    DatabaseError,
    FieldError,
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    ProtectedError,
    TypeError,
    ValueError,
)
"""What Django and the databases say of writes that cannot be."""


def do(code: str, *, guarded: bool = True) -> bool:
    """Run a write; one that the database refuses is undone, in a transaction only if *guarded* by a savepoint."""
    names = dict(NAMES, connection=connection, transaction=transaction)
    inside = connection.in_atomic_block or not connection.get_autocommit()
    try:
        with transaction.atomic() if inside and guarded else nullcontext():
            exec(compile(code, code, "exec"), names)
    except REFUSED:
        return False
    return True


def _columns(model: type[models.Model]) -> list[Any]:
    return [
        field
        for field in model._meta.concrete_fields
        if field.column is not None
        and not getattr(field, "generated", False)
        and field.related_model is not ContentType
    ]


@st.composite
def _assignment(draw: Any, model: type[models.Model], *, computed: bool = True) -> str:
    """``column=value``."""
    fields = [field for field in _columns(model) if not field.primary_key and not isinstance(field, models.AutoField)]
    field = draw(st.sampled_from(fields))
    value = draw(literal(field))
    ways = draw(st.integers(0, 5))
    if field.null and ways == 0:
        value = "None"
    elif computed and ways == 1:
        same = [other for other in _columns(model) if kind_of(other) == kind_of(field) and other.model is field.model]
        value = f"F({draw(st.sampled_from(same)).name!r})"
        if kind_of(field) == "int" and not field.is_relation:
            value += draw(st.sampled_from(["", " + 1"]))
    elif computed and ways == 2:
        value = f"Value({value}, output_field={field.model.__name__}._meta.get_field({field.name!r}))"
    return f"{field.attname}={value}"


@st.composite
def _rows(draw: Any, model: type[models.Model]) -> str:
    """Which rows to write to."""
    if draw(st.booleans()) and not model._meta.is_composite_pk:
        key = draw(literal(model._meta.pk))
        return f"{model.__name__}.objects.filter(pk={key})"
    return f"{model.__name__}.objects.filter({draw(condition(model, draw(st.integers(0, 1))))})"


def _key(model: type[models.Model]) -> st.SearchStrategy[str]:
    return literal(model._meta.pk) if not model._meta.is_composite_pk else st.just("(1, 1)")


_SAVED = "each = {model}.objects.filter(pk={key}).first()\nif each:\n    {change}\n    each.save({fields})"


@st.composite
def _on_model(draw: Any, model: type[models.Model]) -> str:
    name = model.__name__
    kind = draw(st.sampled_from(["update", "update", "save", "save_fields", "create", "delete", "delete_one", "bulk"]))
    if kind == "update":
        changes = {draw(_assignment(model)) for _ in range(draw(st.integers(1, 2)))}
        named = dict(change.split("=", 1) for change in sorted(changes))
        return f"{draw(_rows(model))}.update({', '.join(f'{column}={value}' for column, value in named.items())})"
    if kind in ("save", "save_fields"):
        change = draw(_assignment(model))
        column, _, value = change.partition("=")
        fields = f"update_fields=[{column!r}]" if kind == "save_fields" else ""
        if column in {field.attname for field in model._meta.pk_fields}:
            fields = ""
        return _SAVED.format(model=name, key=draw(_key(model)), change=f"each.{column} = {value}", fields=fields)
    if kind == "create":
        given = dict(draw(_assignment(model)).split("=", 1) for _ in range(draw(st.integers(1, 4))))
        for field in _columns(model):
            if field.is_relation and not field.null:
                given.setdefault(field.attname, draw(literal(field)))
        if draw(st.booleans()) and not model._meta.is_composite_pk:
            given[model._meta.pk.attname] = (
                draw(st.sampled_from(["4", "5"])) if kind_of(model._meta.pk) == "int" else draw(_key(model))
            )
        text = ", ".join(f"{column}={value}" for column, value in given.items() if not value.startswith("F("))
        how = draw(st.sampled_from(["create", "create", "bulk", "ignore", "get_or"]))
        if model._meta.parents:
            how = "create"
        return {
            "create": f"{name}.objects.create({text})",
            "bulk": f"{name}.objects.bulk_create([{name}({text})])",
            "ignore": f"{name}.objects.bulk_create([{name}({text})], ignore_conflicts=True)",
            "get_or": f"{name}.objects.get_or_create({text})",
        }[how]
    if kind == "delete":
        return f"{draw(_rows(model))}.delete()"
    if kind == "delete_one":
        return f"{name}.objects.filter(pk={draw(_key(model))}).delete()"
    column, _, value = draw(_assignment(model)).partition("=")
    field = next(each.name for each in _columns(model) if each.attname == column)
    if model._meta.is_composite_pk and column in {each.attname for each in model._meta.pk_fields}:
        column, field, value = "amount", "amount", "2"
    change = f"for each in rows:\n    each.{column} = {value}\n{name}.objects.bulk_update(rows, [{field!r}])"
    return f"rows = list({draw(_rows(model))})\n{change}"


_UPSERT = (
    "Book.objects.bulk_create([Book(pk={a}, title='b', author_id={b}, status={c})], update_conflicts=True, "
    "update_fields=['author', 'status'], unique_fields=[] if connection.vendor == 'mysql' else ['pk'])"
)
_TWO_AT_ONCE = (
    "with transaction.atomic():\n"
    "    Book.objects.filter(pk={a}).update(status={b})\n"
    "    Author.objects.filter(pk={c}).delete()"
)
_ROLLED_BACK = (
    "with transaction.atomic():\n    Book.objects.filter(pk={a}).update(status={b})\n    transaction.set_rollback(True)"
)
_RELATED = (
    "Book.objects.get(pk={a}).coauthors.add({b})",
    "Book.objects.get(pk={a}).coauthors.remove({b})",
    "Book.objects.get(pk={a}).coauthors.set([{b}, {c}])",
    "Book.objects.get(pk={a}).coauthors.clear()",
    "Author.objects.get(pk={a}).cowritten.add({b})",
    "Author.objects.get(pk={a}).books.add(Book.objects.get(pk={b}))",
    "Author.objects.get(pk={a}).books.add(Book.objects.get(pk={b}), bulk=False)",
    "Publisher.objects.get(pk={a}).authors.clear()",
    "Publisher.objects.get(pk={a}).authors.set([Author.objects.get(pk={b})])",
    "Publisher.objects.get(pk={a}).authors.remove(Author.objects.get(pk={b}))",
    "Author.objects.get(pk={a}).pupils.set(Author.objects.filter(pk={b}))",
    "Book.objects.get(pk={a}).tags.add({b})",
    "Book.objects.get(pk={a}).tags.clear()",
    "Tag.objects.get(pk={a}).books.set([{b}])",
    "Shop.objects.get(pk={a}).stock.set([{b}, {c}])",
    "Book.objects.get(pk={a}).reviews.add(Review.objects.get(pk={b}), bulk=True)",
    "Book.objects.get(pk={a}).reviews.create(stars={b})",
    "Book.objects.get(pk={a}).reviews.clear()",
    "Review.objects.filter(pk={a}).update(content_type=ContentType.objects.get_for_model(Author))",
    "Shop.objects.filter(pk={a}).update(city='b', opens=time(10, 30))",
    "Place.objects.filter(pk={a}).update(city='a')",
    "Place.objects.filter(pk={a}).delete()",
    "Place.objects.create(pk=6, name='a')",
    "Shop.objects.filter(orders__note='a').update(name='b', city='b')",
    "Book.objects.filter(pk={a}).update(id=7)",
    "Author.objects.filter(pk={a}).update(publisher=Publisher.objects.get(pk={b}))",
    "Author.objects.update_or_create(name='a', defaults={{'publisher_id': {b}}})",
    "Book.objects.filter(author__name='a').update(status={b})",
    "Book.objects.filter(coauthors=3).delete()",
    "Book.objects.filter(pk__in=Book.objects.order_by('-pk')[:1]).update(author_id={b})",
    "connection.cursor().execute('UPDATE library_book SET status = 3 WHERE id = {a}')",
    "connection.cursor().execute('DELETE FROM library_tagging WHERE id = {a}')",
    "connection.cursor().executemany('INSERT INTO library_tag (id, name) VALUES (%s, %s)', [(4, 'A'), (5, '')])",
    "Author.objects.filter(pk={a})._raw_delete('default')",
    _UPSERT,
    "OrderLine.objects.filter(pk=(1, {a})).update(amount={b})",
    "OrderLine.objects.filter(order_id={a}).update(book_id={b})",
    "Counted.objects.filter(pk={a}).update(amount=F('amount') + 1)",
    _TWO_AT_ONCE,
    _ROLLED_BACK,
)


@st.composite
def _on_relation(draw: Any) -> str:
    digit = st.sampled_from(["1", "2", "3"])
    return draw(st.sampled_from(_RELATED)).format(a=draw(digit), b=draw(digit), c=draw(digit))


def write() -> st.SearchStrategy[str]:
    """A write, by whatever way."""
    return st.one_of(_on_relation(), st.sampled_from(MODELS).flatmap(_on_model))
