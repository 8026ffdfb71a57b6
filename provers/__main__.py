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

from rich.console import Console
from rich.table import Table

__all__ = ["PROVERS", "Prover"]


@dataclass(frozen=True, kw_only=True)
class Prover:
    """One command."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


SERVERS = {"EVERFRESH_TEST_DB": "postgresql", "EVERFRESH_TEST_STORE": "redis"}

PROVERS = [
    Prover(name="tests marked prove", arguments=("pytest", "-q", "-m", "prove"), environment=SERVERS),
    Prover(name="the protocol, exhaustively", arguments=("provers.protocol", "--quick")),
    Prover(name="many processes, disasters, peers", arguments=("provers.processes", "--seconds", "10")),
    Prover(name="Django's own test suite", arguments=("provers.django_suite", "--no-echo")),
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
    for prover in PROVERS:
        if options.only and not any(text in f"{prover.name} {prover.arguments[0]}" for text in options.only):
            continue
        begun = time.monotonic()
        status, last = _run(prover)
        failed |= status != 0
        verdict = "proved" if status == 0 else f"FAILED ({status})"
        table.add_row(prover.name, last, verdict, f"{time.monotonic() - begun:.0f} s")
    Console().print(table)
    return 1 if failed else 0


def _run(prover: Prover) -> tuple[int, str]:
    """Its exit status and the last line it printed; all of it goes to our own output as it comes."""
    print(f"\n== {prover.name}", flush=True)
    command = [sys.executable, "-m", *prover.arguments]
    environment = {**os.environ, **prover.environment}
    last = ""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


if __name__ == "__main__":
    sys.exit(main())
