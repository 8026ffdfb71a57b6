"""One process of the crowd: ``python -m provers.stampede.crowd <threads>``.

It says "ready", and then answers each line, the name of a scene, with a line of JSON: how often the function ran and
the database was asked, and for each of its threads the outcome, the value and the seconds it took.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
django.setup()

from django.db import connection, connections  # noqa: E402

import everfresh  # noqa: E402
from everfresh.events import Outcome, Read, listening  # noqa: E402
from provers.processes.counting.models import Counter  # noqa: E402

LABEL = "stampede"
_runs: list[int] = []
_asked: list[str] = []
_outcomes = threading.local()


@everfresh.memoize(label=LABEL, grace=60)
def slow(seconds: float) -> int:
    """What the counter says, after a while."""
    _runs.append(1)
    n = Counter.objects.get(pk=1).n
    time.sleep(seconds)
    return n


def _count(execute: Any, sql: str, *args: Any) -> Any:
    _asked.append(sql)
    return execute(sql, *args)


def _note(event: object) -> None:
    if isinstance(event, Read) and event.label == LABEL:
        _outcomes.last = event.outcome


def _one(barrier: threading.Barrier, seconds: float) -> tuple[str, int, float]:
    try:
        connection.ensure_connection()
        with connection.execute_wrapper(_count):
            barrier.wait(30)
            begun = time.monotonic()
            value = slow(seconds)
            outcome: Outcome = _outcomes.last
            return outcome.value, value, time.monotonic() - begun
    finally:
        connections.close_all()


def main() -> None:
    """Answer line by line."""
    threads = int(sys.argv[1])
    print("ready", flush=True)
    with listening(_note):
        for line in sys.stdin:
            at, seconds = map(float, line.split())
            _runs.clear()
            _asked.clear()
            barrier = threading.Barrier(threads + 1)
            with ThreadPoolExecutor(threads) as pool:
                waiting = [pool.submit(_one, barrier, seconds) for _ in range(threads)]
                time.sleep(max(0.0, at - time.time()))
                barrier.wait(30)
                answers = [each.result() for each in waiting]
            print(json.dumps({"runs": len(_runs), "asked": len(_asked), "answers": answers}), flush=True)


if __name__ == "__main__":
    main()
