"""What the processes of a run tell each other: plain memory that all of them share, without a lock.

Each number is written by one process only, so one that is killed leaves no lock behind and no number half written.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

__all__ = ["Board", "Tally"]


class Tally(IntEnum):
    """What each worker counts."""

    READS = 0
    COMPARED = 1
    """Reads around which the database itself was asked."""

    HITS = 2
    WRITES = 3
    ERRORS = 4
    STALE = 5
    """Answers that lacked an acknowledged write."""

    WINDOW = 6
    """Answers that lacked what the database had shown before, though nobody had acknowledged it yet."""

    AHEAD = 7
    """Answers with more than the database showed afterwards: what was rolled back."""

    NEAR = 8
    """Hits for which the store was not asked either."""

    LATE = 9
    """Near hits that lacked only what is newer than a copy may be."""


@dataclass
class Board:
    """Acknowledged writes by writer and counter, and tallies by worker; 8 bytes each, in a file."""

    path: Path
    workers: int
    counters: int

    def __post_init__(self) -> None:
        """Make the file if it is not there, and share it."""
        size = 8 * self.workers * (2 * self.counters + len(Tally))
        if not self.path.exists():
            self.path.write_bytes(bytes(size))
        with self.path.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")

    def acknowledge(self, worker: int, counter: int, *, steps: bool = False) -> None:
        """A commit of *worker* that added one to *counter* (or to its steps) has returned."""
        self._numbers[self._at(worker, counter, steps=steps)] += 1

    def acknowledged(self, counter: int, *, steps: bool = False) -> int:
        """How often *counter* was surely added to by now."""
        return sum(self._numbers[self._at(worker, counter, steps=steps)] for worker in range(self.workers))

    def count(self, worker: int, tally: Tally, number: int = 1) -> None:
        """Add to a tally of *worker*."""
        self._numbers[self._tally(worker, tally)] += number

    def total(self, tally: Tally) -> int:
        """A tally of all workers."""
        return sum(self._numbers[self._tally(worker, tally)] for worker in range(self.workers))

    def all_at_work(self) -> bool:
        """Has every worker done something?"""
        return all(
            any(self._numbers[self._tally(worker, tally)] for tally in (Tally.READS, Tally.WRITES, Tally.ERRORS))
            for worker in range(self.workers)
        )

    def _at(self, worker: int, counter: int, *, steps: bool) -> int:
        return (worker * 2 + steps) * self.counters + counter

    def _tally(self, worker: int, tally: Tally) -> int:
        return self.workers * 2 * self.counters + worker * len(Tally) + tally
