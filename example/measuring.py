"""What each operation cost, whether its answer was true, and whether what was dropped had to be."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import Model

import everfresh
from everfresh.events import Event, Invalidated, Outcome, Read, listening

if TYPE_CHECKING:
    from example.workload import Operation


@dataclass
class Tally:
    """The sums of one kind of operation."""

    operations: int = 0
    seconds: float = 0.0
    statements: int = 0
    hits: int = 0
    asked: int = 0
    """Queries that the cache was asked for, or could have been."""

    dropped: int = 0
    """Answers that had been stored, and were not there any more."""

    needed: int = 0
    """Those of them that had changed."""

    swept: int = 0
    """The others that a write had dropped together with all answers from its table, its rows being unknown."""

    invalidations: int = 0
    whole_tables: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass
class Measurement:
    """The outcome of one run."""

    reads: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    writes: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    stale: list[str] = field(default_factory=list)
    """The operations whose answer was not what the database says."""

    answers: int = 0
    pages: int = 0
    fragments: int = 0
    """Of the pages, when they are rendered without a cache."""

    rendered: int = 0
    """Of these fragments; the others came from the cache, or were part of one that did."""

    digest: str = ""
    """Of all answers: two runs of the same operations must have the same."""


class Meter:
    """Performs operations, and measures and checks each."""

    def __init__(self) -> None:
        self.result = Measurement(reads=defaultdict(Tally), writes=defaultdict(Tally))
        self.tally = Tally()
        self._counting = False
        self._statement: tuple[str, Any] = ("", ())
        self._aside = 0.0
        self._fills = 0
        self._last: dict[tuple[str, str], tuple[str, int]] = {}  # query -> its rows, the number of its fill
        self._swept_at: dict[str, int] = {}  # table -> the number of fills before
        self._digest = hashlib.sha256()

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Count statements and events while the block runs."""
        with connection.execute_wrapper(self._count), listening(self._hear):
            yield
        self.result.digest = self._digest.hexdigest()

    def perform(self, operation: Operation) -> None:
        """Perform it. The answer of a read is asked for a second time, from the database, and compared.

        The second time is not measured. It takes place in the run without Everfresh as well, so that the caches of
        the machine are as warm in one run as in the other.
        """
        tallies = self.result.writes if operation.writes else self.result.reads
        self.tally = tallies[operation.kind]
        self._aside = 0.0
        self._counting = True
        begin = time.perf_counter()
        answer = operation.perform()
        self.tally.seconds += time.perf_counter() - begin - self._aside
        self._counting = False
        self.tally.operations += 1
        if not operation.writes:
            self.check(operation, answer)

    def check(self, operation: Operation, answer: object) -> None:
        """Is it what the database says?"""
        with everfresh.disabled():
            truth = operation.perform()
        self.result.answers += 1
        told = facts(answer)
        self._digest.update(repr(told).encode())
        if told != facts(truth):
            self.result.stale.append(str(operation))

    def visit(self, operations: Iterable[Operation]) -> None:
        """Look at pages, and at what they are without the cache, between writes. No time is taken."""
        for operation in operations:
            rendered = []
            with listening(lambda event, rendered=rendered: rendered.append(_is_rendered(event))):
                answer = operation.perform()
            if operation.writes:
                continue
            self.result.pages += 1
            self.result.rendered += sum(rendered)
            rendered.clear()
            with everfresh.disabled(), listening(lambda event, rendered=rendered: rendered.append(_is_rendered(event))):
                truth = operation.perform()
            self.result.fragments += sum(rendered)
            if answer != truth:
                self.result.stale.append(str(operation))

    def _count(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._counting:
            self.tally.statements += 1
            self._statement = (sql, params)
        return execute(sql, params, many, context)

    def _hear(self, event: Event) -> None:
        if not self._counting:
            return
        if isinstance(event, Invalidated):
            self.tally.invalidations += 1
            if event.whole:
                self.tally.whole_tables += 1
                self._swept_at[event.table] = self._fills
            return
        self.tally.asked += 1
        self.tally.hits += event.outcome is Outcome.HIT
        if event.outcome is Outcome.FILL and not event.label.endswith("()") and not connection.in_atomic_block:
            # What a method computed was asked of the database by queries that were told of before.
            self._filled(*self._statement)

    def _filled(self, sql: str, params: Any) -> None:
        """An answer is stored. If it was before, then a write has dropped it: has it changed since?

        Nothing expires while the demo runs, and the store is large enough to keep everything.
        """
        begin = time.perf_counter()
        self._counting = False
        # The driver's own cursor: this question is no part of what the operation reads.
        with closing(connection.create_cursor()) as cursor:
            cursor.execute(sql, params)
            rows = hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()
        query = (sql, repr(params))
        self._fills += 1
        if query in self._last:
            last_rows, number = self._last[query]
            self.tally.dropped += 1
            if last_rows != rows:
                self.tally.needed += 1
            elif any(number <= fills and table in sql for table, fills in self._swept_at.items()):
                self.tally.swept += 1
        self._last[query] = rows, self._fills
        self._counting = True
        self._aside += time.perf_counter() - begin


def _is_rendered(event: Event) -> bool:
    """Was a fragment rendered?"""
    return isinstance(event, Read) and event.label.startswith("fragment:") and event.outcome is not Outcome.HIT


def facts(answer: object, seen: tuple[int, ...] = ()) -> Any:
    """All that an answer says, with types, as something that compares and prints: instances with what they carry.

    Args:
        answer: what an operation returned.
        seen: the instances that it is part of; a city of a country leads back to the country.
    """
    if isinstance(answer, Model):
        if id(answer) in seen:
            return "…"
        within = (*seen, id(answer))
        columns = {name: value for name, value in vars(answer).items() if not name.startswith("_")}
        related = answer._state.fields_cache
        prefetched = getattr(answer, "_prefetched_objects_cache", {})
        parts = (columns, related, {name: list(result) for name, result in prefetched.items()})
        return (answer._meta.label, answer._state.db, answer._state.adding, *(facts(part, within) for part in parts))
    if isinstance(answer, dict):
        return ["dict", *((facts(key, seen), facts(value, seen)) for key, value in sorted(answer.items()))]
    if isinstance(answer, list | tuple):
        return [type(answer).__name__, *(facts(item, seen) for item in answer)]
    return type(answer).__name__, answer
