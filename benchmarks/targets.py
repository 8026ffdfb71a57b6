"""What Everfresh is to reach, as data, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

__all__ = ["TARGETS", "Target", "Verdict", "judge", "table"]

LOOPBACK = "PostgreSQL, loopback"
DELAYED = "PostgreSQL, links of 0.5 ms"
PEERS = ("cacheops", "cachalot")

Results = Mapping[str, Any]
Verdict = dict[str, Any]
"""``what``, ``contender``, ``asked``, ``found`` (None: not measured), ``reached``; for the file."""


@dataclass(frozen=True)
class Target:
    """One figure and its limit."""

    what: str
    contender: str
    limit: float
    found: Callable[[Results], float]
    """Raises KeyError where the run has not measured it."""

    at_most: bool = False
    unit: str = "x"

    def judged(self, results: Results) -> Verdict:
        """For the file and the table."""
        try:
            found = self.found(results)
        except (KeyError, IndexError, StopIteration):
            found = None
        reached = None if found is None else found <= self.limit if self.at_most else found >= self.limit
        return {
            "what": self.what,
            "contender": self.contender,
            "asked": f"{'at most' if self.at_most else 'at least'} {self.limit:g}{self.unit}",
            "found": None if found is None else float(f"{found:.3g}"),
            "unit": self.unit,
            "reached": reached,
        }


def speedup(operation: str, contender: str, limit: float, base: str = "plain", site: str = LOOPBACK) -> Target:
    """So many times faster than *base*, round by round."""
    where = "" if site == LOOPBACK else f", {site.partition(', ')[2]}"
    return Target(
        f"{operation}{where}: faster than {base}",
        contender,
        limit,
        lambda results: _faster(results["speed"][site][operation], contender, base),
    )


def cost(operation: str, contender: str, limit: float, base: str = "plain") -> Target:
    """At most so many times the time of *base*."""
    return Target(
        f"{operation}: time relative to {base}",
        contender,
        limit,
        lambda results: 1 / _faster(results["speed"][LOOPBACK][operation], contender, base),
        at_most=True,
    )


def throughput(writes: float, contender: str, limit: float) -> Target:
    """So many times plain Django's throughput in a mix."""
    return Target(
        f"mix, {writes:.0%} writes: throughput relative to plain",
        contender,
        limit,
        lambda results: _mix(results, writes)["contenders"][contender]["throughput"][1],
    )


def hits(writes: float, contender: str) -> list[Target]:
    """True hits near the ideal and above the peers', nothing stale."""

    def share(results: Results, name: str) -> float:
        return 100 * float(_mix(results, writes)["contenders"][name]["true_hits"])

    def of_ideal(results: Results) -> float:
        return share(results, contender) / _mix(results, writes)["ideal"]

    def above_peers(results: Results) -> float:
        return share(results, contender) - max(share(results, name) for name in PEERS)

    def stale(results: Results) -> float:
        return float(_mix(results, writes)["contenders"][contender]["stale"])

    mix = f"mix, {writes:.0%} writes"
    return [
        Target(f"{mix}: true hits of ideal", contender, 95, of_ideal, unit="%"),
        Target(f"{mix}: true hits above both peers' by", contender, 0, above_peers, unit=" points"),
        Target(f"{mix}: stale answers", contender, 0, stale, at_most=True, unit=""),
    ]


def page(contender: str, limit: float, than: str, *bases: str) -> Target:
    """So many times the requests per second of each of *bases*, on the page of a continent."""

    def found(results: Results) -> float:
        rates = {name: each["per second"] for name, each in results["page"]["continent"].items()}
        return min(median(a / b for a, b in zip(rates[contender], rates[base], strict=True)) for base in bases)

    return Target(f"page of the atlas: requests relative to {than}", contender, limit, found)


def _faster(row: Mapping[str, Any], contender: str, base: str) -> float:
    pairs = zip(row[base]["seconds"], row[contender]["seconds"], strict=False)
    return median(before / after for before, after in pairs)


def _mix(results: Results, writes: float) -> Any:
    return next(mix for mix in results["mixes"][LOOPBACK] if mix["writes"] == writes)


def _growth(results: Results) -> float:
    # Where filling took too long, there were fewer.
    return next(float(each["ratio"][1]) for each in results["growth"]["everfresh"] if each["entries"] == 100_000)


TARGETS: tuple[Target, ...] = (
    speedup("cached.get(pk)", "near", 25),
    speedup("cached.get(pk)", "everfresh", 3),
    speedup("objects.get(pk)", "near", 10),
    speedup("objects.get(pk)", "everfresh", 2.5),
    speedup("objects.get(pk)", "everfresh", 3, base="cacheops"),
    speedup("list of 100", "near", 5),
    speedup("list of 100", "everfresh", 3),
    speedup("list of 100", "everfresh", 2, base="cacheops"),
    speedup("count()", "near", 3),
    speedup("count()", "everfresh", 1.5),
    speedup("FK access", "near", 15),
    speedup("FK access", "everfresh", 3),
    speedup("objects.get(pk)", "near", 60, site=DELAYED),
    speedup("objects.get(pk)", "everfresh", 1, site=DELAYED),
    speedup("page of 5 queries", "everfresh", 1.5, site=DELAYED),
    cost("save()", "everfresh", 1.8),
    cost("save()", "everfresh", 0.5, base="cacheops"),
    cost("bulk_create(1000)", "everfresh", 1.2),
    cost("update(F), 1000 rows", "everfresh", 2),
    throughput(0.01, "near", 4),
    throughput(0.05, "near", 1.8),
    *hits(0.01, "everfresh"),
    *hits(0.05, "everfresh"),
    Target("save() with 100,000 entries: time relative to none", "everfresh", 1.1, _growth, at_most=True),
    page("near", 3, "plain", "plain"),
    page("everfresh", 1, "the better peer", *PEERS),
)


def judge(results: Results) -> list[Verdict]:
    """Every target."""
    return [target.judged(results) for target in TARGETS]


def table(verdicts: list[Verdict]) -> Table:
    """One row for each."""
    result = Table(
        title="Targets", caption="Medians of ratios in one run; PostgreSQL, loopback unless it says otherwise."
    )
    for heading in ("target", "contender", "found", "asked", ""):
        result.add_column(heading, justify="right" if heading in ("found", "asked") else "left")
    words = {True: "[green]reached", False: "[red]missed", None: "[dim]not measured"}
    for verdict in verdicts:
        result.add_row(
            verdict["what"], verdict["contender"], shown(verdict), verdict["asked"], words[verdict["reached"]]
        )
    return result


def shown(verdict: Verdict) -> str:
    """What was found, with its unit."""
    return "" if verdict["found"] is None else f"{verdict['found']:g}{verdict['unit']}"
