"""Many processes on real servers, with disasters: ``python -m provers.processes``.

N writers add to counters that only grow, M readers read them through the cache. A reader that starts after a commit
was acknowledged, or after the database itself has shown it, must not see less. The same driver runs cacheops and
cachalot: what finds nothing in them proves nothing about us.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec

from provers.processes.recovery import CRASHES, measure
from provers.processes.running import run
from provers.processes.scenarios import EVERFRESH, PEERS, Demand, Outcome, Scenario
from tests import servers


def main() -> int:
    """Run what is asked for; the exit status tells whether all of it was as demanded."""
    parser = argparse.ArgumentParser(prog="python -m provers.processes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each scenario, some of which take only a part")
    parser.add_argument("--trials", type=int, default=9, help="deaths in each measurement of crashes")
    parser.add_argument("--only", help="scenarios whose line holds this text")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    complaints: list[str] = []
    deaths = 0

    def wanted(scenario: Scenario, words: str = "") -> bool:
        peer = scenario.demand is Demand.FOUND
        return (not options.only or options.only in f"{scenario}{words}") and not (
            peer and (options.no_peers or _missing(scenario.contender, complaints))
        )

    with ExitStack() as stack:
        started: dict[str, servers.Server] = {}
        for scenario in filter(wanted, [*EVERFRESH, *PEERS]):
            database, store = (_server(kind, started, stack) for kind in (scenario.db, scenario.store))
            outcome = run(replace(scenario, seconds=options.seconds * scenario.share), database, store)
            outcomes.append(outcome)
            _show(outcome)
            complaints += [f"{scenario}: {each}" for each in outcome.complaints()]
        for scenario in CRASHES if options.trials else ():
            if wanted(scenario, " crash"):
                database, store = (_server(kind, started, stack) for kind in (scenario.db, scenario.store))
                recovery = measure(scenario, database, store, options.trials)
                deaths += len(recovery.trials)
                print(*recovery.lines(), sep="\n", flush=True)
                complaints += [f"{scenario} crash: {each}" for each in recovery.complaints()]
    complaints += _blind(outcomes)
    if not outcomes and not deaths:
        complaints.append("nothing was run")
    for complaint in complaints:
        print("NOT AS DEMANDED", complaint)
    print(_summary(outcomes, deaths, time.monotonic() - began), "As demanded." if not complaints else "FAILED.")
    return 1 if complaints else 0


def _blind(outcomes: list[Outcome]) -> list[str]:
    """The peers in which nothing was found."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.scenario.demand is Demand.FOUND:
            found[outcome.scenario.contender] += outcome.stale + outcome.window
    return [f"the harness found nothing in {contender}" for contender, number in found.items() if not number]


def _missing(contender: str, complaints: list[str]) -> bool:
    if find_spec(contender):
        return False
    complaint = f"{contender} is not installed, so nobody knows what the harness would find in it"
    if complaint not in complaints:
        complaints.append(complaint)
    return True


def _server(kind: str, started: dict[str, servers.Server], stack: ExitStack) -> servers.Server:
    if kind not in started:
        start = getattr(servers, f"{kind}_server")
        started[kind] = stack.enter_context(start())
    return started[kind]


def _show(outcome: Outcome) -> None:
    wanted = {
        Demand.EXACT: "stale 0, window 0",
        Demand.ACKNOWLEDGED: "stale 0",
        Demand.BOUNDED: f"stale 0 beyond {outcome.scenario.near_seconds:g} s",
        Demand.FOUND: "some stale",
    }
    near = f" near {outcome.near / max(outcome.reads, 1):4.0%} late {outcome.late}" if outcome.scenario.near else ""
    print(
        f"{outcome.scenario} reads {outcome.reads:6} hits {outcome.hits / max(outcome.reads, 1):4.0%}"
        f" writes {outcome.writes:5} errors {outcome.errors:4} deaths {outcome.deaths:3}"
        f"{near} STALE {outcome.stale} window {outcome.window} ahead {outcome.ahead}"
        f"  (demanded: {wanted[outcome.scenario.demand]})"
    )
    if outcome.evidence:
        print("    ", ", ".join(f"{what}: {number}" for what, number in outcome.evidence.items()))
    for example in outcome.examples[:1]:
        print("    ", example)
    sys.stdout.flush()


def _summary(outcomes: list[Outcome], deaths: int, seconds: float) -> str:
    ours = [outcome for outcome in outcomes if outcome.scenario.contender == "everfresh"]
    peers = [outcome for outcome in outcomes if outcome.scenario.contender != "everfresh"]
    exact = [each.window for each in ours if each.scenario.demand is Demand.EXACT]
    return (
        f"{len(ours)} scenarios: {sum(each.reads for each in ours)} reads checked"
        f" ({sum(each.hits for each in ours)} hits), {sum(each.writes for each in ours)} writes,"
        f" {sum(each.deaths for each in ours) + deaths} deaths, {sum(each.stale for each in ours) + sum(exact)} stale,"
        f" {sum(each.window for each in ours) - sum(exact)} in documented windows;"
        f" peers: {sum(each.reads for each in peers)} reads, {sum(each.stale + each.window for each in peers)} stale;"
        f" {seconds:.0f} s."
    )


if __name__ == "__main__":
    sys.exit(main())
