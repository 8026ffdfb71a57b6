"""A short form of the prover of many processes, on the combination's own database and store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provers.processes.running import run_on
from provers.processes.scenarios import Demand, Outcome, Scenario
from tests import settings


@pytest.mark.slow
@pytest.mark.skipif(settings.DB == "sqlite" or settings.STORE == "locmem", reason="It needs servers to meet on.")
@pytest.mark.parametrize("near", [False, True])
def test_writers_die_and_nothing_is_stale(near: bool) -> None:
    """Writers die at their COMMIT, before and after it; no reader gets less than the database has shown."""
    if near and settings.STORE != "redis":
        pytest.skip("Only Redis says what changes.")
    # Where marks do not count, overlapping writers have a window: there they take turns.
    scenario = Scenario(seconds=1.5, writers=2, readers=2, suicides=0.02, turns=settings.STORE != "redis", near=near)
    database = settings.DATABASES["default"] | {"NAME": "everfresh_processes"}
    outcome = run_on(scenario, database, settings.CACHES["default"])

    assert (0, 0, 0, ()) == (outcome.stale, outcome.window, outcome.ahead, outcome.failures), outcome.examples
    assert outcome.compared
    assert outcome.hits


CALM = Outcome(
    scenario=Scenario(), reads=9, compared=4, hits=5, writes=3, errors=0, stale=0, window=0, ahead=0, near=0, late=0,
    deaths=0, failures=(), evidence={}, examples=(),
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"stale": 1},
        {"window": 1},
        {"ahead": 1},
        {"hits": 2},
        {"hits": 0, "reads": 0},
        {"compared": 0},
        {"evidence": {"keys flushed": 0}},
        {"failures": ("reader 1 ended with 1",)},
        {"scenario": Scenario(suicides=0.1)},
        {"scenario": Scenario(near=True)},
        {"late": 1},
        {"window": 1, "scenario": Scenario(demand=Demand.BOUNDED)},
    ],
    ids=str,
)
def test_outcome_that_is_not_as_demanded(changes: dict[str, object]) -> None:
    """Stale answers, too few hits, disasters that did nothing: each fails the prover."""
    assert [] == list(CALM.complaints())
    assert 1 == len(list(replace(CALM, **changes).complaints()))  # type: ignore[arg-type]
