"""``python -m benchmarks``: who is stale, who is fast. Starts its own PostgreSQL and Redis."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import psycopg
from rich.console import Console

from benchmarks import speed, staleness
from benchmarks.contenders import Contender, Servers, versions
from tests.servers import postgresql_server, redis_server

ROUNDS = {"quick": (5, 0.03), "full": (25, 0.2)}  # rounds, seconds for each operation and contender in one


def main() -> int:
    """Run both parts, print both tables, write the file; 1 when Everfresh was stale or failed."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    start = perf_counter()
    load = os.getloadavg()[0]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, loopback, PostgreSQL without fsync"
    console.print(versions(), machine, sep="\n", highlight=False)
    results: dict[str, object] = {
        "versions": versions(),
        "machine": machine,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    status = 0
    with postgresql_server() as postgresql, redis_server() as redis:
        servers = _prepared(Servers(postgresql.port, redis.url))
        if arguments.only != "speed":
            verdicts = staleness.run(servers, console)
            console.print(staleness.table(verdicts))
            results["staleness"] = verdicts.as_json()
            for verdict in ("stale", "error"):
                for name, detail in verdicts.of("everfresh", verdict):
                    status = 1
                    console.print(f"Everfresh, {verdict}: {name}: {detail}", markup=False, highlight=False)
        if arguments.only != "staleness":
            rounds, budget = ROUNDS["full" if arguments.full else "quick"]
            times = speed.measure(servers, console, rounds=rounds, budget=budget)
            console.print(speed.table(times))
            results["speed"] = times.as_json()
            for operation, failures in times.failures.items():
                for contender, failure in failures.items():
                    console.print(f"{contender}, {operation}: {failure}", markup=False, highlight=False)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    console.print(f"{perf_counter() - start:.0f} s. All figures are in {_shown(arguments.json)}.", highlight=False)
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="a few short rounds (the default)")
    length.add_argument("--full", action="store_true", help="more and longer rounds")
    parser.add_argument("--only", choices=("staleness", "speed"), help="one part of it")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).with_name("results.json"), help="where the figures go"
    )
    return parser.parse_args()


def _shown(path: Path) -> str:
    return str(path.resolve().relative_to(Path.cwd()) if path.resolve().is_relative_to(Path.cwd()) else path)


def _prepared(servers: Servers) -> Servers:
    where = f"host=127.0.0.1 port={servers.postgresql_port} user=everfresh dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("CREATE DATABASE benchmarks")
    plain = Contender("plain", servers)
    try:
        plain.ask("tables")
    finally:
        plain.close()
    return servers


if __name__ == "__main__":
    sys.exit(main())
