"""The rows every test of the matrix begins with: few, and each in some relation to others.

They are committed for real and removed by hand, for a flush of all tables would cost more than the tests.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import django
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.db.models import Model

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
    Tag,
    Tagging,
)
from tests.matrix.models import Account, Letter
from tests.settings import DB

HAS_DATABASE_CASCADES = django.VERSION >= (6, 1)

# Above what a sequence reaches, so that rows made by a test never collide with these.
BASE = 1_000_000
ADA, BOB, CLEO, DAN = (BASE + n for n in range(4))
ACME, ZETA, IDLE = (BASE + n for n in range(3))
RED, BLUE, GREEN = (BASE + n for n in range(3))
B0, B1, B2, B3, B4, B5 = (BASE + n for n in range(6))
SHOP, STALL, KIOSK = (BASE + n for n in range(3))
ORDER, ORDER2 = (BASE + n for n in range(2))
E0, E1 = (BASE + n for n in range(2))
ROOT, LEFT, RIGHT, LEAF = (uuid.UUID(int=0xABC0 + n) for n in range(4))

T0 = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


def rows() -> dict[str, list[Model]]:
    """The rows by database, parents before children."""
    return {
        "default": [*_people(), *_books(), *_trade(), *_columns()],
        "other": [
            Publisher(pk=ACME, name="Elsewhere", country="FR"),
            Managed(pk=BASE, name="far"),
            Managed(pk=BASE + 1, name="off"),
        ],
    }


def _people() -> Iterator[Model]:
    yield from [
        Publisher(pk=ACME, name="Acme", country="NL"),
        Publisher(pk=ZETA, name="Zeta", country="DE"),
        Publisher(pk=IDLE, name="Idle", country="NL"),
    ]
    yield from [
        Author(pk=ADA, name="Ada", email="ada@x.org", publisher_id=ACME, born=date(1815, 12, 10), bio="first"),
        Author(pk=BOB, name="Bob", email="bob@x.org", publisher_id=ACME, mentor_id=ADA, born=date(1900, 1, 1)),
        Author(pk=CLEO, name="Cleo", email=None, publisher_id=ZETA, mentor_id=ADA, active=False),
        Author(pk=DAN, name="Dan", email="dan@x.org"),
    ]
    yield from [Profile(author_id=ADA, motto="think"), Profile(author_id=BOB, motto="build")]
    yield from [Account(pk=BASE, handle="ada"), Account(pk=BASE + 1, handle="bob")]
    yield from [
        Letter(pk=BASE, owner_id="ada", text="one"),
        Letter(pk=BASE + 1, owner_id="ada", text="two"),
        Letter(pk=BASE + 2, owner_id="bob", text="three"),
    ]


def _books() -> Iterator[Model]:
    yield from [Tag(pk=RED, name="red"), Tag(pk=BLUE, name="blue"), Tag(pk=GREEN, name="green")]
    rows: list[tuple[int, str, int, int, int, int, str, dict[str, Any], datetime | None]] = [
        (B0, "Alpha", ADA, 1, 100, 5, "9.50", {"a": 1, "deep": {"k": [1, 2]}}, T0),
        (B1, "Beta", ADA, 2, 200, 5, "1.00", {"a": 2}, T0 + timedelta(days=40)),
        (B2, "Gamma", ADA, 1, 300, 0, "2.25", {}, None),
        (B3, "Delta", BOB, 1, 150, 7, "9.50", {"b": "x"}, T0 + timedelta(days=400)),
        (B4, "Epsilon", BOB, 2, 100, 9, "3.00", {"a": 1}, T0 + timedelta(hours=12)),
        (B5, "Zeta", CLEO, 0, 50, 1, "0.00", {"a": None}, None),
    ]
    yield from [
        Book(
            pk=pk,
            title=title,
            author_id=author,
            status=status,
            pages=pages,
            views=views,
            price=Decimal(price),
            data=data,
            published=published,
        )
        for pk, title, author, status, pages, views, price, data, published in rows
    ]
    yield from [
        Book.coauthors.through(pk=BASE + n, book_id=b, author_id=a)
        for n, (b, a) in enumerate([(B0, BOB), (B0, CLEO), (B3, ADA), (B5, DAN)])
    ]
    yield from [
        Tagging(pk=BASE + at, book_id=book, tag_id=tag, weight=at + 1)
        for at, (book, tag) in enumerate([(B0, RED), (B0, BLUE), (B1, RED), (B3, BLUE), (B4, RED)])
    ]
    kind = ContentType.objects.get_for_model(Book)
    other = ContentType.objects.get_for_model(Author)
    yield from [
        Review(pk=BASE, content_type=kind, object_id=B0, stars=5),
        Review(pk=BASE + 1, content_type=kind, object_id=B0, stars=2),
        Review(pk=BASE + 2, content_type=kind, object_id=B3, stars=4),
        # The same number, another kind: never to be taken for a book's.
        Review(pk=BASE + 3, content_type=other, object_id=B0, stars=1),
    ]


def _trade() -> Iterator[Model]:
    yield from [Place(pk=KIOSK, name="Kiosk", city="Ghent")]
    for pk, name, city, opens in [(SHOP, "Shop", "Delft", time(9, 30)), (STALL, "Stall", "Ghent", None)]:
        yield Place(pk=pk, name=name, city=city)
        yield Shop(place_ptr_id=pk, opens=opens)
    yield from [
        Shop.stock.through(pk=BASE + n, shop_id=s, book_id=b)
        for n, (s, b) in enumerate([(SHOP, B0), (SHOP, B3), (STALL, B0)])
    ]
    yield from [Order(pk=ORDER, shop_id=SHOP, note="first"), Order(pk=ORDER2, shop_id=STALL)]
    yield from [
        OrderLine(order_id=ORDER, position=1, book_id=B0, amount=2),
        OrderLine(order_id=ORDER, position=2, book_id=B3, amount=1),
        OrderLine(order_id=ORDER2, position=1, book_id=B1, amount=7),
    ]
    yield from [
        Node(pk=ROOT, label="root"),
        Node(pk=LEFT, parent_id=ROOT, label="left"),
        Node(pk=RIGHT, parent_id=ROOT, label="right"),
        Node(pk=LEAF, parent_id=LEFT, label="leaf"),
    ]


def _columns() -> Iterator[Model]:
    yield from [
        Everything(
            pk=E0,
            big=2**62,
            binary=b"\x00\xff\x80",
            boolean=True,
            char="chär",
            date=date(2020, 2, 29),
            moment=T0,
            decimal=Decimal("1234.5000"),
            duration=timedelta(days=1, microseconds=5),
            float=0.1,
            ip="2001:db8::1",
            json={"list": [1, 2.5, None, {"x": "y"}], "big": 2**53},
            small=-5,
            text="line\nbreak",
            time=time(23, 59, 59, 999999),
            url="https://example.org/",
            uuid=uuid.UUID(int=7),
            shouted="hey",
        ),
        Everything(pk=E1),
    ]
    for pk, amount in [(BASE, 3), (BASE + 1, 4)]:
        yield Counted(pk=pk, amount=amount, rank=7)
    yield from [Managed(pk=BASE, name="near"), Managed(pk=BASE + 1, name="by")]
    if HAS_DATABASE_CASCADES:
        yield from [library.Shelf(pk=BASE + n, name=f"shelf {n}") for n in range(2)]
        yield from [library.Slot(pk=BASE + n, shelf_id=BASE + at) for n, at in enumerate([0, 0, 1])]
        yield from (
            [
                library.Sticker(pk=BASE, shelf_id=BASE, slot_id=BASE + 2),
                library.Sticker(pk=BASE + 1, shelf_id=BASE + 1, slot_id=BASE),
            ]
        )
    if DB == "postgresql":
        from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

        yield from (
            [
                library.Measured(
                    pk=BASE,
                    numbers=[1, 2, 3],
                    span=NumericRange(1, 10),
                    when=DateTimeTZRange(T0, T0 + timedelta(days=2)),
                ),
                library.Measured(pk=BASE + 1, numbers=[], span=NumericRange(None, 5), when=None),
            ]
        )


Name = tuple[str, str]
"""A table: its database and its own name."""


def models_of(alias: str) -> list[type[Model]]:
    """The models whose tables the tests may change there, parents before children."""
    found = dict.fromkeys(apps.get_app_config("library").get_models(include_auto_created=True))
    if alias == "other":
        return [Publisher, Managed]
    first = dict.fromkeys(type(row) for row in rows()[alias])
    return list(first | found)


def contents() -> dict[Name, list[str]]:
    """What each table holds, asked of the database past Django."""
    found: dict[Name, list[str]] = {}
    for alias in connections:
        connections[alias].ensure_connection()
        cursor = connections[alias].connection.cursor()
        for model in models_of(alias):
            table = model._meta.db_table
            cursor.execute(f"SELECT * FROM {table}")
            found[alias, table] = sorted(map(repr, cursor.fetchall()))
        cursor.close()
    return found


def clear() -> None:
    """Remove every row."""
    put_back(with_rows=False)


def put_back(tables: Container[Name] | None = None, *, with_rows: bool = True) -> None:
    """Make these tables, or all, hold their rows and no others; in one transaction, for others point to them."""
    given = rows() if with_rows else {"default": [], "other": []}
    for alias in connections:
        with connections[alias].constraint_checks_disabled(), transaction.atomic(using=alias):
            wanted = [each for each in models_of(alias) if tables is None or (alias, each._meta.db_table) in tables]
            for model in reversed(wanted):
                with connections[alias].cursor() as cursor:
                    cursor.execute(f"DELETE FROM {model._meta.db_table}")
            for model in wanted:
                found = [row for row in given[alias] if type(row) is model]
                columns = [each for each in model._meta.local_concrete_fields if each.column and not each.generated]
                if found:
                    # A child's row without its parent's: only this inserts into one table, and calls no save().
                    model._base_manager.using(alias)._insert(found, fields=columns, using=alias)
