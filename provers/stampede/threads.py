"""The threads of one process of the crowd, and the slow function that they all want."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections

import everfresh
from everfresh.events import Outcome, Read
from provers.processes.counting.models import Counter

__all__ = ["note", "together"]

LABEL = "stampede"
_runs: list[int] = []
_asked: list[str] = []
_outcomes = threading.local()


@everfresh.memoize(label=LABEL, grace=60)
def slow(seconds: float) -> int:
    """What the counter says, after a while."""
    _runs.append(1)
    n = Counter.objects.get(pk=1).n
    # The line in one piece, whatever other threads say.
    sys.stdout.write("computing\n")
    sys.stdout.flush()
    time.sleep(seconds)
    return n


def note(event: object) -> None:
    """Note how this thread's call was answered."""
    if isinstance(event, Read) and event.label == LABEL:
        _outcomes.last = event.outcome


def together(threads: int, at: float, seconds: float) -> dict[str, Any]:
    """What so many threads get that ask at one time, in seconds since the epoch."""
    _runs.clear()
    _asked.clear()
    barrier = threading.Barrier(threads + 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(_one, barrier, seconds) for _ in range(threads)]
        time.sleep(max(0.0, at - time.time()))
        barrier.wait(30)
        answers = [each.result() for each in waiting]
    return {"runs": len(_runs), "asked": len(_asked), "answers": answers}


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


def _count(execute: Any, sql: str, *args: Any) -> Any:
    _asked.append(sql)
    return execute(sql, *args)
