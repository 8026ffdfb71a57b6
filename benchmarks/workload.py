"""The mix: reads of several kinds and writes over one table of a thousand rows, the same for every contender.

The popular rows are read and written far more often than the others (zipf, exponent 1). A sequence depends on its seed
and the share of writes only: a `save()` writes all columns of a row, so the sequence keeps account of what they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any

__all__ = ["KINDS", "ROWS", "Step", "Zipf", "ideal_hits", "row", "sequence"]

ROWS, SELLERS, CATEGORIES, STATUSES = 1000, 50, 10, 3

KINDS = {"get": 40, "unique": 15, "list by foreign key": 15, "count": 10, "two conditions": 10, "top ten": 10}
"""The kinds of reads and their weights."""

WRITES = {"save": 50, "update": 25, "update of some": 5, "create": 10, "delete": 10}


@dataclass(frozen=True)
class Step:
    """One read or write."""

    kind: str
    argument: Any
    """What it is about: a number, two of them, or the columns of a row."""

    writes: bool = False


class Zipf:
    """Numbers from 1 to *size* in a shuffled order, of which the second comes half as often as the first, and so on."""

    def __init__(self, size: int, dice: Random) -> None:
        self._dice = dice
        self._order = list(range(1, size + 1))
        dice.shuffle(self._order)
        self._cumulated = list(accumulate(1 / rank for rank in range(1, size + 1)))

    def draw(self) -> int:
        """The next one."""
        return self._dice.choices(self._order, cum_weights=self._cumulated)[0]


def row(pk: int) -> dict[str, Any]:
    """The columns of a product as it is at first."""
    return {
        "id": pk,
        "slug": f"product-{pk}",
        "name": f"Product {pk}, of some importance",
        "seller_id": 1 + pk % SELLERS,
        "category_id": 1 + pk // SELLERS % CATEGORIES,
        "status": pk % STATUSES,
        "price": 100 + pk,
        "sold": pk % 97,
    }


def sequence(*, writes: float, length: int, seed: int = 1) -> list[Step]:
    """A mix of *length* steps, of which the share *writes* (0 to 1) are writes."""
    return list(_steps(Random(seed), writes, length))


def _steps(dice: Random, writes: float, length: int) -> Iterator[Step]:
    popular = Zipf(ROWS, dice)
    table = {pk: row(pk) for pk in range(1, ROWS + 1)}
    created: list[int] = []
    kinds, weights = list(KINDS), list(KINDS.values())
    ways, shares = list(WRITES), list(WRITES.values())
    for _ in range(length):
        product = table[popular.draw()]
        if dice.random() >= writes:
            kind = dice.choices(kinds, weights)[0]
            yield Step(kind, _question(kind, product))
            continue
        way = dice.choices(ways, shares)[0]
        if way == "delete" and not created:
            way = "create"
        yield Step(way, _written(way, product, table, created, dice), writes=True)


def _question(kind: str, product: dict[str, Any]) -> Any:
    match kind:
        case "unique":
            return product["slug"]
        case "list by foreign key":
            return product["seller_id"]
        case "count" | "top ten":
            return product["category_id"]
        case "two conditions":
            return [product["category_id"], product["status"]]
        case _:
            return product["id"]


def _written(
    way: str, product: dict[str, Any], table: dict[int, dict[str, Any]], created: list[int], dice: Random
) -> Any:
    match way:
        case "save":
            change = dice.choice(["price", "price", "sold", "status"])
            product[change] = (product[change] + 1) % (STATUSES if change == "status" else 10_000)
            return dict(product)
        case "update":
            product["sold"] += 1
            return product["id"]
        case "update of some":
            chosen = [product["seller_id"], product["status"]]
            for each in table.values():
                if [each["seller_id"], each["status"]] == chosen:
                    each["price"] += 1
            return chosen
        case "create":
            new = row(max(table) + 1)
            table[new["id"]] = new
            created.append(new["id"])
            return dict(new)
        case _:
            pk = created.pop(0)
            del table[pk]
            return pk


def ideal_hits(reads: Iterable[tuple[Hashable, object]]) -> list[bool]:
    """Of questions and their true answers, in order: could a cache that knows all have answered without asking?

    It could if the question was asked before, and its answer has not changed since.
    """
    last: dict[Hashable, object] = {}
    hits = []
    for question, answer in reads:
        hits.append(question in last and last[question] == answer)
        last[question] = answer
    return hits
