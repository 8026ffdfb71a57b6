"""What a scenario plays on: this thread, another one with a connection of its own, and a process that dies.

Everything is stepped by hand. Nothing here sleeps, so a scenario goes the same way each time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from benchmarks.statements import counting

__all__ = ["Read", "Stage"]

Read = Callable[[], Any]
"""Asks through the ORM; its answer is compared by `repr`."""

WAIT = 15.0  # seconds for the other thread, after which the scenario is an error


@dataclass
class Stage:
    """The means of one scenario, and what was seen."""

    truth_of: Callable[[int], str]
    """What plain Django, in a process of its own, answers now to the read of this number."""

    reads: tuple[Read, ...]
    primed: dict[int, str] = field(default_factory=dict)
    hits: set[int] = field(default_factory=set)
    """The reads whose second asking, unwritten, needed no statement."""

    wrong: list[str] = field(default_factory=list)
    dropped: bool = False
    _others: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def prime(self, *numbers: int) -> None:
        """Ask twice, so that the answer is cached if ever it will be."""
        for number in numbers or range(len(self.reads)):
            self.primed[number] = repr(self.reads[number]())
            with counting() as counter:
                self.reads[number]()
            if not counter.statements:
                self.hits.add(number)

    def check(self, *numbers: int) -> None:
        """Ask as the next request would, and compare with the database."""
        for number in numbers or range(len(self.reads)):
            with counting() as counter:
                answer = repr(self.reads[number]())
            truth = self.truth_of(number)
            if answer != truth:
                self.wrong.append(f"read {number}: {answer[:200]}, not {truth[:200]}")
            elif counter.statements and number in self.hits and truth == self.primed[number]:
                self.dropped = True

    def elsewhere(self, act: Callable[[], Any]) -> Any:
        """Do it in the other thread, on its connection, and wait for it."""
        return self._others.submit(act).result(WAIT)

    @contextmanager
    def transaction_elsewhere(self, *, commit: bool) -> Iterator[None]:
        """The other thread is in an `atomic()` block as long as this block lasts."""
        block = transaction.atomic()
        self.elsewhere(block.__enter__)
        try:
            yield
        finally:
            outcome = (None, None, None) if commit else (RuntimeError, RuntimeError("rolled back on purpose"), None)
            self.elsewhere(lambda: block.__exit__(*outcome))

    @contextmanager
    def while_reading(self, number: int) -> Iterator[None]:
        """The other thread reads, and stands still while it holds the database's answer; it goes on after the block."""
        answered, go_on = threading.Event(), threading.Event()

        def pause(execute: Any, *arguments: Any) -> Any:
            result = execute(*arguments)
            answered.set()
            go_on.wait(WAIT)
            return result

        def read() -> None:
            with connection.execute_wrapper(pause):
                self.reads[number]()

        reader: Future[None] = self._others.submit(read)
        try:
            if not answered.wait(WAIT):
                raise RuntimeError("The reader did not ask the database.")
            yield
        finally:
            go_on.set()
            reader.result(WAIT)

    def die_after_commit(self, act: Callable[[], Any]) -> None:
        """Another process does it in a transaction and dies between COMMIT and whatever its cache does then."""
        child = os.fork()
        if not child:
            try:
                connection.connection = None  # the parent's; it is not ours to close
                connection.connect()
                commit = connection._commit

                def commit_and_die() -> None:
                    commit()
                    os._exit(0)

                connection._commit = commit_and_die
                with transaction.atomic():
                    act()
            finally:
                os._exit(1)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("The writer died before its COMMIT.")

    def close(self) -> None:
        """Leave both threads' connections as new."""
        try:
            self.elsewhere(lambda: connection.close())  # noqa: PLW0108  the proxy must be asked in that thread
        finally:
            self._others.shutdown(wait=False)
            connection.close()

    @property
    def verdict(self) -> str:
        """One word."""
        if self.wrong:
            return "stale"
        if self.dropped:
            return "dropped"
        return "fresh" if self.hits or not self.primed else "uncached"
