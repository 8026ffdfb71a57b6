"""One run: workers on servers, disasters, and what came of it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import redis

from provers.processes import given
from provers.processes.board import Board, Tally
from provers.processes.chaos import DISASTERS, Disaster
from provers.processes.crew import Crew
from provers.processes.network import SlowNetwork
from provers.processes.scenarios import Outcome, Scenario
from tests import servers

__all__ = ["run", "run_on"]


def run(scenario: Scenario, database: servers.Server, store: servers.Server) -> Outcome:
    """Run *scenario* on these servers."""
    if scenario.store == "redis":
        # What an earlier run has left would be evicted and flushed in the place of ours.
        with redis.Redis.from_url(store.url) as client:
            client.flushall()
    with ExitStack() as stack:
        network = None
        if "slow network" in scenario.disasters:
            network = stack.enter_context(SlowNetwork(store.host, store.port))
        cache = given.cache_of(scenario, store.host, network.port if network else store.port)
        return run_on(scenario, given.database_of(scenario, database), cache, store, network)


def run_on(
    scenario: Scenario,
    database: dict[str, Any],
    cache: dict[str, Any],
    store: servers.Server | None = None,
    network: SlowNetwork | None = None,
) -> Outcome:
    """Run *scenario* on what these Django settings lead to; *store* is who suffers the disasters."""
    scratch = servers.scratch_directory("processes")
    environment = given.environment(scenario, database, cache, scratch)
    board = Board(scratch / "board", scenario.workers, scenario.counters)
    with Crew(environment, scratch) as crew:
        for number in range(scenario.writers):
            crew.start("writer", number)
        for number in range(scenario.writers, scenario.workers, scenario.threads):
            crew.start("reader", number)
        _wait_for_all(crew, board)
        disasters = [DISASTERS[name](crew, _of(store), network) for name in scenario.disasters]
        _let_strike(scenario, crew, disasters)
        evidence = {what: number for disaster in disasters for what, number in disaster.end().items()}
    return Outcome(
        scenario=scenario,
        **{tally.name.lower(): board.total(tally) for tally in Tally},
        deaths=crew.deaths,
        failures=tuple(crew.failures),
        evidence=evidence,
        examples=crew.examples(),
    )


def _wait_for_all(crew: Crew, board: Board) -> None:
    patience = time.monotonic() + 60
    while not board.all_at_work() and time.monotonic() < patience:
        time.sleep(0.05)
        crew.replace_the_dead()


def _let_strike(scenario: Scenario, crew: Crew, disasters: list[Disaster]) -> None:
    end = time.monotonic() + scenario.seconds
    while time.monotonic() < end:
        time.sleep(0.05)
        for disaster in disasters:
            disaster.strike_when_due()
        crew.replace_the_dead()


def _of(store: servers.Server | None) -> servers.Server:
    if store is None:
        raise ValueError("A disaster needs a server of its own to strike.")
    return store
