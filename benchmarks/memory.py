"""What answers weigh in Redis: the entries, and what is kept beside them so that they can be invalidated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.sites import Site

__all__ = ["Weight", "as_json", "measure", "table"]

# What a key beside the entries looks like: a tag, a set of keys, a known scheme. cachalot keeps one time for each
# table, under names like those of its entries.
BESIDE: dict[str, Callable[[bytes], bool]] = {
    "cacheops": lambda key: key.startswith((b"conj:", b"schemes:")),
    "cachalot": lambda _: False,
    "everfresh": lambda key: b":t:" in key,
}


@dataclass(frozen=True)
class Weight:
    """Of one contender, after everybody was asked the same."""

    answers: int
    entries: int
    entry_bytes: float
    """Of one, on the average, by MEMORY USAGE."""

    beside: int
    """Tags, sets of keys and the like."""

    beside_bytes: float
    used_bytes: float
    """What Redis took more than before, for each answer."""


def measure(site: Site, console: Console) -> dict[str, Weight]:
    """Ask the same of each, and weigh."""
    weights = {}
    for name in track(BESIDE, f"Memory, {site.name}", console=console, transient=True):
        with site.contenders((name,)) as running:
            store = redis.Redis.from_url(f"{site.servers.redis}/{site.servers.redis_database(name)}")
            before = store.info("memory")["used_memory"]
            answers = sum(running[name].ask("load").values())
            used = store.info("memory")["used_memory"] - before
            weights[name] = _weighed(store, BESIDE[name], answers, used)
            store.close()
    return weights


def _weighed(store: redis.Redis, is_beside: Callable[[bytes], bool], answers: int, used: int) -> Weight:
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for key in store.scan_iter(count=1000):
        sizes[is_beside(key)].append(store.memory_usage(key, samples=0) or 0)
    return Weight(
        answers=answers,
        entries=len(sizes[False]),
        entry_bytes=_mean(sizes[False]),
        beside=len(sizes[True]),
        beside_bytes=_mean(sizes[True]),
        used_bytes=used / answers,
    )


def _mean(figures: list[int]) -> float:
    return sum(figures) / max(len(figures), 1)


def as_json(weights: dict[str, Weight]) -> dict[str, Any]:
    """For the file."""
    return {name: vars(weight) for name, weight in weights.items()}


def table(weights: dict[str, Weight]) -> Table:
    """One row for each contender."""
    result = Table(
        title="Memory: bytes in Redis, after 2,000 rows, 50 lists of 20 and 10 numbers were asked for",
        caption="Beside the entries: tags (Everfresh), sets of keys (cacheops). cachalot's are among them.",
    )
    for heading in ("contender", "entries", "bytes of one", "beside", "bytes of one", "in all, for each answer"):
        result.add_column(heading, justify="left" if heading == "contender" else "right")
    for name, weight in weights.items():
        result.add_row(
            name,
            f"{weight.entries:,}",
            f"{weight.entry_bytes:,.0f}",
            f"{weight.beside:,}",
            f"{weight.beside_bytes:,.0f}",
            f"{weight.used_bytes:,.0f}",
        )
    return result
