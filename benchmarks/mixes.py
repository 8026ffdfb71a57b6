"""Reads and writes mixed: how much faster the whole is, how often the cache could answer, and how often it lied.

Every contender plays the same steps on a table of its own, twice: against the clock, then with every answer told. What
plain Django answered in the second run is the truth.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import CACHES, CONTENDERS, Contender
from benchmarks.sites import Site
from benchmarks.spread import Spread, in_turn
from benchmarks.workload import ideal_hits

__all__ = ["SHARES", "Mix", "Outcome", "judged", "measure", "table"]

SHARES = (0.01, 0.05, 0.2)
SLICES = 10


@dataclass(frozen=True)
class Outcome:
    """What one contender's answers were like; shares are of all reads."""

    hits: float
    """Reads that sent no statement."""

    true_hits: float
    """Those of them whose answer was right."""

    stale: int
    """Wrong answers, however they came about."""


@dataclass
class Mix:
    """One share of writes."""

    writes: float
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CONTENDERS})
    """By slice."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ideal: float = 0.0
    """The share of reads whose question had been asked and whose answer had not changed since."""

    unneeded: dict[str, dict[str, int]] = field(default_factory=dict)
    """By contender and kind of read: how often the database was asked though the answer had not changed."""

    diverged: list[str] = field(default_factory=list)
    """Contenders whose table is not what plain Django's is after the same steps."""

    def throughput(self, contender: str) -> Spread:
        """Times plain Django's, slice by slice."""
        pairs = zip(self.seconds["plain"], self.seconds[contender], strict=True)
        return Spread.of([plain / mine for plain, mine in pairs])

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "writes": self.writes,
            "ideal": self.ideal,
            "diverged": self.diverged,
            "contenders": {
                name: {
                    "throughput": self.throughput(name).as_json(),
                    **vars(self.outcomes[name]),
                    "unneeded": self.unneeded[name],
                }
                for name in CACHES
            },
        }


def measure(site: Site, console: Console, *, length: int) -> list[Mix]:
    """Play *length* steps of each mix; a third of them warms the cache and is not counted."""
    mixes = []
    with site.contenders() as running:
        for writes in track(SHARES, f"Mixes, {site.name}", console=console, transient=True):
            mix = Mix(writes)
            _restore(site, running)
            _time(mix, running, length)
            _restore(site, running)
            _tell(mix, running, length)
            mixes.append(mix)
    return mixes


def _restore(site: Site, running: dict[str, Contender]) -> None:
    for contender in running.values():
        contender.ask("restore")
    site.grounds.store.flushall()


def _time(mix: Mix, running: dict[str, Contender], length: int) -> None:
    warm = length // 3
    edges = [warm + (length - warm) * number // SLICES for number in range(SLICES + 1)]
    for number, (start, stop) in enumerate(zip([0, *edges], edges, strict=False)):
        for name in in_turn(number):
            seconds = running[name].ask("replay", mix.writes, length, start, stop)
            if start:
                mix.seconds[name].append(seconds)


def _tell(mix: Mix, running: dict[str, Contender], length: int) -> None:
    told: dict[str, list[list[Any]]] = {name: [] for name in running}
    for start in range(0, length, 500):
        for name, contender in running.items():
            told[name] += contender.ask("replay and tell", mix.writes, length, start, min(start + 500, length))
    counted = len(told["plain"]) // 3
    truth = [answer for *_, answer, _ in told["plain"]]
    ideal = ideal_hits([(f"{kind} {argument}", answer) for kind, argument, answer, _ in told["plain"]])[counted:]
    mix.ideal = sum(ideal) / len(ideal)
    contents = {name: contender.ask("contents") for name, contender in running.items()}
    for name in CACHES:
        reads = [(answer, statements) for *_, answer, statements in told[name]]
        mix.outcomes[name] = judged(reads[counted:], truth[counted:])
        mix.unneeded[name] = Counter(
            kind
            for (kind, _, _, statements), could in zip(told[name][counted:], ideal, strict=True)
            if statements and could
        )
        if contents[name] != contents["plain"]:
            mix.diverged.append(name)


def judged(reads: list[tuple[str, int]], truth: list[str]) -> Outcome:
    """Compare answers, each with the statements that it took, with the true ones."""
    right = [answer == true for (answer, _), true in zip(reads, truth, strict=True)]
    hit = [not statements for _, statements in reads]
    return Outcome(
        hits=sum(hit) / len(reads),
        true_hits=sum(one and other for one, other in zip(hit, right, strict=True)) / len(reads),
        stale=right.count(False),
    )


def table(mixes: list[Mix], site: Site) -> Table:
    """Contender by share of writes."""
    result = Table(
        title=f"Mixes, {site.name}: six kinds of reads and five of writes over one table of 1,000 rows, zipf",
        caption=(
            "Throughput: times plain Django's, median of the slices, quartiles in brackets. "
            "Hits: reads that sent no SQL. Stale: wrong answers."
        ),
    )
    for heading in ("writes", "contender", "throughput", "hits", "true hits", "of ideal", "stale"):
        result.add_column(heading, justify="left" if heading == "contender" else "right")
    for mix in mixes:
        result.add_section()
        result.add_row(f"{mix.writes:.0%}", "[dim]ideal", "", f"{mix.ideal:.1%}", f"{mix.ideal:.1%}", "100%", "")
        for name in CACHES:
            outcome = mix.outcomes[name]
            result.add_row(
                "",
                name + (" [red](its table differs)" if name in mix.diverged else ""),
                f"[bold]{mix.throughput(name).shown()}",
                f"{outcome.hits:.1%}",
                f"{outcome.true_hits:.1%}",
                f"{outcome.true_hits / mix.ideal:.0%}",
                f"[bold red]{outcome.stale}" if outcome.stale else "[green]0",
            )
    return result
