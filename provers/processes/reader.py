"""A reader: asks through the cache in many ways, and knows the least that each answer must show."""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction

from provers.processes.board import Board, Tally
from provers.processes.counting.models import Counter, Holder, Step
from provers.processes.driver import ExchangeCounter, QueryCounter

__all__ = ["Reader"]

Numbers = dict[int, int]
"""By counter."""

_exchanges = ExchangeCounter() if settings.GIVEN["near"] else None


@dataclass(frozen=True)
class Question:
    """A read through the cache, and the counters that its answer must show."""

    name: str
    counters: Iterable[int]
    ask: Callable[[], Numbers]
    steps: bool = False
    """Is it about the number of steps, not the counters' own numbers?"""


class Reader:
    """Each answer must show every write acknowledged, and everything the database showed, before it was asked for."""

    def __init__(self, board: Board, number: int, given: dict[str, Any]) -> None:
        self.board = board
        self.number = number
        self.given = given
        self.random = random.Random(f"{given['seed']}-reader-{number}")
        self.counter = QueryCounter(given["dawdle"])
        connection.execute_wrappers.append(self.counter)
        # A connection that no cache knows to ask anything of: it shows what the database itself says.
        self.witness = connections.create_connection("default")
        kinds = [self.by_key, self.by_shard, self.steps]
        if not given["simple"]:
            kinds += [self.all_values, self.joined, self.in_list]
        self.kinds = kinds
        self.past: deque[tuple[float, dict[bool, Numbers]]] = deque()
        """What was acknowledged by when; the first is of as long ago as a copy can be old, or longer."""

    def step(self) -> None:
        """One read, in autocommit or in a transaction."""
        question = self.random.choice(self.kinds)()
        compare = self.random.random() < 0.5
        least = {counter: self.board.acknowledged(counter, steps=question.steps) for counter in question.counters}
        before = self._shown(question) if compare else {}
        due = self._due(question) if self.given["is_bounded"] else least
        asked, exchanged = self.counter.queries, _exchanges and _exchanges.exchanges
        if self.random.random() < self.given["atomic"]:
            with transaction.atomic():
                seen = question.ask()
        else:
            seen = question.ask()
        hit = asked == self.counter.queries
        is_near = hit and _exchanges is not None and exchanged == _exchanges.exchanges
        self.board.count(self.number, Tally.READS)
        self.board.count(self.number, Tally.HITS, hit)
        self.board.count(self.number, Tally.NEAR, is_near)
        if _lacks(seen, due):
            self._say(Tally.STALE, question, f"at least {due}, seen {seen}, near: {is_near}")
        elif is_near and self.given["is_bounded"] and (_lacks(seen, least) or _lacks(seen, before)):
            self.board.count(self.number, Tally.LATE)
        elif _lacks(seen, least):
            self._say(Tally.STALE, question, f"at least {least}, seen {seen}, near: {is_near}")
        elif _lacks(seen, before):
            self._say(Tally.WINDOW, question, f"the database showed {before}, seen {seen}")
        if compare:
            after = self._shown(question)
            self.board.count(self.number, Tally.COMPARED)
            if _lacks(after, seen):
                self._say(Tally.AHEAD, question, f"the database shows {after}, seen {seen}")

    def recover(self) -> None:
        """After an error: begin anew."""
        connections.close_all()
        self.witness.close()

    # The kinds of reads

    def by_key(self) -> Question:
        """``get(pk=…)``."""
        counter = self._any()
        return Question("get", [counter], lambda: {counter: Counter.objects.get(pk=counter + 1).n})

    def by_shard(self) -> Question:
        """A filtered list."""
        shard = self.random.randrange(self.given["shards"])
        members = range(shard, self.given["counters"], self.given["shards"])
        return Question("filter", members, lambda: {row.pk - 1: row.n for row in Counter.objects.filter(shard=shard)})

    def in_list(self) -> Question:
        """``IN (…)`` as tuples."""
        counters = sorted({self._any() for _ in range(2)})
        keys = [counter + 1 for counter in counters]
        rows = Counter.objects.filter(pk__in=keys).values_list("pk", "n")
        return Question("in", counters, lambda: {key - 1: n for key, n in rows})

    def all_values(self) -> Question:
        """The whole table, as dicts."""
        everything = range(self.given["counters"])
        rows = Counter.objects.values("pk", "n")
        return Question("values", everything, lambda: {row["pk"] - 1: row["n"] for row in rows})

    def joined(self) -> Question:
        """``select_related``."""
        counter = self._any()
        holders = Holder.objects.select_related("counter").filter(counter_id=counter + 1)
        return Question("joined", [counter], lambda: {each.counter_id - 1: each.counter.n for each in holders})

    def steps(self) -> Question:
        """``count()`` of inserted rows."""
        counter = self._any()
        rows = Step.objects.filter(counter_id=counter + 1)
        return Question("count", [counter], lambda: {counter: rows.count()}, steps=True)

    def _due(self, question: Question) -> Numbers:
        """What was acknowledged so long ago that a copy must show it too."""
        everything = range(self.given["counters"])
        known = {steps: {at: self.board.acknowledged(at, steps=steps) for at in everything} for steps in (False, True)}
        now = time.monotonic()
        self.past.append((now, known))
        while len(self.past) > 1 and self.past[1][0] <= now - self.given["near_seconds"]:
            self.past.popleft()
        when, then = self.past[0]
        if when > now - self.given["near_seconds"]:
            return {}
        return {counter: then[question.steps][counter] for counter in question.counters}

    def _any(self) -> int:
        return min(int(self.random.expovariate(1) * 4), self.given["counters"] - 1)

    def _shown(self, question: Question) -> Numbers:
        keys = [counter + 1 for counter in question.counters]
        places = ", ".join(["%s"] * len(keys))
        with self.witness.cursor() as cursor:
            if question.steps:
                cursor.execute("SELECT COUNT(*) FROM counting_step WHERE counter_id = %s", keys)
                return {keys[0] - 1: cursor.fetchone()[0]}
            cursor.execute(f"SELECT id, n FROM counting_counter WHERE id IN ({places})", keys)
            return {key - 1: n for key, n in cursor.fetchall()}

    def _say(self, tally: Tally, question: Question, words: str) -> None:
        self.board.count(self.number, tally)
        print(f"{tally.name} {question.name}: {words}", file=sys.stderr, flush=True)


def _lacks(seen: Numbers, least: Numbers) -> bool:
    return any(seen.get(counter, -1) < number for counter, number in least.items())
