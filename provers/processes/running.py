"""One run: servers, workers, disasters, and what came of it."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provers.processes.board import Board, Tally
from provers.processes.chaos import DISASTERS
from tests import servers

__all__ = ["Crew", "Outcome", "Scenario", "run"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is run."""

    contender: str = "everfresh"
    db: str = "postgresql"
    store: str = "redis"
    isolation: str = "read committed"
    atomic: float = 0.3
    """The share of reads inside ``atomic()``."""

    disasters: tuple[str, ...] = ()
    suicides: float = 0.0
    """How likely a writer dies right after its mark, and again right after its COMMIT."""

    seconds: float = 10.0
    writers: int = 2
    readers: int = 3
    counters: int = 12
    pause: float = 0.002
    """Mean seconds between the writes of one writer."""

    on_mark_failure: str = "raise"

    @property
    def name(self) -> str:
        """In a few words."""
        trouble = " + ".join([*self.disasters, *(["dies at the worst moment"] if self.suicides else [])])
        return trouble or "undisturbed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    scenario: Scenario
    reads: int
    stale: int
    hits: int
    writes: int
    errors: int
    deaths: int
    examples: tuple[str, ...]


@dataclass
class Crew:
    """The worker processes."""

    environment: dict[str, str]
    scratch: Path
    members: dict[tuple[str, int], subprocess.Popen[bytes]] = field(default_factory=dict)
    deaths: int = 0

    def start(self, role: str, number: int) -> None:
        """Start a worker."""
        with (self.scratch / f"{role}-{number}.log").open("ab") as log:
            self.members[role, number] = subprocess.Popen(
                [sys.executable, "-m", "provers.processes.worker", role, str(number)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill_one(self, role: str) -> None:
        """``kill -9`` one worker of this role, by its process id."""
        member = random.choice([key for key in self.members if key[0] == role])
        self.members[member].send_signal(signal.SIGKILL)

    def replace_the_dead(self) -> None:
        """Start another process in the place of each that ended."""
        for (role, number), process in list(self.members.items()):
            if process.poll() is not None:
                self.deaths += 1
                self.start(role, number)

    def dismiss(self) -> None:
        """Ask all to stop, and wait."""
        for process in self.members.values():
            process.terminate()
        for process in self.members.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stale_reads(self) -> tuple[str, ...]:
        """What the readers said of them."""
        lines = [
            line for log in self.scratch.glob("reader-*.log") for line in log.read_text(errors="replace").splitlines()
        ]
        return tuple(line for line in lines if line.startswith("STALE"))


def run(scenario: Scenario, database: servers.Server, store: servers.Server) -> Outcome:
    """Run *scenario* on these servers."""
    scratch = servers.scratch_directory("processes")
    workers = scenario.writers + scenario.readers
    given: dict[str, Any] = {
        "contender": scenario.contender,
        "run": f"run-{secrets.token_hex(4)}",
        "database": _database(scenario, database),
        "cache": _cache(scenario, store),
        "on_mark_failure": scenario.on_mark_failure,
        "board": str(scratch / "board"),
        "workers": workers,
        "counters": scenario.counters,
        "shards": 3,
        "atomic": scenario.atomic,
        "suicides": scenario.suicides,
        "pause": scenario.pause,
        "seed": secrets.token_hex(4),
    }
    environment = {**os.environ, "EVERFRESH_PROCESSES": json.dumps(given), "DJANGO_SETTINGS_MODULE": ""}
    board = Board(scratch / "board", workers, scenario.counters)
    subprocess.run([sys.executable, "-m", "provers.processes.prepare"], cwd=ROOT, env=environment, check=True)
    crew = Crew(environment, scratch)
    try:
        for number in range(workers):
            crew.start("writer" if number < scenario.writers else "reader", number)
        _wait(scenario, crew, board, store)
    finally:
        crew.dismiss()
    return Outcome(
        scenario=scenario,
        **{tally.name.lower(): board.total(tally) for tally in Tally},
        deaths=crew.deaths,
        examples=crew.stale_reads(),
    )


def _wait(scenario: Scenario, crew: Crew, board: Board, store: servers.Server) -> None:
    patience = time.monotonic() + 60
    while not board.all_at_work() and time.monotonic() < patience:
        time.sleep(0.05)
    end = time.monotonic() + scenario.seconds
    while time.monotonic() < end:
        time.sleep(min(0.3, scenario.seconds))
        for name in scenario.disasters:
            DISASTERS[name](crew, store)
        crew.replace_the_dead()


def _database(scenario: Scenario, server: servers.Server) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if scenario.db == "mariadb":
        options = {"isolation_level": scenario.isolation}
    elif scenario.isolation == "repeatable read":
        options = {"options": "-c default_transaction_isolation=repeatable\\ read"}
    return {
        "ENGINE": {"postgresql": "django.db.backends.postgresql", "mariadb": "django.db.backends.mysql"}[scenario.db],
        "NAME": "everfresh_processes",
        "HOST": server.host,
        "PORT": server.port,
        "USER": {"postgresql": "everfresh", "mariadb": "root"}[scenario.db],
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
    }


def _cache(scenario: Scenario, server: servers.Server) -> dict[str, Any]:
    if scenario.store == "memcached":
        return {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": f"{server.host}:{server.port}",
        }
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{server.url}/0"}
