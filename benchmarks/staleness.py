"""Which contender serves what the database would not, or asks it needlessly: every scenario, every contender."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import CACHES, Contender, ContenderFailed
from benchmarks.sites import Grounds

__all__ = ["Staleness", "run", "table"]

WORDS = {
    "fresh": "[green]fresh",
    "stale": "[bold red]STALE",
    "dropped": "[yellow]dropped",
    "uncached": "[dim]not cached",
    "error": "[red]error",
}


@dataclass
class Staleness:
    """The verdicts."""

    scenarios: list[tuple[str, str]]
    """Group and name."""

    verdicts: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {name: [] for name in CACHES})

    def of(self, contender: str, verdict: str) -> list[tuple[str, str]]:
        """The scenarios in which a contender got this verdict, with details."""
        return [
            (f"{group}: {name}", each["detail"])
            for (group, name), each in zip(self.scenarios, self.verdicts[contender], strict=True)
            if each["verdict"] == verdict
        ]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            f"{group}: {name}": {contender: self.verdicts[contender][number] for contender in CACHES}
            for number, (group, name) in enumerate(self.scenarios)
        }


def run(grounds: Grounds, console: Console) -> Staleness:
    """Play every scenario with every contender, one after the other, from the same rows and an empty cache."""
    servers = grounds.stories()
    plain = Contender("plain", servers)
    caches = [Contender(name, servers, truth=lambda question: plain.ask("truth", *question)) for name in CACHES]
    result = Staleness([(group, name) for group, name in plain.ask("scenarios")])
    try:
        for number in track(range(len(result.scenarios)), "Staleness", console=console, transient=True):
            for contender in caches:
                plain.ask("few")
                grounds.store.flushall()
                try:
                    verdict = contender.ask("play", number)
                except ContenderFailed as failure:
                    verdict = {"verdict": "error", "detail": str(failure)}
                result.verdicts[contender.name].append(verdict)
    finally:
        for contender in (plain, *caches):
            contender.close()
    return result


def table(staleness: Staleness) -> Table:
    """Scenario by contender, and the sums."""
    result = Table(
        title="Staleness: write, then read through the cache and compare with the database",
        caption="STALE: another answer than the database's. dropped: asked again though the answer was the same.",
    )
    result.add_column("scenario")
    for name in CACHES:
        result.add_column(name)
    last = ""
    for number, (group, name) in enumerate(staleness.scenarios):
        if group != last:
            result.add_section()
            result.add_row(f"[bold]{group}")
            last = group
        result.add_row(f"  {name}", *(WORDS[staleness.verdicts[each][number]["verdict"]] for each in CACHES))
    result.add_section()
    counts = {name: Counter(each["verdict"] for each in staleness.verdicts[name]) for name in CACHES}
    for verdict, word in WORDS.items():
        result.add_row(f"{word}[/] in all", *(str(counts[name][verdict]) for name in CACHES))
    return result
