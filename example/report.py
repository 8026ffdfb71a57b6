"""The tables at the end of the demo, and its verdict."""

from collections.abc import Mapping
from functools import reduce
from operator import add

from rich import box
from rich.console import Console
from rich.table import Table

from example.measuring import Measurement, Tally

COSTS = ("SQL plain", "SQL cached", "ms plain", "ms cached", "ratio")


def report(console: Console, plain: Measurement, cached: Measurement) -> int:
    """Print everything; return the exit status."""
    console.print(reads_table(plain.reads, cached.reads))
    console.print(writes_table(plain.writes, cached.writes))
    alone = total(plain.reads) + total(plain.writes)
    both = total(cached.reads) + total(cached.writes)
    console.print(
        f"Reads and writes: {alone.seconds:.2f} s plain, {both.seconds:.2f} s cached, ratio {ratio(alone, both)}",
        f"SQL statements: {alone.statements:,} plain, {both.statements:,} cached",
        f"Invalidations: {both.invalidations:,}. Answers they dropped and somebody asked for again: {both.dropped:,}",
        f"    {both.needed:,} needed: they had changed",
        f"    {both.swept:,} swept away with a whole table, unchanged",
        f"    {both.dropped - both.needed - both.swept:,} not needed",
        sep="\n",
    )
    if cached.pages:
        console.print(
            f"Pages: {cached.pages}, with {cached.fragments:,} fragments. Rendered: {cached.rendered:,}. "
            "Each page was compared with the same without the cache."
        )
    return verdict(console, plain, cached)


def verdict(console: Console, plain: Measurement, cached: Measurement) -> int:
    """Say what was wrong; return the exit status, which is 0 when nothing was."""
    if plain.stale:
        console.print(f"[red]The check is wrong: it found {len(plain.stale)} answers stale without a cache.")
    same = plain.digest == cached.digest
    if same:
        console.print(f"Both runs gave the same {cached.answers:,} answers, each checked against the database.")
    else:
        console.print("[red]The two runs did not give the same answers.")
    for operation in cached.stale[:10]:
        console.print(f"stale: {operation}", markup=False, highlight=False)
    console.print(f"stale answers: {len(cached.stale)}", highlight=False)
    return 0 if same and not plain.stale and not cached.stale else 1


def reads_table(plain: Mapping[str, Tally], cached: Mapping[str, Tally]) -> Table:
    """What reading cost, by kind, and how many of the stored answers were dropped, with or without need."""

    def cells(one: Tally, other: Tally) -> list[str]:
        hit_rate = f"{other.hits / other.asked:.0%}" if other.asked else "-"
        return [f"{other.operations:,}", hit_rate, *costs(one, other), f"{other.dropped:,}", f"{other.needed:,}"]

    headers = ("ops", "hit rate", *COSTS, "dropped", "needed")
    table = numbers_table("Reads", headers, cells(total(plain), total(cached)))
    for kind in plain:
        table.add_row(kind, *cells(plain[kind], cached[kind]))
    return table


def writes_table(plain: Mapping[str, Tally], cached: Mapping[str, Tally]) -> Table:
    """What writing cost, by kind, and how many statements were recorded as invalidations, with or without rows."""

    def cells(one: Tally, other: Tally) -> list[str]:
        return [f"{other.operations:,}", *costs(one, other), f"{other.invalidations:,}", f"{other.whole_tables:,}"]

    headers = ("ops", *COSTS, "invalidations", "whole tables")
    table = numbers_table("Writes", headers, cells(total(plain), total(cached)))
    for kind in plain:
        table.add_row(kind, *cells(plain[kind], cached[kind]))
    return table


def numbers_table(title: str, headers: tuple[str, ...], sums: list[str]) -> Table:
    """A table of kinds with columns of numbers, and their sums at the foot."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True)
    table.padding = (0, 0, 0, 1)
    table.add_column("kind", footer="all", no_wrap=True)
    for header, footer in zip(headers, sums, strict=True):
        table.add_column(header, footer=footer, justify="right")
    return table


def costs(plain: Tally, cached: Tally) -> list[str]:
    """SQL statements and milliseconds of both runs, and by what factor the second was faster."""
    return [
        f"{plain.statements:,}",
        f"{cached.statements:,}",
        f"{plain.seconds * 1000:,.0f}",
        f"{cached.seconds * 1000:,.0f}",
        ratio(plain, cached),
    ]


def ratio(plain: Tally, cached: Tally) -> str:
    """How many times faster the run with Everfresh was; less than 1 is slower."""
    if not cached.seconds:
        return "-"
    factor = plain.seconds / cached.seconds
    colour = "red" if factor < 1 else "green"
    return f"[{colour}]{factor:.2f}x[/]" if factor < 10 else f"[{colour}]{factor:.0f}x[/]"


def total(tallies: Mapping[str, Tally]) -> Tally:
    """The sums of all kinds."""
    return reduce(add, tallies.values(), Tally())
