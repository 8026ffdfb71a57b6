"""The model of the protocol, searched through completely: ours, and the schemes that were not chosen."""

# ruff: noqa: T201  `-m prove -s` shows the table

from __future__ import annotations

import pytest

from provers.protocol.model import Faults, Outcome, Scheme, explore
from provers.protocol.report import rows, schedules, show, totals
from provers.protocol.schemes import (
    COLUMNS,
    EXPECTED,
    FULL,
    FULL_TWO_GROUPS,
    OURS,
    PLAIN_WHOLE,
    READS,
    REJECTED,
    STAMPED,
)

ELSEWHERE = {FULL, PLAIN_WHOLE, FULL_TWO_GROUPS}  # the last takes too long to be here
SMALL = ("no accident", "1 eviction", "1 crash")


def named(scheme: Scheme) -> str:
    """The name of a test's scheme."""
    return scheme.name


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("scheme", [FULL, PLAIN_WHOLE], ids=named)
def test_ours(scheme: Scheme, column: str) -> None:
    """Two readers and two writers, each once: what the documentation says of the full and the plain protocol."""
    found = explore(scheme, scheme.start(COLUMNS[column], (1, 1)))

    assert found.complete
    assert EXPECTED[scheme.name, column] == found.outcome


@pytest.mark.parametrize("scheme", [scheme for scheme in OURS if scheme not in ELSEWHERE], ids=named)
def test_variants(scheme: Scheme) -> None:
    """Nodes that answer one by one, two tags, row tags behind a fence: one reader, two reads, one eviction."""
    expected = {column: EXPECTED[scheme.name, column] for column in SMALL[:2]}
    # The first stores, the second stamps, the third meets what the second made of it.
    reads = (3,) if scheme is STAMPED else (2,)

    assert expected == {column: explore(scheme, scheme.start(COLUMNS[column], reads)).outcome for column in SMALL[:2]}


@pytest.mark.parametrize("scheme", REJECTED, ids=named)
def test_rejected(scheme: Scheme) -> None:
    """Each scheme that was not chosen has its counter-example, with one reader that reads twice, or thrice."""
    expected = {column: EXPECTED[scheme.name, column] for column in SMALL}
    reads = READS.get(scheme.name, (2,))

    assert expected == {column: explore(scheme, scheme.start(COLUMNS[column], reads)).outcome for column in SMALL}


def test_shortest_schedule() -> None:
    """The schedule everybody should know, as it is printed: a reader stores what a writer has just deleted."""
    found = explore(REJECTED[0], REJECTED[0].start(reads=(2,)))

    assert found.violations[Outcome.FOREVER].lines() == [
        "  1. R1    finds nothing",
        "  2. R1    queries: old",
        "  3. W1    commits: W1",
        "  4. W1    deletes the entry",
        "  5. R1    stores",
        "  6. R1    HIT: old",
    ]


def test_two_accidents_to_one_tag() -> None:
    """What remains: both keys of a pending tag are lost, and the writer dies right after its COMMIT."""
    found = explore(FULL, FULL.start(Faults(evictions=2, crashes=1), (2,)))

    assert Outcome.FOREVER == found.outcome


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_everything() -> None:
    """Every scheme under every kind of accident, each reader reading twice where that can be searched."""
    table = []
    for row in rows():
        table.append(row)
        print("\n".join(schedules(row)) if row.scheme in REJECTED else row.scheme.name, flush=True)
    show(table)
    print(totals(table))

    assert [] == [line for row in table for line in row.unexpected()]
    assert set(READS) < {row.scheme.name for row in table}
