"""The outcome, for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from provers.django_suite.comparing import Comparison, Label

__all__ = ["show"]

COLUMNS = ("tests", "failed plain", "failed cached", "new", "hits", "read back", "fills", "misses", "bypasses")


def show(found: Comparison, *, details: bool) -> None:
    """Print a table by label, what went wrong, and the totals."""
    console = Console(width=None if Console().is_terminal else 140, highlight=False)
    about = found.about
    table = Table(title=f"Django {about['django']} on {about['db']}, everything cached in {about['store']}")
    table.add_column("label")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, label in found.labels.items():
        few = " [red]too few[/red]" if name in found.too_few_hits else ""
        table.add_row(name + few, *_cells(label))
    table.add_section()
    table.add_row("all", *_cells(found.total()))
    console.print(table)
    for reason, times in found.reasons.most_common(25):
        console.print(f"{times:>8,}  {reason}", markup=False)
    for name, why in found.expected.items():
        console.print(f"expected  {name}: {why}", markup=False)
    for name in found.needless:
        console.print(f"needless  {name} is in expected.py, and passed", markup=False)
    for name, how in found.new.items():
        last = how.strip().splitlines()[-1] if how.strip() else ""
        console.print(f"NEW FAILURE  {name}\n             {how if details else last}", markup=False)
    for answer in found.wrong:
        console.print(f"WRONG ANSWER  {answer['what']} in {answer['namespace']}\n{answer['detail']}", markup=False)
    verdict = "[green]proved[/green]" if found.is_proved else "[red]not proved[/red]"
    # The last line says all, for whoever shows nothing else.
    console.print(f"{verdict}: {_summary(found)}", soft_wrap=True)


def _summary(found: Comparison) -> str:
    about, total, (plain, cached) = found.about, found.total(), found.seconds
    near = f" ({total.near:,} of them near)" if total.near or found.least_near else ""
    return (
        f"Django {about['django']}, {about['db']} + {about['store']}{about['mode']}: {total.tests:,} tests,"
        f" {len(found.new)} new failures, {len(found.expected)} expected, {len(found.wrong)} wrong answers;"
        f" {total.hits:,} hits ({total.verified:,} verified), {total.echoes:,} read back{near}, {total.fills:,} fills,"
        f" {total.bypasses:,} bypasses; {len(found.too_few_hits)} labels with too few hits;"
        f" {plain:.0f} s plain, {cached:.0f} s cached"
    )


def _cells(label: Label) -> list[str]:
    numbers = (
        label.tests, label.failed_plain, label.failed_cached, label.new_failures,
        label.hits, label.echoes, label.fills, label.misses, label.bypasses,
    )  # fmt: skip
    return [f"{number:,}" if number else "·" for number in numbers]
