"""The outcome of the search, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from provers.protocol.model import Found, Outcome, Scheme, explore
from provers.protocol.schemes import COLUMNS, EXPECTED, OURS, READS, REJECTED

__all__ = ["Row", "rows", "schedules", "show", "totals"]


class Row(NamedTuple):
    """One scheme and what the search found, by column."""

    scheme: Scheme
    found: dict[str, Found]

    def unexpected(self) -> list[str]:
        """What is not as `EXPECTED` has it, in words."""
        return [
            f"{self.scheme.name}, {column}: {found.outcome}, expected {EXPECTED[self.scheme.name, column]}"
            for column, found in self.found.items()
            if not found.complete or found.outcome != EXPECTED[self.scheme.name, column]
        ]


def rows(reads: tuple[int, ...] | None = None) -> Iterator[Row]:
    """Search scheme after scheme; *reads* instead of the number of reads of each scheme's readers."""
    for scheme in (*OURS, *REJECTED):
        how_many = reads or READS.get(scheme.name, (2, 2))
        yield Row(scheme, {name: explore(scheme, scheme.start(faults, how_many)) for name, faults in COLUMNS.items()})


def show(table: list[Row]) -> None:
    """Print the table: with rich where it is installed, as plain text elsewhere."""
    cells = [[row.scheme.name, *(str(found.outcome) for found in row.found.values())] for row in table]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for line in [["scheme", *COLUMNS], *cells]:
            print(f"{line[0]:<50}" + "".join(f"{cell:<18}" for cell in line[1:]).rstrip())
        return
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    shown = Table(title="Is an answer ever stale?", caption="commit..done: between COMMIT and the end of that write")
    for name in ("2 readers, 2 writers", *COLUMNS):
        shown.add_column(name)
    colours = {str(Outcome.NEVER): "green", str(Outcome.WINDOW): "yellow", str(Outcome.FOREVER): "red"}
    for number, line in enumerate(cells):
        if number == len(OURS):
            shown.add_section()
        shown.add_row(line[0], *(f"[{colours.get(cell, 'red')}]{cell}[/]" for cell in line[1:]))
    console.print(shown)


def schedules(row: Row) -> Iterator[str]:
    """The shortest way to the worst that the scheme does, under the least that makes it do so."""
    worst = max(found.outcome for found in row.found.values())
    if worst:
        column, found = next((name, found) for name, found in row.found.items() if found.outcome == worst)
        yield f"{row.scheme.name}, {column}: {worst}"
        yield from found.violations[worst].lines()
        yield ""


def totals(table: list[Row]) -> str:
    """How much was searched."""
    found = [each for row in table for each in row.found.values()]
    return (
        f"{sum(each.states for each in found):,} states and {sum(each.steps for each in found):,} steps"
        f" of {len(table)} schemes in {sum(each.seconds for each in found):.0f} s"
    )
