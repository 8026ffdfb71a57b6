"""What is run, what came of it, and what must not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["EVERFRESH", "PEERS", "Demand", "Outcome", "Scenario"]


class Demand(Enum):
    """What a run must show."""

    EXACT = "exact"
    """No answer shows less than the database itself showed before it was asked for: also not between a COMMIT and the
    end of that write, and not after the death of its writer."""

    ACKNOWLEDGED = "acknowledged"
    """No answer shows less than what writers had been told is committed. Between a COMMIT and the end of that write is
    the documented window; what is seen there is counted."""

    BOUNDED = "bounded"
    """No answer lacks what had been acknowledged, or shown by the database, more than ``near_seconds`` before it was
    asked for: the server's word of a change may be that long on its way. What is younger and lacking is counted."""

    FOUND = "found"
    """A peer: in all of its scenarios together the harness must find it stale, or it proves nothing about us."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is run."""

    demand: Demand = Demand.EXACT
    contender: str = "everfresh"
    db: str = "postgresql"
    store: str = "redis"
    isolation: str = "read committed"
    atomic: float = 0.3
    """The share of reads inside ``atomic()``."""

    disasters: tuple[str, ...] = ()
    suicides: float = 0.0
    """How likely a writer dies right before a COMMIT (it has marked), and again right after it (it is not done)."""

    dawdle: float = 0.0
    """The share of queries, and of COMMITs, after which the driver sleeps up to 20 ms, whoever uses it."""

    turns: bool = False
    """Do writers wait for each other, so that no two marks of one tag overlap?"""

    near: bool = False
    """Do readers and writers keep copies of what Redis says?"""

    near_seconds: float = 1.0
    """For how long Redis may be silent."""

    minimum_near: float = 0.1
    """The share of reads for which a near reader must ask nobody."""

    simple: bool = False
    """Only what every contender supports: ``save()`` and ``create()``; ``get()``, ``filter()`` and ``count()``."""

    minimum_hits: float = 0.3
    """The share of reads that must be hits: a cache that stands aside is never stale."""

    seconds: float = 10.0
    share: float = 0.6
    """Of the seconds asked for."""

    writers: int = 2
    readers: int = 3
    threads: int = 1
    """Of each reader."""

    counters: int = 20
    reads_per_write: float = 10.0
    """Of all readers and all writers, about: so the share of hits does not depend on what else the machine does."""

    mark_seconds: float = 1.0
    """A short mark, so that a run sees many writers die and their marks end."""

    @property
    def name(self) -> str:
        """In a few words."""
        words = [
            *self.disasters,
            *(["dies at its COMMIT"] if self.suicides else []),
            *(["dawdles"] if self.dawdle else []),
            *(["in turns"] if self.turns else []),
            *(["near copies"] if self.near else []),
            *([f"{self.threads} threads"] if self.threads > 1 else []),
        ]
        return f"{'plain save and get' if self.simple else 'all'}: {' + '.join(words) or 'undisturbed'}"

    @property
    def workers(self) -> int:
        """Who counts: writers, and threads of readers."""
        return self.writers + self.readers * self.threads

    @property
    def kills(self) -> bool:
        """Are processes to die?"""
        return bool(self.suicides) or "kill -9" in self.disasters

    def __str__(self) -> str:
        return f"{self.contender:9} {self.db:10} {self.store:9} {self.isolation:15} {self.name:58}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    scenario: Scenario
    reads: int
    compared: int
    hits: int
    writes: int
    errors: int
    stale: int
    window: int
    ahead: int
    near: int
    late: int
    deaths: int
    failures: tuple[str, ...]
    """The last words of workers that ended for no reason of ours."""

    evidence: dict[str, int]
    """What the disasters did; each must have happened."""

    examples: tuple[str, ...]

    def complaints(self) -> Iterator[str]:
        """What is not as demanded."""
        scenario = self.scenario
        for what, number in self.evidence.items():
            if number == 0:
                yield f"nothing happened: {what} is 0"
        if scenario.kills and not self.deaths:
            yield "nobody died"
        yield from self.failures
        if not self.compared:
            yield "nothing was compared with the database"
        if self.hits < scenario.minimum_hits * self.reads or not self.hits:
            yield f"{self.hits} hits of {self.reads} reads: fewer than {scenario.minimum_hits:.0%}"
        if scenario.near and self.near < scenario.minimum_near * self.reads:
            yield f"{self.near} near hits of {self.reads} reads: fewer than {scenario.minimum_near:.0%}"
        if scenario.demand is Demand.FOUND:
            return
        if self.stale:
            yield f"{self.stale} stale answers"
        if self.ahead:
            yield f"{self.ahead} answers show what was never committed"
        if self.window and scenario.demand is not Demand.ACKNOWLEDGED:
            yield f"{self.window} answers show less than the database did"
        if self.late and scenario.demand is not Demand.BOUNDED:
            yield f"{self.late} answers from copies that were late"


EVERFRESH = [
    Scenario(),
    Scenario(dawdle=0.3),
    Scenario(isolation="repeatable read", minimum_hits=0.1),
    Scenario(disasters=("kill -9",), suicides=0.004, minimum_hits=0.1),
    Scenario(isolation="repeatable read", disasters=("kill -9",), suicides=0.004, dawdle=0.2, minimum_hits=0.1),
    # A mark that is lost between itself and its COMMIT opens the window: see docs/caveats.md, "Eviction of a mark".
    Scenario(disasters=("FLUSHALL",), demand=Demand.ACKNOWLEDGED, minimum_hits=0.2),
    Scenario(disasters=("restart",), share=1.0, demand=Demand.ACKNOWLEDGED, minimum_hits=0.05),
    Scenario(disasters=("CLIENT KILL",), minimum_hits=0.1),
    Scenario(disasters=("evict",), minimum_hits=0.05),
    Scenario(disasters=("freeze",), share=1.0, minimum_hits=0.05),
    Scenario(disasters=("slow network",), share=1.0, minimum_hits=0.05),
    Scenario(disasters=("kill -9", "evict", "CLIENT KILL"), suicides=0.004, minimum_hits=0.02),
    Scenario(db="mariadb"),
    Scenario(db="mariadb", isolation="repeatable read", minimum_hits=0.1),
    Scenario(db="mariadb", disasters=("kill -9",), suicides=0.004, dawdle=0.2, minimum_hits=0.1),
    Scenario(store="memcached", demand=Demand.ACKNOWLEDGED, dawdle=0.3),
    Scenario(store="memcached", turns=True, dawdle=0.3),
    Scenario(store="memcached", turns=True, disasters=("kill -9",), suicides=0.004, minimum_hits=0.1),
    Scenario(db="mariadb", store="memcached", isolation="repeatable read", turns=True, minimum_hits=0.1),
]

DELAYED: dict[str, Any] = {
    "simple": True,
    "atomic": 0.0,
    "dawdle": 0.6,
    "reads_per_write": 2.0,
    "counters": 2,
    "writers": 3,
    "minimum_hits": 0.05,
}
"""What races need: readers that hold on to an answer, writers that write all the time, few rows."""

EVERFRESH += [Scenario(**DELAYED), Scenario(**DELAYED, suicides=0.02)]

NEAR: dict[str, Any] = {"near": True, "reads_per_write": 30.0}
"""Copies want readers who come back before the next write."""

FEWER: dict[str, Any] = {"minimum_hits": 0.05, "minimum_near": 0.02}
"""Where the connection is lost all the time."""

LATE: dict[str, Any] = {"demand": Demand.BOUNDED, "near_seconds": 0.3}
"""Less than the network stalls, so that copies have to be passed over."""

EVERFRESH += [
    # Over loopback a push has arrived before the answer to whoever caused it, so here copies are as exact as Redis.
    Scenario(**NEAR),
    Scenario(**NEAR, dawdle=0.3),
    Scenario(**NEAR, threads=4),
    Scenario(**NEAR, isolation="repeatable read", minimum_hits=0.1),
    Scenario(**NEAR, disasters=("kill -9",), suicides=0.004, minimum_hits=0.1),
    Scenario(**NEAR, disasters=("FLUSHALL",), demand=Demand.ACKNOWLEDGED, minimum_hits=0.2),
    Scenario(**NEAR, disasters=("restart",), share=1.0, demand=Demand.ACKNOWLEDGED, **FEWER),
    Scenario(**NEAR, disasters=("CLIENT KILL", "pushes cut"), **FEWER),
    Scenario(**NEAR, disasters=("evict",), minimum_hits=0.05),
    Scenario(**NEAR, disasters=("freeze",), share=1.0, minimum_hits=0.05),
    Scenario(**NEAR, **FEWER, disasters=("slow network",), counters=5, share=1.0, **LATE),
    Scenario(**NEAR, disasters=("kill -9", "evict", "pushes cut"), suicides=0.004, **FEWER),
    Scenario(**{**DELAYED, **NEAR}, suicides=0.02),
]

PEERS = [
    Scenario(demand=Demand.FOUND, contender=contender, share=0.4, **trouble)
    for contender in ("cacheops", "cachalot")
    for trouble in (DELAYED, {**DELAYED, "suicides": 0.02}, {"minimum_hits": 0.05})
]
