"""One process that lets writers die and watches what readers get.

``python -m provers.processes.watcher <trials> <patience in seconds>`` prints one line of JSON for each trial.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from typing import Any

import django

from provers.processes.driver import QueryCounter, die

POINTS = ("before COMMIT", "after COMMIT", "anywhere")
Q = "SELECT n FROM counting_counter WHERE id = %s"


class Watcher:
    """Asks two questions all the time, of the cache and of the database, while a child of its own writes and dies."""

    def __init__(self, patience: float) -> None:
        from django.db import connection, connections

        self.patience = patience
        self.counter = QueryCounter()
        connection.execute_wrappers.append(self.counter)
        self.witness = connections.create_connection("default")

    def trial(self, key: int, point: str) -> dict[str, Any]:
        """One death, and the times after it in milliseconds; None: not within our patience."""
        deadline = time.monotonic() + self.patience
        while not self._cached(key)[1] and time.monotonic() < deadline:
            pass
        victim = self._start(key, point)
        died = fresh = cached = None
        stale = 0
        began = time.monotonic()
        killed_after = random.random() * 0.1
        while True:
            shown = self._shown(key)
            seen, hit = self._cached(key)
            now = time.monotonic()
            if died is None:
                if now - began > (killed_after if point == "anywhere" else self.patience):
                    os.kill(victim, signal.SIGKILL)
                if os.waitpid(victim, os.WNOHANG)[0]:
                    died = now
                continue
            if seen < shown:
                stale += 1
            else:
                fresh = fresh or now
                cached = cached or (now if hit else None)
            if (fresh and cached) or now > died + self.patience:
                break
        return {
            "point": point,
            "fresh": fresh and (fresh - died) * 1000,
            "cached": cached and (cached - died) * 1000,
            "stale": stale,
        }

    def _cached(self, key: int) -> tuple[int, bool]:
        from provers.processes.counting.models import Counter

        before = self.counter.queries
        return Counter.objects.get(pk=key).n, self.counter.queries == before

    def _shown(self, key: int) -> int:
        with self.witness.cursor() as cursor:
            cursor.execute(Q, [key])
            return int(cursor.fetchone()[0])

    def _start(self, key: int, point: str) -> int:
        if child := os.fork():
            return child
        try:
            self._write_and_die(key, point)
        finally:
            die()

    def _write_and_die(self, key: int, point: str) -> None:
        from django.db import connection, transaction

        from provers.processes.counting.models import Counter

        # The parent's connection is not ours to use, nor to close: both would be heard at the other end.
        inherited = connection.connection
        connection.connection = None
        commit = connection._commit  # type: ignore[attr-defined]

        def _commit() -> None:
            if point == "before COMMIT":
                die()
            commit()
            if point == "after COMMIT":
                die()

        connection._commit = _commit  # type: ignore[attr-defined]
        while inherited is not None:
            with transaction.atomic():
                row = Counter.objects.select_for_update().get(pk=key)
                row.n += 1
                row.save()


def main(trials: int, patience: float) -> None:
    """Take turns of the points, each on a counter of its own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
    django.setup()
    from provers.processes.counting.models import Counter
    from provers.processes.prepare import prepare

    prepare()
    watcher = Watcher(patience)
    keys = list(Counter.objects.order_by("pk").values_list("pk", flat=True))
    for number in range(trials):
        print(json.dumps(watcher.trial(keys[number % len(keys)], POINTS[number % len(POINTS)])), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
