"""How long each operation takes beside plain Django, rounds interleaved."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import CONTENDERS, Contender, ContenderFailed, Servers

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
                    "median_seconds": median(self.seconds[operation][contender]),
                    "median_ratio": median(self.ratios(operation, contender)),
                    "statements": self.statements[operation].get(contender),
                }
                for contender in self.seconds[operation]
                if self.seconds[operation][contender]
            }
            for operation in self.seconds
        }


def measure(servers: Servers, console: Console, *, rounds: int, budget: float) -> Speed:
    """Let all contenders do every operation in turns, *rounds* times for about *budget* seconds each."""
    running = {name: Contender(name, servers) for name in CONTENDERS}
    try:
        speed = Speed(dict(running["plain"].ask("operations")))
        running["plain"].ask("many")
        steps = [(number, operation) for number in range(rounds) for operation in speed.writes]
        for number, operation in track(steps, "Speed", console=console, transient=True):
            for place in range(len(CONTENDERS)):
                # Nobody always comes after the same neighbour, nor always first.
                name = CONTENDERS[(place + number) % len(CONTENDERS)]
                _one(speed, running[name], operation, budget)
    finally:
        for contender in running.values():
            contender.close()
    return speed


def _one(speed: Speed, contender: Contender, operation: str, budget: float) -> None:
    row = speed.seconds.setdefault(operation, {name: [] for name in CONTENDERS})
    failures = speed.failures.setdefault(operation, {})
    statements = speed.statements.setdefault(operation, {})
    if contender.name in failures:
        return
    try:
        row[contender.name].append(_typical(contender.ask("time", operation, budget)))
        # Of reads only: what a cache does around a write may go past Django's cursor, where nobody counts.
        if not speed.writes[operation] and contender.name not in statements:
            statements[contender.name] = contender.ask("statements", operation)
    except ContenderFailed as failure:
        failures[contender.name] = str(failure)


def _typical(seconds: list[float]) -> float:
    """What a turn takes that nobody interrupts: the lower quartile, for a shared machine interrupts many."""
    return quantiles(seconds, n=4)[0] if len(seconds) > 3 else min(seconds)


def table(speed: Speed) -> Table:
    """Plain Django's time, and the others' as shares of it."""
    result = Table(
        title="Speed: time relative to plain Django (median of the rounds; least to greatest in brackets)",
        caption=(
            "Below 1 is faster than plain Django. Reads are warm; * = asked the database all the same. "
            "Who is stale after a kind of write, above, spends nothing on it here."
        ),
    )
    result.add_column("operation")
    result.add_column("plain, ms", justify="right")
    for name in CONTENDERS[1:]:
        result.add_column(name, justify="right")
    last_writes = False
    for operation in speed.writes:
        if speed.writes[operation] and not last_writes:
            result.add_section()
        last_writes = speed.writes[operation]
        plain = median(speed.seconds[operation]["plain"]) * 1000
        result.add_row(operation, f"{plain:.3f}", *(_cell(speed, operation, name) for name in CONTENDERS[1:]))
    return result


def _cell(speed: Speed, operation: str, contender: str) -> str:
    if contender in speed.failures[operation]:
        return "[red]error"
    ratios = speed.ratios(operation, contender)
    middle = median(ratios)
    colour = "green" if middle < 0.95 else "red" if middle > 1.5 else "default"
    asked = "*" if not speed.writes[operation] and speed.statements[operation][contender] else ""
    return f"[{colour}]{middle:.2f}{asked}[/] ({min(ratios):.2f} to {max(ratios):.2f})"
