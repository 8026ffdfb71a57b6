"""Filling the cache with so many entries, in a contender's process: for growth and memory."""

from __future__ import annotations

from time import perf_counter

from benchmarks.shop.models import Product
from benchmarks.workload import CATEGORIES, ROWS, SELLERS, row

__all__ = ["fill", "load", "saves"]

SLICE = 1.0  # seconds of filling between two words to the driver, which gives up on a process that is silent


def fill(start: int, stop: int) -> int:
    """Ask queries of these numbers, all different and all of one table, for about a second; how far it got."""
    deadline = perf_counter() + SLICE
    number = start
    while number < stop and perf_counter() < deadline:
        Product.objects.filter(seller_id=1 + number % SELLERS, price__gte=number // SELLERS).count()
        number += 1
    return number


def saves(sellers: list[int], turn: int) -> list[float]:
    """Seconds for each of one `save()` of a product of each of these sellers."""
    taken = []
    for seller in sellers:
        product = Product(**{**row(SELLERS + seller - 1), "sold": turn})
        product._state.adding = False
        product._state.db = "default"
        before = perf_counter()
        product.save()
        taken.append(perf_counter() - before)
    return taken


def load() -> dict[str, int]:
    """Ask what a shop asks: rows by key and by name, lists, numbers. So many answers of each kind."""
    for pk in range(1, ROWS + 1):
        Product.objects.get(pk=pk)
        Product.objects.get(slug=f"product-{pk}")
    for seller in range(1, SELLERS + 1):
        list(Product.objects.filter(seller_id=seller).order_by("pk"))
    for category in range(1, CATEGORIES + 1):
        Product.objects.filter(category_id=category).count()
    return {"rows": 2 * ROWS, "lists of 20": SELLERS, "numbers": CATEGORIES}
