"""Does a `save()` cost more when much is cached on its table? One cache of each contender stays empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import CACHES, Contender
from benchmarks.sites import Site
from benchmarks.spread import Spread, typical
from benchmarks.workload import SELLERS

__all__ = ["SIZES", "Growth", "measure", "table"]

SIZES = (1_000, 100_000)
ROUND = 5  # saves, each of a product whose seller's entries no save has met before


@dataclass
class Growth:
    """By contender: the size reached, and what a `save()` costs then, as a ratio to one beside an empty cache."""

    ratios: dict[str, list[tuple[int, Spread]]] = field(default_factory=lambda: {name: [] for name in CACHES})

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            name: [{"entries": entries, "ratio": spread.as_json()} for entries, spread in found]
            for name, found in self.ratios.items()
        }


def measure(site: Site, console: Console, *, patience: float) -> Growth:
    """Fill each cache up to each size, for at most *patience* seconds, and save beside it."""
    growth = Growth()
    for name in track(CACHES, f"Growth, {site.name}", console=console, transient=True):
        with site.contenders((name,)) as running:
            twin = Contender(name, replace(running[name].servers, twin=True))
            try:
                growth.ratios[name] = list(_grow(running[name], twin, patience))
            finally:
                twin.close()
    return growth


def _grow(filled: Contender, empty: Contender, patience: float) -> Iterator[tuple[int, Spread]]:
    for contender in (filled, empty):
        contender.ask("saves", [1, 2, 3], 0)  # the first ones import and remember
    reached = turn = 0
    deadline = perf_counter() + patience
    for size in SIZES:
        while reached < size and perf_counter() < deadline:
            reached = filled.ask("fill", reached, size)
        ratios = []
        for first in range(1, SELLERS + 1, ROUND):
            turn += 1
            sellers = list(range(first, first + ROUND))
            order = (empty, filled) if turn % 2 else (filled, empty)
            taken = {id(contender): typical(contender.ask("saves", sellers, turn)) for contender in order}
            ratios.append(taken[id(filled)] / taken[id(empty)])
        yield reached, Spread.of(ratios)


def table(growth: Growth, site: Site) -> Table:
    """Contender by size."""
    result = Table(
        title=f"Growth, {site.name}: time of save() with so many entries on its table, relative to none",
        caption="Another number of entries than in the heading: filling took too long, and they were so many.",
    )
    result.add_column("contender")
    for size in SIZES:
        result.add_column(f"{size:,}", justify="right")
    for name, found in growth.ratios.items():
        cells = [
            f"[{'red' if spread.middle > 1.5 else 'green'}]{spread.shown()}"
            + (f", {entries:,}" if entries != size else "")
            for size, (entries, spread) in zip(SIZES, found, strict=True)
        ]
        result.add_row(name, *cells)
    return result
