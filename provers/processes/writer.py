"""A writer: adds one to a counter, in one of many ways, and acknowledges it when the commit has returned."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import F

from provers.processes.board import Board, Tally
from provers.processes.counting.models import Counter, Step

__all__ = ["Writer"]

REST_SECONDS = 0.2
PATIENCE_SECONDS = 0.5


class Writer:
    """Whatever it dies of and whenever, what it has acknowledged stays."""

    def __init__(self, board: Board, number: int, given: dict[str, Any]) -> None:
        self.board = board
        self.number = number
        self.given = given
        # Not the same choices again when it is started after a kill.
        self.random = random.Random(f"{given['seed']}-writer-{number}-{time.time_ns()}")
        self.kinds = ["save", "insert", "rollback"]
        if not given["simple"]:
            self.kinds += ["update", "raw", "bulk_update"]

    def step(self) -> None:
        """One write."""
        counter = min(int(self.random.expovariate(1) * 4), self.given["counters"] - 1)
        kind = self.random.choice(self.kinds)
        with self._turn():
            self._write(kind, counter + 1)
        if kind != "rollback":
            self.board.acknowledge(self.number, counter, steps=kind == "insert")
        self.board.count(self.number, Tally.WRITES)
        self._wait_for_readers()

    def recover(self) -> None:
        """After an error: begin anew."""
        connections.close_all()

    def _wait_for_readers(self) -> None:
        reads = self.random.expovariate(1 / (self.given["reads_per_write"] * self.given["writers"]))
        enough = self.board.total(Tally.READS) + reads
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.board.total(Tally.READS) < enough and time.monotonic() < deadline:
            time.sleep(0.001)

    def _write(self, kind: str, key: int) -> None:
        if kind == "insert":
            Step.objects.create(counter_id=key)
        elif kind == "update":
            Counter.objects.filter(pk=key).update(n=F("n") + 1)
        elif kind == "raw":
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("UPDATE counting_counter SET n = n + 1 WHERE id = %s", [key])
        else:
            with transaction.atomic():
                row = Counter.objects.select_for_update().get(pk=key)
                row.n += 1000 if kind == "rollback" else 1
                if kind == "bulk_update":
                    Counter.objects.bulk_update([row], ["n"])
                else:
                    row.save()
                transaction.set_rollback(kind == "rollback")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone among the writers, where they take turns.

        One that died in its turn may have left a COMMIT on the way to the database; whoever is next waits for that.
        """
        if not self.given["turns"]:
            yield
            return
        with Path(self.given["turns"]).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the system gives it back when its holder dies
            if os.fstat(file.fileno()).st_size:
                time.sleep(REST_SECONDS)
                file.truncate(0)
            file.write("taken")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)
