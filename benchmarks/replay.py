"""The mix, in a contender's process: once against the clock, once with every answer told."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from time import perf_counter
from typing import Any

from django.db import connection
from django.db.models import F

from benchmarks.shop.models import Product
from benchmarks.statements import counting, past_caches
from benchmarks.workload import Step, sequence

__all__ = ["contents", "restore", "timed", "told"]

READS: dict[str, Callable[[Any], Any]] = {
    "get": lambda pk: Product.objects.get(pk=pk),
    "unique": lambda slug: Product.objects.get(slug=slug),
    "list by foreign key": lambda seller: list(Product.objects.filter(seller_id=seller).order_by("pk")),
    "count": lambda category: Product.objects.filter(category_id=category).count(),
    "two conditions": lambda both: list(Product.objects.filter(category_id=both[0], status=both[1]).order_by("pk")),
    "top ten": lambda category: list(Product.objects.filter(category_id=category).order_by("-sold", "pk")[:10]),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda columns: _known(columns).save(),
    "update": lambda pk: Product.objects.filter(pk=pk).update(sold=F("sold") + 1),
    "update of some": lambda both: Product.objects.filter(seller_id=both[0], status=both[1]).update(
        price=F("price") + 1
    ),
    "create": lambda columns: Product.objects.create(**columns),
    "delete": lambda pk: Product.objects.filter(pk=pk).delete(),
}


def restore() -> None:
    """The rows as they were at first, past every cache; who empties the cache is the driver."""
    past_caches(["DELETE FROM shop_product", "INSERT INTO shop_product SELECT * FROM first_products"])


def timed(writes: float, length: int, start: int, stop: int) -> float:
    """Seconds for these steps of the mix."""
    steps = [
        ((WRITES if step.writes else READS)[step.kind], step.argument) for step in _mix(writes, length)[start:stop]
    ]
    before = perf_counter()
    for act, argument in steps:
        act(argument)
    return perf_counter() - before


def told(writes: float, length: int, start: int, stop: int) -> list[tuple[str, Any, str, int]]:
    """For each read among these steps: its kind and argument, its answer, and how many statements it sent."""
    reads = []
    for step in _mix(writes, length)[start:stop]:
        if step.writes:
            WRITES[step.kind](step.argument)
            continue
        with counting() as counter:
            answer = READS[step.kind](step.argument)
        reads.append((step.kind, step.argument, _short(answer), counter.statements))
    return reads


def contents() -> str:
    """The whole table, past every cache: it must be the same for all contenders after the same steps."""
    columns = "id, slug, seller_id, category_id, status, price, sold"
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"SELECT {columns} FROM shop_product ORDER BY id")
        return blake2b(repr([tuple(each) for each in cursor.fetchall()]).encode(), digest_size=8).hexdigest()
    finally:
        cursor.close()


@cache
def _mix(writes: float, length: int) -> list[Step]:
    return sequence(writes=writes, length=length)


def _known(columns: dict[str, Any]) -> Product:
    product = Product(**columns)
    product._state.adding = False
    product._state.db = "default"
    return product


def _short(answer: Any) -> str:
    columns = [field.attname for field in Product._meta.concrete_fields]
    facts = [
        tuple(getattr(each, column) for column in columns) if isinstance(each, Product) else each
        for each in (answer if isinstance(answer, list) else [answer])
    ]
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()
