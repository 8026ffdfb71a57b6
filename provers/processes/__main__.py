"""Many processes on real servers, with disasters: ``python -m provers.processes``.

N writers add to counters that only grow, M readers read them through the cache. A reader that starts after a commit
was acknowledged must not see less. The same driver runs cacheops and cachalot: what finds nothing in them proves
nothing about us.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec

from provers.processes.running import Outcome, Scenario, run
from tests import servers

CALM = Scenario()
EVERFRESH = [
    CALM,
    Scenario(isolation="repeatable read", atomic=0.6),
    Scenario(disasters=("kill -9",), suicides=0.01),
    Scenario(disasters=("FLUSHALL",)),
    Scenario(disasters=("CLIENT KILL",)),
    Scenario(disasters=("evict",)),
    Scenario(disasters=("restart",)),
    Scenario(disasters=("freeze",)),
    Scenario(disasters=("kill -9", "evict", "CLIENT KILL"), suicides=0.01),
    Scenario(db="mariadb"),
    Scenario(db="mariadb", isolation="repeatable read", atomic=0.6, disasters=("kill -9",), suicides=0.01),
    Scenario(store="memcached"),
    Scenario(db="mariadb", store="memcached"),
]
PEERS = [
    Scenario(contender=contender, disasters=disasters, atomic=atomic)
    for contender in ("cacheops", "cachalot")
    for disasters, atomic in (((), 0.3), (("kill -9",), 0.3))
]


def main() -> int:
    """Run what is asked for, show the table; the exit status tells whether Everfresh was stale."""
    parser = argparse.ArgumentParser(prog="python -m provers.processes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", help="scenarios whose line holds this text")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    peers = [] if options.no_peers else [each for each in PEERS if find_spec(each.contender)]
    outcomes = []
    with ExitStack() as stack:
        started: dict[str, servers.Server] = {}
        for scenario in [*EVERFRESH, *peers]:
            if options.only and options.only not in _line(scenario):
                continue
            database, store = (_server(kind, started, stack) for kind in (scenario.db, scenario.store))
            outcomes.append(run(replace(scenario, seconds=options.seconds), database, store))
            _show(outcomes[-1])
    stale = sum(outcome.stale for outcome in outcomes if _is_exact(outcome.scenario))
    reads = sum(outcome.reads for outcome in outcomes if outcome.scenario.contender == "everfresh")
    print(f"everfresh: {reads} reads checked, stale answers: {stale}")
    return 1 if stale else 0


def _is_exact(scenario: Scenario) -> bool:
    """Must there be no stale answer at all? Plain stores have a window, between overlapping writers of one tag."""
    return scenario.contender == "everfresh" and scenario.store == "redis"


def _server(kind: str, started: dict[str, servers.Server], stack: ExitStack) -> servers.Server:
    if kind not in started:
        start = getattr(servers, f"{kind}_server")
        started[kind] = stack.enter_context(start())
    return started[kind]


def _line(scenario: Scenario) -> str:
    return f"{scenario.contender:10} {scenario.db:11} {scenario.store:10} {scenario.isolation:16} {scenario.name:40}"


def _show(outcome: Outcome) -> None:
    print(
        f"{_line(outcome.scenario)} reads {outcome.reads:7} hits {outcome.hits:7} writes {outcome.writes:6}"
        f" errors {outcome.errors:5} deaths {outcome.deaths:3} STALE {outcome.stale}",
        flush=True,
    )
    for example in outcome.examples[:3]:
        print(f"    {example}")


if __name__ == "__main__":
    sys.exit(main())
