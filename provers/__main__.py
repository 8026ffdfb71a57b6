"""All provers, one after another, and one table: ``python -m provers`` (``make prove``).

Each is a command of its own, whose last line says what it tried, and whose exit status is its verdict.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests import servers

__all__ = ["PROVERS", "Prover"]


@dataclass(frozen=True, kw_only=True)
class Prover:
    """One command."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    python: Path = Path(sys.executable)


OLDEST = Path(__file__).resolve().parents[1] / ".venvs" / "oldest" / "bin" / "python"
"""Of the oldest Django and the oldest Python at hand, made by ``tools/envs.py oldest``."""

SERVERS = {"EVERFRESH_TEST_DB": "postgresql", "EVERFRESH_TEST_STORE": "redis"}


def _suite(name: str, *arguments: str, python: Path = Path(sys.executable)) -> Prover:
    return Prover(name=name, arguments=("provers.django_suite", *arguments), python=python)


PROVERS = [
    Prover(name="tests marked prove", arguments=("pytest", "-q", "-m", "prove"), environment=SERVERS),
    Prover(name="the protocol, exhaustively", arguments=("provers.protocol", "--quick")),
    Prover(name="many processes, disasters, peers", arguments=("provers.processes", "--seconds", "10")),
    Prover(name="a stampede", arguments=("provers.stampede",)),
    Prover(name="… with near copies", arguments=("provers.stampede", "--near")),
    _suite("Django's own test suite", "--at-once", "2", "--work", "{work}"),
    _suite("… and each hit verified", "--verify", "--plain", "{work}/plain"),
    _suite("… with rows as entries of their own", "--rows", "--plain", "{work}/plain", "--at-once", "2"),
    _suite("… with near copies", "--store", "redis", "--near", "--committed", "--extent", "few", "--at-once", "2"),
    _suite("… on PostgreSQL and Redis", "--db", "postgresql", "--store", "redis", "--at-once", "2"),
    _suite("… of the oldest Django", "--store", "redis", "--at-once", "2", python=OLDEST),
    Prover(name="other people's applications", arguments=("provers.applications",)),
    Prover(name="mutation", arguments=("provers.mutation",)),
]


def main() -> int:
    """Run what is asked for; the exit status tells whether anything failed."""
    parser = argparse.ArgumentParser(prog="python -m provers", description=__doc__)
    parser.add_argument("--only", action="append", help="provers whose name or module holds this text")
    options = parser.parse_args()
    table = Table("prover", "what it tried", "verdict", "time", title="make prove")
    failed = False
    work = servers.scratch_directory("provers")
    for prover in PROVERS:
        if options.only and not any(text in f"{prover.name} {prover.arguments[0]}" for text in options.only):
            continue
        begun = time.monotonic()
        status, last = _run(prover, work)
        failed |= status != 0
        verdict = "proved" if status == 0 else f"FAILED ({status})"
        table.add_row(prover.name, last, verdict, f"{time.monotonic() - begun:.0f} s")
    Console().print(table)
    return 1 if failed else 0


def _run(prover: Prover, work: Path) -> tuple[int, str]:
    """Its exit status and the last line it printed; all of it goes to our own output as it comes."""
    print(f"\n== {prover.name}", flush=True)
    if not prover.python.exists():
        return 1, f"{prover.python} does not exist: see tools/envs.py"
    command = [str(prover.python), "-m", *(word.format(work=work) for word in prover.arguments)]
    environment = {**os.environ, **prover.environment}
    last = ""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


if __name__ == "__main__":
    sys.exit(main())
