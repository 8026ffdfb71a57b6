"""How long it takes after a writer's death until a reader gets the new row, and until answers are cached again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from provers.processes import given
from provers.processes.crew import ROOT
from provers.processes.scenarios import Demand, Scenario
from tests import servers

__all__ = ["CRASHES", "Recovery", "measure"]

CRASHES = [
    Scenario(),
    Scenario(db="mariadb"),
    Scenario(store="memcached"),
    Scenario(demand=Demand.FOUND, contender="cacheops"),
    Scenario(demand=Demand.FOUND, contender="cachalot"),
]


@dataclass(frozen=True)
class Recovery:
    """The trials of one contender."""

    scenario: Scenario
    trials: tuple[dict[str, Any], ...]

    @property
    def stale(self) -> int:
        """Stale answers after a death."""
        return sum(trial["stale"] for trial in self.trials)

    def lines(self) -> Iterator[str]:
        """One for each place to die at."""
        for point in dict.fromkeys(trial["point"] for trial in self.trials):
            trials = [trial for trial in self.trials if trial["point"] == point]
            yield (
                f"{self.scenario.contender:9} {self.scenario.db:10} {self.scenario.store:9} dies {point:13}"
                f" deaths {len(trials):2}  fresh after {_times([trial['fresh'] for trial in trials]):26}"
                f" cached again after {_times([trial['cached'] for trial in trials]):26}"
                f" stale answers {sum(trial['stale'] for trial in trials)}"
            )

    def complaints(self) -> Iterator[str]:
        """What is not as demanded."""
        if not self.trials:
            yield "no trial was made"
        if self.scenario.demand is Demand.FOUND:
            if not self.stale:
                yield "the harness found no stale answer after a crash in a peer"
            return
        if self.stale:
            yield f"{self.stale} stale answers after a crash"
        if any(trial["fresh"] is None or trial["cached"] is None for trial in self.trials):
            yield "an answer was not fresh and cached again in time"


def measure(scenario: Scenario, database: servers.Server, store: servers.Server, trials: int) -> Recovery:
    """Let so many writers die."""
    scratch = servers.scratch_directory("processes")
    settings = given.database_of(scenario, database)
    cache = given.cache_of(scenario, store.host, store.port)
    # Longer than a mark lives, which is three seconds on Memcached. Peers have none: what is not fresh then stays.
    patience = 1.0 if scenario.demand is Demand.FOUND else 4.0
    environment = given.environment(scenario, settings, cache, scratch)
    done = subprocess.run(
        [sys.executable, "-m", "provers.processes.watcher", str(trials), str(patience)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Recovery(scenario, tuple(json.loads(line) for line in done.stdout.splitlines()))


def _times(milliseconds: list[float | None]) -> str:
    known = [each for each in milliseconds if each is not None]
    never = len(milliseconds) - len(known)
    words = [f"{median(known):.1f} (at most {max(known):.1f}) ms"] if known else []
    return ", ".join([*words, *([f"never: {never}"] if never else [])])
