"""The outcome, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from provers.applications.comparing import Comparison

__all__ = ["show", "tell"]

COLUMNS = (
    "version", "tests", "failed plain", "failed cached", "new", "hits", "read back", "fills", "misses", "bypasses",
    "seconds",
)  # fmt: skip


def console() -> Console:
    """Wide enough where it is not a terminal."""
    return Console(width=None if Console().is_terminal else 150, highlight=False)


def tell(found: Comparison, *, details: bool) -> None:
    """Print what was found in one application."""
    out = console()
    for reason, times in found.reasons.most_common(8):
        out.print(f"{times:>8,}  {reason}", markup=False)
    for name, why in found.expected.items():
        out.print(f"expected  {name}: {why}", markup=False)
    for name, how in found.new.items():
        last = how.strip().splitlines()[-1] if how.strip() else ""
        out.print(f"NEW FAILURE  {name}\n             {how if details else last}", markup=False)
    for answer in found.wrong:
        out.print(f"WRONG ANSWER  {answer['what']} in {answer['namespace']}\n{answer['detail']}", markup=False)


def show(all_found: Sequence[Comparison], title: str) -> None:
    """Print the table, and the verdict."""
    table = Table(title=title)
    table.add_column("application")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for found in all_found:
        figures = found.figures
        few = f" [red]under {figures.minimum} hits[/red]" if figures.hits < figures.minimum else ""
        numbers = (
            figures.tests, figures.failed_plain, figures.failed_cached, figures.new_failures,
            figures.hits, figures.echoes, figures.fills, figures.misses, figures.bypasses,
        )  # fmt: skip
        cells = [f"{number:,}" if number else "·" for number in numbers]
        plain, cached = found.seconds
        table.add_row(found.application.name + few, found.application.version, *cells, f"{plain:.0f} + {cached:.0f}")
    out = console()
    out.print(table)
    new, wrong, expected = (
        sum(len(getattr(each, kind)) for each in all_found) for kind in ("new", "wrong", "expected")
    )
    proved = bool(all_found) and all(found.is_proved for found in all_found)
    verdict = "[green]proved[/green]" if proved else "[red]not proved[/red]"
    tests, hits = (sum(getattr(each.figures, kind) for each in all_found) for kind in ("tests", "hits"))
    out.print(
        f"{verdict}: {tests:,} tests of {len(all_found)} applications, {hits:,} hits, {new} new failures, {wrong} wrong"
        f" answers; {expected} failures expected."
    )
