"""The figures of a run for the manual: tables of Markdown between two marks on a page, and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import CACHES
from benchmarks.plot import plot
from benchmarks.spread import number
from benchmarks.targets import LOOPBACK, shown

__all__ = ["PAGE", "PICTURE", "figures", "picture", "replaced", "write"]

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "images" / "benchmark.svg"
BEGIN, END = "<!-- figures: `python -m benchmarks report` writes what follows -->", "<!-- end of figures -->"

Results = Mapping[str, Any]


def write(results: Results) -> list[Path]:
    """Put the figures of this run into the manual; what was written."""
    PAGE.write_text(replaced(PAGE.read_text(), figures(results)))
    PICTURE.write_text(picture(results))
    return [PAGE, PICTURE]


def replaced(page: str, text: str) -> str:
    """The page with other figures.

    Raises:
        ValueError: when it has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page has no place for figures: write {BEGIN} and {END} into it.")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def picture(results: Results) -> str:
    """Of the single operations on PostgreSQL over loopback."""
    rows = {
        operation: {name: row[name]["ratio"] for name in CACHES if name in row}
        for operation, row in results["speed"][LOOPBACK].items()
    }
    return plot(rows, f"Time relative to plain Django: {LOOPBACK}")


def figures(results: Results) -> str:
    """All tables, of those parts that were run."""
    about = f"{results['versions']}; {results['machine']}; {results['at'][:10]}, a {results['length']} run."
    parts: list[Iterable[str]] = [[about]]
    if "targets" in results:
        parts.append(["### Targets", "", *_targets(results["targets"])])
    for site, rows in results.get("speed", {}).items():
        ping = results["pings, ms"][site]
        parts.append([f"### Single operations: {site}", "", f"A PING of Redis takes {ping:.2f} ms.", "", *_speed(rows)])
    for site, mixes in results.get("mixes", {}).items():
        parts.append([f"### Reads and writes mixed: {site}", "", *_mixes(mixes)])
    if "growth" in results:
        parts.append(["### `save()` beside many entries", "", *_growth(results["growth"])])
    if "page" in results:
        parts.append(["### Pages", "", *_pages(results["page"])])
    if "memory" in results:
        parts.append(["### Memory", "", *_memory(results["memory"])])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _ratio(spread: list[float]) -> str:
    low, middle, high = map(number, spread)
    return f"{middle} ({low} to {high})"


def _targets(verdicts: list[dict[str, Any]]) -> list[str]:
    words = {True: "reached", False: "**missed**", None: "not measured"}
    return _table(
        ["Target", "Contender", "Found", "Asked", ""],
        ([each["what"], each["contender"], shown(each), each["asked"], words[each["reached"]]] for each in verdicts),
    )


def _speed(rows: Mapping[str, Any]) -> list[str]:
    return _table(
        ["Operation", "plain, ms", *CACHES],
        (
            [
                operation,
                f"{1000 * median(row['plain']['seconds']):.3f}",
                *(_ratio(row[name]["ratio"]) if name in row else "failed" for name in CACHES),
            ]
            for operation, row in rows.items()
        ),
    )


def _mixes(mixes: list[dict[str, Any]]) -> list[str]:
    rows = []
    for mix in mixes:
        rows.append([f"{mix['writes']:.0%}", "ideal", "", f"{mix['ideal']:.1%}", "100%", ""])
        for name, each in mix["contenders"].items():
            of_ideal = each["true_hits"] / mix["ideal"]
            ratio = _ratio(each["throughput"])
            rows.append(["", name, ratio, f"{each['true_hits']:.1%}", f"{of_ideal:.0%}", f"{each['stale']}"])
    return _table(["Writes", "Contender", "Throughput", "True hits", "Of ideal", "Stale answers"], rows)


def _growth(growth: Mapping[str, Any]) -> list[str]:
    return _table(
        ["Contender", "Some entries", "Many entries"],
        (
            [name, *(f"{_ratio(each['ratio'])}, {each['entries']:,}" for each in found)]
            for name, found in growth.items()
        ),
    )


def _pages(pages: Mapping[str, Any]) -> list[str]:
    return _table(
        ["Page", "plain, per second", *CACHES],
        (
            [page, f"{median(row['plain']['per second']):.1f}", *(_ratio(row[name]["ratio"]) for name in CACHES)]
            for page, row in pages.items()
        ),
    )


def _memory(weights: Mapping[str, Any]) -> list[str]:
    return _table(
        ["Contender", "Entries", "Bytes of one", "Tags, sets", "Bytes of one", "In all, for each answer"],
        (
            [
                name,
                f"{each['entries']:,}",
                f"{each['entry_bytes']:,.0f}",
                f"{each['beside']:,}",
                f"{each['beside_bytes']:,.0f}",
                f"{each['used_bytes']:,.0f}",
            ]
            for name, each in weights.items()
        ),
    )
