"""How long each operation takes beside plain Django, rounds interleaved."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import CACHES, CONTENDERS, Contender, ContenderFailed
from benchmarks.sites import Site
from benchmarks.spread import Spread, in_turn, typical

__all__ = ["Speed", "measure", "table"]


@dataclass
class Speed:
    """What every round measured, by operation and contender."""

    writes: dict[str, bool]
    """By operation, in the order of the table."""

    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    statements: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def ratios(self, operation: str, contender: str) -> list[float]:
        """Time over plain Django's time in the same round; below 1 is faster."""
        plain, other = self.seconds[operation]["plain"], self.seconds[operation][contender]
        return [mine / base for mine, base in zip(other, plain, strict=False)]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            operation: {
                contender: {
                    "seconds": self.seconds[operation][contender],
                    "ratio": Spread.of(self.ratios(operation, contender)).as_json(),
                    "statements": self.statements[operation].get(contender),
                }
                for contender in self.seconds[operation]
                if self.seconds[operation][contender]
            }
            for operation in self.seconds
        }


def measure(site: Site, console: Console, *, rounds: int, budget: float) -> Speed:
    """Let all contenders do every operation in turns, *rounds* times for about *budget* seconds each."""
    with site.contenders() as running:
        speed = Speed(dict(running["plain"].ask("operations")))
        steps = [(number, operation) for number in range(rounds) for operation in speed.writes]
        for number, operation in track(steps, f"Speed, {site.name}", console=console, transient=True):
            for name in in_turn(number):
                _one(speed, running[name], operation, budget)
    return speed


def _one(speed: Speed, contender: Contender, operation: str, budget: float) -> None:
    row = speed.seconds.setdefault(operation, {name: [] for name in CONTENDERS})
    failures = speed.failures.setdefault(operation, {})
    statements = speed.statements.setdefault(operation, {})
    if contender.name in failures:
        return
    try:
        row[contender.name].append(typical(contender.ask("time", operation, budget)))
        # Of reads only: what a cache does around a write may go past Django's cursor, where nobody counts.
        if not speed.writes[operation] and contender.name not in statements:
            statements[contender.name] = contender.ask("statements", operation)
    except ContenderFailed as failure:
        if contender.name == "plain":  # then there is nothing to compare with
            raise
        failures[contender.name] = str(failure)


def table(speed: Speed, site: Site) -> Table:
    """Plain Django's time, and the others' as shares of it."""
    result = Table(
        title=f"Speed, {site.name}: time relative to plain Django (median of the rounds, quartiles in brackets)",
        caption=(
            "Below 1 is faster than plain Django. Reads are warm; * = asked the database all the same. "
            "Who is stale after a kind of write, above, spends nothing on it here."
        ),
    )
    result.add_column("operation")
    result.add_column("plain, ms", justify="right")
    for name in CACHES:
        result.add_column(name, justify="right")
    last_writes = False
    for operation in speed.writes:
        if speed.writes[operation] and not last_writes:
            result.add_section()
        last_writes = speed.writes[operation]
        plain = median(speed.seconds[operation]["plain"]) * 1000
        result.add_row(operation, f"{plain:.3f}", *(_cell(speed, operation, name) for name in CACHES))
    return result


def _cell(speed: Speed, operation: str, contender: str) -> str:
    if contender in speed.failures[operation]:
        return "[red]error"
    ratios = Spread.of(speed.ratios(operation, contender))
    colour = "green" if ratios.middle < 0.95 else "red" if ratios.middle > 1.5 else "default"
    asked = "*" if not speed.writes[operation] and speed.statements[operation][contender] else ""
    return f"[{colour}]{ratios.shown(asked)}"
