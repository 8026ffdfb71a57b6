"""The mix that all contenders play, and what is counted of their answers."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from benchmarks.workload import KINDS, ROWS, Zipf, ideal_hits, row, sequence

pytest.importorskip("rich")

from benchmarks.mixes import Outcome, judged


def test_zipf_draws_by_rank() -> None:
    """The row of rank n is drawn 1/n as often as the first; every row can be drawn."""
    zipf = Zipf(100, Random(5))
    drawn = Counter(zipf.draw() for _ in range(40_000))
    often = [count for _, count in drawn.most_common()]

    assert set(range(1, 101)) == set(drawn)
    assert 2 == pytest.approx(often[0] / often[1], rel=0.15)
    assert 5 == pytest.approx(often[0] / often[4], rel=0.15)


def test_a_sequence_depends_on_nothing_but_its_arguments() -> None:
    """Two processes play the same steps."""
    assert sequence(writes=0.2, length=500) == sequence(writes=0.2, length=500)
    assert sequence(writes=0.2, length=500) != sequence(writes=0.2, length=500, seed=2)


def test_a_sequence_has_its_share_of_writes_and_all_kinds_of_reads() -> None:
    """One step in twenty writes where the share is 5 %."""
    steps = sequence(writes=0.05, length=20_000)
    kinds = Counter(step.kind for step in steps if not step.writes)

    assert 0.05 == pytest.approx(sum(step.writes for step in steps) / len(steps), rel=0.1)
    assert set(KINDS) == set(kinds)
    assert 0.4 == pytest.approx(kinds["get"] / kinds.total(), rel=0.1)


def test_a_save_writes_what_other_steps_have_made_of_the_row() -> None:
    """All columns of a `save()` are those that a database would hold after the same steps, but for one."""
    table = {pk: row(pk) for pk in range(1, ROWS + 1)}
    seen: Counter[str] = Counter()
    for step in sequence(writes=1.0, length=3000):
        seen[step.kind] += 1
        match step.kind:
            case "save":
                before = table[step.argument["id"]]
                assert 1 == sum(before[column] != value for column, value in step.argument.items())
                table[step.argument["id"]] = step.argument
            case "update":
                table[step.argument] = {**table[step.argument], "sold": table[step.argument]["sold"] + 1}
            case "update of some":
                for pk, each in table.items():
                    if [each["seller_id"], each["status"]] == step.argument:
                        table[pk] = {**each, "price": each["price"] + 1}
            case "create":
                assert step.argument["id"] not in table
                table[step.argument["id"]] = step.argument
            case _:
                del table[step.argument]

    assert 5 == len(seen)


def test_ideal_hits_are_the_answers_that_have_not_changed() -> None:
    """The first asking is no hit, a changed answer is none, and an answer that changed back in between is none."""
    reads = [("a", 1), ("a", 1), ("b", 1), ("a", 2), ("a", 2), ("a", 1), ("b", 1)]

    assert [False, True, False, False, True, False, True] == ideal_hits(reads)


def test_stale_answers_are_no_true_hits() -> None:
    """A read without a statement is a hit, and a true one if it is right; a wrong answer is stale in any case."""
    reads = [("right", 0), ("wrong", 0), ("right", 1), ("wrong", 2)]

    assert Outcome(hits=0.5, true_hits=0.25, stale=2) == judged(reads, ["right"] * 4)
