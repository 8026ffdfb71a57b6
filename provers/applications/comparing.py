"""Two runs of one application's tests, test by test."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from provers.applications.catalogue import Application
from provers.applications.expected import EXPECTED
from provers.django_suite.comparing import BAD, Run

__all__ = ["Comparison", "Figures", "compare"]


@dataclass(slots=True)
class Figures:
    """Tests by outcome; reads by what became of them."""

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
    minimum: int = 0
    """Of hits."""


@dataclass(slots=True)
class Comparison:
    """The outcome."""

    application: Application
    figures: Figures
    new: dict[str, str]
    """Tests that pass without and fail with Everfresh, and are not expected to: how they fail."""

    expected: dict[str, str]
    """Those that are expected to, and did: why."""

    wrong: list[dict[str, str]]
    """Answers that were stale or did not come back as they were stored; queries that Django compiles and we do not."""

    reasons: Counter[str]
    seconds: tuple[float, float]

    @property
    def is_proved(self) -> bool:
        """Did nothing get worse, and was the cache at work?"""
        figures = self.figures
        passed = figures.tests - figures.skipped - figures.failed_plain
        return passed > 0 and not self.new and not self.wrong and figures.hits >= figures.minimum

    def as_json(self) -> dict[str, Any]:
        """Everything, for a report."""
        return {
            "application": self.application.name,
            "version": self.application.version,
            **asdict(self.figures),
            "seconds": {"plain": round(self.seconds[0], 1), "cached": round(self.seconds[1], 1)},
            "new_failures": self.new,
            "expected_failures": self.expected,
            "wrong_answers": self.wrong,
            "reasons": dict(self.reasons.most_common()),
        }


def compare(application: Application, plain: Run, cached: Run, *, minimum: int) -> Comparison:
    """Compare two runs."""
    reads = sum(cached.reads.values(), Counter[str]())
    figures = Figures(
        hits=reads["hit"], echoes=reads["echo"], fills=reads["fill"], misses=reads["miss"], bypasses=reads["bypass"],
        verified=reads["verified"], minimum=minimum,
    )  # fmt: skip
    found = Comparison(
        application,
        figures,
        {},
        {},
        cached.wrong,
        sum(cached.reasons.values(), Counter[str]()),
        (plain.seconds, cached.seconds),
    )
    reasons = EXPECTED.get(application.name, {})
    for name in sorted(plain.outcomes.keys() | cached.outcomes.keys()):
        before = plain.outcomes.get(name, ("never run", ""))[0]
        after, detail = cached.outcomes.get(name, ("never run", ""))
        figures.tests += 1
        figures.skipped += before == "skip"
        figures.failed_plain += before in BAD
        figures.failed_cached += after in BAD
        worse = before not in BAD and (after in BAD or (after == "skip") is not (before == "skip"))
        if worse and name in reasons:
            found.expected[name] = reasons[name]
        elif worse or (before == "never run" and after in BAD):
            figures.new_failures += 1
            found.new[name] = f"{after}: {detail}"
    return found
