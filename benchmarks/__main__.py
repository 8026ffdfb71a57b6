"""``python -m benchmarks``: who is stale, who is fast. Starts its own PostgreSQL and Redis."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from benchmarks import atlas, growth, memory, mixes, report, speed, staleness, targets
from benchmarks.awake import awake
from benchmarks.contenders import OURS, versions
from benchmarks.sites import DATABASES, Grounds, grounds

RESULTS = Path(__file__).with_name("results.json")
DELAYS = (0.0, 0.5)  # milliseconds, one way


@dataclass(frozen=True)
class Length:
    """How much is done."""

    rounds: int
    """Of the speed on PostgreSQL over loopback; elsewhere half or a third as many."""

    budget: float
    """Seconds for each operation and contender in one of them."""

    steps: int
    """Of a mix."""

    patience: float
    """Seconds to fill a cache."""

    wrk: tuple[int, float]
    """Rounds, and seconds for each page and contender in one."""


QUICK = Length(rounds=5, budget=0.03, steps=3000, patience=6, wrk=(2, 1.0))
FULL = Length(rounds=15, budget=0.1, steps=24_000, patience=200, wrk=(5, 3.0))


@dataclass
class Run:
    """One run: what was asked for, and what came of it."""

    options: argparse.Namespace
    console: Console
    results: dict[str, Any]
    failed: bool = False

    @property
    def length(self) -> Length:
        """How much is done."""
        return FULL if self.options.full else QUICK

    def staleness(self, place: Grounds) -> None:
        """The stories."""
        verdicts = staleness.run(place, self.console)
        self.console.print(staleness.table(verdicts))
        self.results["staleness"] = verdicts.as_json()
        for ours in OURS:
            for verdict in ("stale", "error"):
                for name, detail in verdicts.of(ours, verdict):
                    self.failed = True
                    self.say(f"{ours}, {verdict}: {name}: {detail}")

    def speed(self, place: Grounds) -> None:
        """Single operations, everywhere."""
        for database in self.options.database:
            for delay in self.options.delay_ms:
                aside = (database != "postgresql") + bool(delay)  # by so much from where most targets are
                rounds = -(-self.length.rounds // (1 + aside))
                with place.site(database, delay) as site:
                    self.say(f"{site.name}: a PING of Redis takes {site.measured_ms:.2f} ms.")
                    times = speed.measure(site, self.console, rounds=rounds, budget=self.length.budget)
                self.console.print(speed.table(times, site))
                self.results.setdefault("speed", {})[site.name] = times.as_json()
                self.results.setdefault("pings, ms", {})[site.name] = site.measured_ms
                for operation, failures in times.failures.items():
                    for contender, failure in failures.items():
                        self.failed |= contender in OURS
                        self.say(f"{contender}, {operation}: {failure}")

    def mixes(self, place: Grounds) -> None:
        """Reads and writes."""
        for database in self.options.database if self.options.full else self.options.database[:1]:
            with place.site(database, 0) as site:
                found = mixes.measure(site, self.console, length=self.length.steps)
            self.console.print(mixes.table(found, site))
            self.results.setdefault("mixes", {})[site.name] = [mix.as_json() for mix in found]
            self.failed |= any(mix.outcomes[ours].stale for mix in found for ours in OURS)

    def growth(self, place: Grounds) -> None:
        """A `save()` beside many entries."""
        with place.site(self.options.database[0], 0) as site:
            found = growth.measure(site, self.console, patience=self.length.patience)
        self.console.print(growth.table(found, site))
        self.results["growth"] = found.as_json()

    def page(self, place: Grounds) -> None:
        """Pages under gunicorn."""
        rounds, seconds = self.length.wrk
        found = atlas.measure(place, self.console, rounds=rounds, seconds=seconds)
        self.console.print(atlas.table(found))
        self.results["page"] = found.as_json()
        for difference in found.differences:
            self.failed |= difference.startswith(OURS)
            self.say(difference)

    def memory(self, place: Grounds) -> None:
        """Bytes."""
        with place.site(self.options.database[0], 0) as site:
            found = memory.measure(site, self.console)
        self.console.print(memory.table(found))
        self.results["memory"] = memory.as_json(found)

    def say(self, text: str) -> None:
        """A line as it is."""
        self.console.print(text, markup=False, highlight=False)


PARTS: dict[str, Callable[[Run, Grounds], None]] = {
    "staleness": Run.staleness,
    "speed": Run.speed,
    "mixes": Run.mixes,
    "growth": Run.growth,
    "page": Run.page,
    "memory": Run.memory,
}


def main() -> int:
    """Run the parts, print the tables, write the file; 1 when Everfresh was stale or failed."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 132)
    if options.command == "report":
        for path in report.write(json.loads(options.json.read_text())):
            console.print(_shown(path), highlight=False)
        return 0
    start = perf_counter()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, PostgreSQL without fsync"
    console.print(versions(), machine, sep="\n", highlight=False)
    results = {
        "versions": versions(),
        "machine": machine,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "length": "full" if options.full else "quick",
    }
    run = Run(options, console, results)
    with awake(), grounds() as place:
        try:
            for part in options.only:
                PARTS[part](run, place)
        finally:
            # What was measured is kept, whatever a later part stumbles over.
            results["targets"] = verdicts = targets.judge(results)
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    console.print(targets.table(verdicts))
    console.print(f"{perf_counter() - start:.0f} s. All figures are in {_shown(options.json)}.", highlight=False)
    return int(run.failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=("run", "report", *PARTS),
        default="run",
        help="a part of it, or `report`: write the figures of the last run into the manual",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="a few short rounds (the default)")
    length.add_argument("--full", action="store_true", help="more and longer rounds")
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), metavar="PARTS", help=f"of {','.join(PARTS)}, with commas between"
    )
    parser.add_argument("--database", choices=DATABASES, action="append", help="one of them (default: both)")
    parser.add_argument(
        "--delay-ms", type=float, action="append", metavar="MS", help="one way, of every link (default: 0 and 0.5)"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    options = parser.parse_args()
    if options.command in PARTS:
        options.only = [options.command]
    options.database = options.database or list(DATABASES)
    options.delay_ms = options.delay_ms or list(DELAYS)
    return options


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part is called {', '.join(sorted(unknown))}")
    return parts


def _shown(path: Path) -> str:
    return str(path.resolve().relative_to(Path.cwd()) if path.resolve().is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
