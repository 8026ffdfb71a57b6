"""What the clock measures, in a contender's process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db.models import F

from benchmarks.contenders import OURS
from benchmarks.shop.data import ARTICLES, AUTHORS, CATEGORIES, THOUSAND, VISITS
from benchmarks.shop.models import Article, Author, Product, Profile, Visit
from benchmarks.statements import counting, past_caches

__all__ = ["listed", "statements", "timed"]

VARIETY = 20
"""So many different answers of each kind are read in turn."""

NEW = VISITS // THOUSAND
"""The batch that `bulk_create` makes and `delete` deletes; none of the others."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the table."""

    name: str
    run: Callable[[Any], object]
    """Takes what `prepare` made for it."""

    prepare: Callable[[int], Any] = lambda turn: 1 + turn % VARIETY
    """From the number of the turn; not timed."""

    variety: int = VARIETY
    """So many turns ask for different things."""

    before: tuple[str, ...] = ()
    """Statements that put the rows right before each turn, past every cache; not timed."""

    writes: bool = False


def _article_of(turn: int) -> Article:
    # Made and not read: an article whose author nobody has looked at.
    return Article(pk=1, author_id=1 + turn % VARIETY)


def _read_article(turn: int) -> Article:
    article = Article(pk=1 + turn % ARTICLES, author_id=1 + turn % AUTHORS, category_id=1, title=f"title {turn}")
    article._state.adding = False
    article._state.db = "default"
    return article


def _visits(_: int) -> list[Visit]:
    return [Visit(batch=NEW, author_id=1 + number % AUTHORS, path=f"/new/{number}/") for number in range(THOUSAND)]


def _get_cached(pk: int) -> Profile:
    return (Profile.cached if settings.CONTENDER in OURS else Profile.objects).get(pk=pk)


def _page_of_five(pk: int) -> tuple[object, ...]:
    product = Product.objects.get(pk=pk)
    others = Product.objects.filter(category_id=product.category_id)
    return (
        product.seller,
        list(others.order_by("pk")[:10]),
        others.count(),
        Product.objects.get(slug=f"product-{pk + 100}"),
    )


CLEAR = (f"DELETE FROM shop_visit WHERE batch >= {NEW}",)
NUMBERED = (
    "INSERT INTO shop_visit (batch, author_id, path, seconds) "
    f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {THOUSAND}) "
    f"SELECT {NEW}, 1 + n % {AUTHORS}, '/new/' || n || '/', 0 FROM numbers"
)

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(name="objects.get(pk)", run=lambda pk: Article.objects.get(pk=pk)),
        Operation(name="cached.get(pk)", run=_get_cached),
        Operation(name="list of 10", run=lambda pk: list(Article.objects.filter(author_id=pk).order_by("pk")[:10])),
        Operation(
            name="list of 100",
            variety=CATEGORIES,
            run=lambda pk: list(Article.objects.filter(category_id=1 + pk % CATEGORIES).order_by("pk")[:100]),
        ),
        Operation(
            name="select_related 50",
            variety=CATEGORIES,
            run=lambda pk: list(
                Article.objects.filter(category_id=1 + pk % CATEGORIES)
                .select_related("author", "category")
                .order_by("pk")[:50]
            ),
        ),
        Operation(
            name="count()",
            variety=CATEGORIES,
            run=lambda pk: Article.objects.filter(category_id=1 + pk % CATEGORIES).count(),
        ),
        Operation(
            name="values_list 100",
            variety=CATEGORIES,
            run=lambda pk: list(
                Article.objects.filter(category_id=1 + pk % CATEGORIES)
                .order_by("pk")
                .values_list("pk", "title", "at")[:100]
            ),
        ),
        Operation(name="FK access", prepare=_article_of, run=lambda article: article.author),
        Operation(
            name="prefetch 10 x 40",
            variety=4,
            run=lambda pk: list(
                Author.objects.filter(pk__range=(1 + pk % 4 * 10, 10 + pk % 4 * 10))
                .order_by("pk")
                .prefetch_related("articles")
            ),
        ),
        Operation(name="page of 5 queries", run=_page_of_five),
        Operation(name="save()", prepare=_read_article, run=lambda article: article.save(), writes=True),
        Operation(
            name="update(F), one row",
            run=lambda pk: Article.objects.filter(pk=pk).update(views=F("views") + 1),
            writes=True,
        ),
        Operation(
            name="update(F), 1000 rows",
            prepare=lambda turn: turn % (VISITS // THOUSAND),
            run=lambda batch: Visit.objects.filter(batch=batch).update(seconds=F("seconds") + 1),
            writes=True,
        ),
        Operation(name="bulk_create(1000)", before=CLEAR, prepare=_visits, run=Visit.objects.bulk_create, writes=True),
        Operation(
            name="delete(), 1000 rows",
            before=(*CLEAR, NUMBERED),
            run=lambda _: Visit.objects.filter(batch=NEW).delete(),
            writes=True,
        ),
    )
}

_turns = count()


def listed() -> list[tuple[str, bool]]:
    """The name of every operation, and whether it writes, in order."""
    return [(operation.name, operation.writes) for operation in OPERATIONS.values()]


_met: set[str] = set()


def timed(name: str, budget: float) -> list[float]:
    """Seconds for each turn of an operation, in turns for about *budget* seconds; reads are warm, writes meet a cache
    that holds what the reads have asked for.
    """
    operation = OPERATIONS[name]
    _warm([operation] if not operation.writes else [each for each in OPERATIONS.values() if not each.writes])
    if name not in _met:
        _met.add(name)
        _turn(operation)  # the first one imports and remembers
    gc.collect()
    taken: list[float] = []
    while not taken or (sum(taken) < budget and len(taken) < 500):
        taken.append(_turn(operation))
    return taken


def statements(name: str) -> int:
    """The SQL statements of one warm turn."""
    operation = OPERATIONS[name]
    if not operation.writes:
        _warm([operation])
    _restore(operation)
    argument = operation.prepare(0)
    with counting() as counter:
        operation.run(argument)
    return counter.statements


def _warm(operations: Iterable[Operation]) -> None:
    for operation in operations:
        for turn in range(operation.variety if settings.CONTENDER != "plain" else 1):
            operation.run(operation.prepare(turn))


def _turn(operation: Operation) -> float:
    _restore(operation)
    argument = operation.prepare(next(_turns))
    start = perf_counter()
    operation.run(argument)
    return perf_counter() - start


def _restore(operation: Operation) -> None:
    if operation.before:
        past_caches(operation.before)
