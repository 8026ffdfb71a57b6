"""One reader or writer process: ``python -m provers.processes.worker reader|writer <number>``."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

from provers.processes.board import Board, Tally

if TYPE_CHECKING:
    from provers.processes.counting.models import Counter

Expected = dict[int, int]
"""By counter: the least it may be."""


def main(role: str, number: int) -> None:
    """Work until told to stop."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
    django.setup()
    given = settings.GIVEN
    board = Board(Path(given["board"]), given["workers"], given["counters"])
    work = {"reader": Reader, "writer": Writer}[role](board, number, given)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while not stopping:
        try:
            work.step()
        except Exception as error:  # noqa: BLE001  servers are killed under its feet: the next step tries again
            board.count(number, Tally.ERRORS)
            if os.environ.get("EVERFRESH_PROCESSES_LOUD"):
                print(f"{role} {number}: {error!r}", file=sys.stderr)
            django.db.connections.close_all()


class Reader:
    """Reads through the cache in many ways; each answer must show every write acknowledged before it was asked for."""

    def __init__(self, board: Board, number: int, given: dict[str, Any]) -> None:
        self.board = board
        self.number = number
        self.given = given
        self.random = random.Random(f"{given['seed']}-reader-{number}")
        if given["contender"] == "everfresh":
            from everfresh.events import Outcome, Read, _listeners

            _listeners.append(
                lambda event: (
                    board.count(number, Tally.HITS)
                    if isinstance(event, Read) and event.outcome is Outcome.HIT
                    else None
                )
            )

    def step(self) -> None:
        """One read, in autocommit or in a transaction."""
        from django.db import transaction

        kinds: list[Callable[[], tuple[Expected, Expected]]] = [
            self.by_key, self.by_shard, self.all_values, self.joined, self.steps, self.in_list,
        ]  # fmt: skip
        read = self.random.choice(kinds)
        if self.random.random() < self.given["atomic"]:
            with transaction.atomic():
                least, seen = read()
        else:
            least, seen = read()
        self.board.count(self.number, Tally.READS)
        if any(seen.get(counter, -1) < number for counter, number in least.items()):
            self.board.count(self.number, Tally.STALE)
            print(f"STALE {read.__name__}: at least {least}, seen {seen}", file=sys.stderr, flush=True)

    def by_key(self) -> tuple[Expected, Expected]:
        """``get(pk=…)``."""
        counter = self._any()
        least = self._least([counter])
        return least, {counter: self._model().objects.get(pk=counter + 1).n}

    def by_shard(self) -> tuple[Expected, Expected]:
        """A filtered list."""
        shard = self.random.randrange(self.given["shards"])
        members = range(shard, self.given["counters"], self.given["shards"])
        least = self._least(members)
        return least, {row.pk - 1: row.n for row in self._model().objects.filter(shard=shard)}

    def in_list(self) -> tuple[Expected, Expected]:
        """``IN (…)`` as tuples."""
        counters = sorted({self._any() for _ in range(4)})
        least = self._least(counters)
        rows = self._model().objects.filter(pk__in=[counter + 1 for counter in counters]).values_list("pk", "n")
        return least, {key - 1: n for key, n in rows}

    def all_values(self) -> tuple[Expected, Expected]:
        """The whole table, as dicts."""
        least = self._least(range(self.given["counters"]))
        return least, {row["pk"] - 1: row["n"] for row in self._model().objects.values("pk", "n")}

    def joined(self) -> tuple[Expected, Expected]:
        """``select_related``."""
        from provers.processes.counting.models import Holder

        counter = self._any()
        least = self._least([counter])
        holders = Holder.objects.select_related("counter").filter(counter_id=counter + 1)
        return least, {holder.counter_id - 1: holder.counter.n for holder in holders}

    def steps(self) -> tuple[Expected, Expected]:
        """``count()`` of inserted rows."""
        from provers.processes.counting.models import Step

        counter = self._any()
        least = {counter: self.board.acknowledged(counter, steps=True)}
        return least, {counter: Step.objects.filter(counter_id=counter + 1).count()}

    def _any(self) -> int:
        return min(int(self.random.expovariate(1) * 3), self.given["counters"] - 1)

    def _least(self, counters: Any) -> Expected:
        return {counter: self.board.acknowledged(counter) for counter in counters}

    @staticmethod
    def _model() -> type[Counter]:
        from provers.processes.counting.models import Counter

        return Counter


class Writer:
    """Adds one to a counter, in one of many ways, and acknowledges it when the commit has returned."""

    def __init__(self, board: Board, number: int, given: dict[str, Any]) -> None:
        self.board = board
        self.number = number
        self.given = given
        # Not the same choices again when it is started after a kill.
        self.random = random.Random(f"{given['seed']}-writer-{number}-{time.time_ns()}")
        if given["suicides"] and given["contender"] == "everfresh":
            self._may_die()

    def _may_die(self) -> None:
        """Die now and then at the two worst moments: marked and not committed, committed and not done."""
        from everfresh.stores import current_store

        store = current_store()
        mark, done = store.mark, store.done

        def dying_mark(*args: Any) -> None:
            mark(*args)
            self._die_perhaps()

        def dying_done(*args: Any) -> None:
            self._die_perhaps()
            done(*args)

        store.mark, store.done = dying_mark, dying_done  # type: ignore[method-assign]

    def _die_perhaps(self) -> None:
        if self.random.random() < self.given["suicides"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def step(self) -> None:
        """One write."""
        from django.db import connection, transaction
        from django.db.models import F

        from provers.processes.counting.models import Counter, Step

        counter = min(int(self.random.expovariate(1) * 3), self.given["counters"] - 1)
        key = counter + 1
        kind = self.random.choice(["save", "update", "raw", "bulk_update", "insert", "rollback"])
        if kind == "insert":
            Step.objects.create(counter_id=key)
        elif kind == "update":
            Counter.objects.filter(pk=key).update(n=F("n") + 1)
        elif kind == "raw":
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("UPDATE counting_counter SET n = n + 1 WHERE id = %s", [key])
        elif kind == "rollback":
            with transaction.atomic():
                Counter.objects.filter(pk=key).update(n=F("n") + 1000)
                transaction.set_rollback(True)
        else:
            with transaction.atomic():
                row = Counter.objects.select_for_update().get(pk=key)
                row.n += 1
                if kind == "save":
                    row.save()
                else:
                    Counter.objects.bulk_update([row], ["n"])
        if kind != "rollback":
            self.board.acknowledge(self.number, counter, steps=kind == "insert")
        self.board.count(self.number, Tally.WRITES)
        time.sleep(self.random.expovariate(1 / self.given["pause"]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
