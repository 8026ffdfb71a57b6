"""Processors that do not fall asleep between one message and the next.

A virtual machine may take 70 us to wake one up, which is three times what a whole exchange with Redis takes. What would
be measured is how often somebody waits, and on a machine with other work to do it is not so. So each processor gets
something to do that gives way to everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["awake"]

_IDLE = """
import os
os.nice(19)
if hasattr(os, "SCHED_IDLE"):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Keep all processors awake while the block runs; whoever wants one gets it at once."""
    idlers = [subprocess.Popen([sys.executable, "-c", _IDLE]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for idler in idlers:
            idler.kill()
            idler.wait()
