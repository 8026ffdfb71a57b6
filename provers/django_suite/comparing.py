"""Two runs of one suite, test by test."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MINIMUM", "Comparison", "Label", "Run", "compare"]

MINIMUM = Path(__file__).with_name("minimum_hits.json")
"""Hits, and answers read back, that each label must at least have on each database, or the run proved nothing."""

BAD = frozenset({"fail", "error", "unexpected success", "never run"})


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    outcomes: dict[str, tuple[str, str]]
    """Status and traceback by test id."""

    seconds: float
    reads: dict[str, Counter[str]]
    reasons: dict[str, Counter[str]]
    wrong: list[dict[str, str]]

    @classmethod
    def of(cls, folder: Path, labels: Sequence[str] = ()) -> Run:
        """The run whose files are in *folder*, or one folder down, or its part with these *labels*."""
        outcomes: dict[str, tuple[str, str]] = {}
        reads: defaultdict[str, Counter[str]] = defaultdict(Counter)
        reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
        wrong: list[dict[str, str]] = []
        seconds = 0.0
        for path in sorted([*folder.glob("outcomes.jsonl"), *folder.glob("*/outcomes.jsonl")]):
            for line in path.read_text().splitlines():
                name, status, _, detail = json.loads(line)
                if labels and not any(f"{_label(name)}.".startswith(f"{label}.") for label in labels):
                    continue
                if outcomes.get(name, ("",))[0] not in BAD:
                    outcomes[name] = (status, detail)
            counts: dict[str, Any] = {"reads": {}, "reasons": {}, "wrong": []}
            if path.with_name("counts.json").exists():
                counts = json.loads(path.with_name("counts.json").read_text())
            for label in counts["reads"]:
                reads[label].update(counts["reads"][label])
                reasons[label].update(counts["reasons"].get(label, {}))
            wrong += counts["wrong"]
            seconds += json.loads(path.with_name("run.json").read_text())["seconds"]
        return cls(outcomes=outcomes, seconds=seconds, reads=reads, reasons=reasons, wrong=wrong)


@dataclass(slots=True)
class Label:
    """What became of one label."""

    tests: int = 0
    skipped: int = 0
    failed_plain: int = 0
    failed_cached: int = 0
    new_failures: int = 0
    hits: int = 0
    echoes: int = 0
    fills: int = 0
    misses: int = 0
    bypasses: int = 0
    verified: int = 0
    near: int = 0
    """Answers read back from a copy in the process."""

    least_hits: int = 0
    least_echoes: int = 0

    @property
    def has_too_few(self) -> bool:
        """Was too little of what the tests were given in the store before?"""
        return self.hits < self.least_hits or self.echoes < self.least_echoes


@dataclass(slots=True)
class Comparison:
    """The outcome."""

    labels: dict[str, Label]
    new: dict[str, str]
    """Tests that pass without and fail with Everfresh, and are not expected to: how they fail."""

    expected: dict[str, str]
    """Those that are expected to, and did: why."""

    needless: list[str]
    """Expected to fail, and passed."""

    wrong: list[dict[str, str]]
    """Answers that were stale or did not come back as they were stored; queries that Django compiles and we do not."""

    reasons: Counter[str]
    seconds: tuple[float, float]
    about: dict[str, str] = field(default_factory=dict)
    least_near: int = 0
    """Answers that have to be read back from near copies, of all labels."""

    @property
    def too_few_hits(self) -> list[str]:
        """Labels that have not the hits they need to prove anything."""
        return [name for name, label in self.labels.items() if label.has_too_few]

    @property
    def is_proved(self) -> bool:
        """Did nothing get worse, and was the cache at work?"""
        is_worse = self.new or self.wrong or self.too_few_hits
        return bool(self.labels) and not is_worse and self.total().near >= self.least_near

    def as_json(self) -> dict[str, Any]:
        """Everything, for a report."""
        return {
            "about": self.about,
            "seconds": {"plain": round(self.seconds[0], 1), "cached": round(self.seconds[1], 1)},
            "totals": asdict(self.total()),
            "labels": {name: asdict(label) for name, label in self.labels.items()},
            "new_failures": self.new,
            "expected_failures": self.expected,
            "needlessly_expected": self.needless,
            "wrong_answers": self.wrong,
            "too_few_hits": self.too_few_hits,
            "reasons": dict(self.reasons.most_common()),
        }

    def total(self) -> Label:
        """The sum of all labels."""
        sums = Counter[str]()
        for label in self.labels.values():
            sums.update(asdict(label))
        return Label(**sums)


def compare(
    plain: Run, cached: Run, least: Mapping[str, Mapping[str, int]], reasons_to_fail: Mapping[str, str]
) -> Comparison:
    """Compare two runs.

    Args:
        plain: without Everfresh.
        cached: with it.
        least: the ``hits`` and ``echoes`` that are asked of each label.
        reasons_to_fail: of tests that are expected to, by their ids.
    """
    labels: defaultdict[str, Label] = defaultdict(Label)
    new: dict[str, str] = {}
    expected: dict[str, str] = {}
    needless = []
    for name in sorted(cached.outcomes.keys() | plain.outcomes.keys()):
        before = plain.outcomes.get(name, ("never run", ""))[0]
        after, detail = cached.outcomes.get(name, ("never run", ""))
        row = labels[_label(name)]
        row.tests += 1
        row.skipped += before == "skip"
        row.failed_plain += before in BAD
        row.failed_cached += after in BAD
        worse = before not in BAD and (after in BAD or (after == "skip") is not (before == "skip"))
        # What cannot be set up has an id of its own, and no counterpart where it can.
        worse |= before == "never run" and after in BAD
        if worse and name not in reasons_to_fail:
            row.new_failures += 1
            new[name] = f"{after}: {detail}"
        elif worse:
            expected[name] = reasons_to_fail[name]
        elif name in reasons_to_fail and before not in BAD:
            needless.append(name)
    for name in least:
        labels[name].least_hits, labels[name].least_echoes = (least[name].get(kind, 0) for kind in ("hits", "echoes"))
    for name, row in labels.items():
        reads = cached.reads.get(name, Counter())
        row.hits, row.fills, row.misses, row.bypasses = (reads[key] for key in ("hit", "fill", "miss", "bypass"))
        row.echoes, row.verified, row.near = reads["echo"], reads["verified"], reads["near echo"]
    reasons = Counter[str]()
    for found in cached.reasons.values():
        reasons.update(found)
    return Comparison(
        dict(sorted(labels.items())),
        new,
        expected,
        needless,
        cached.wrong,
        reasons,
        (plain.seconds, cached.seconds),
    )


def _label(name: str) -> str:
    # A class that could not be set up has an id such as this: setUpClass (queries.tests.Queries1Tests).
    return name.rpartition("(")[2].partition(".")[0].rstrip(")")
