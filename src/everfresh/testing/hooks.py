"""What a store's tests are given by its file, and the tools they share."""

from __future__ import annotations

import secrets
import threading
import time
import unittest
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from everfresh.stores.base import Store

__all__ = ["StoreHooks"]

T = TypeVar("T")


class StoreHooks:
    """The rules that every store keeps. Names are fresh for each test, so a shared server need not be emptied."""

    short_seconds = 0.05
    """The shortest lifetime the store can tell."""

    spare_seconds = 0.05
    """How much longer than asked a mark may last."""

    largest_entry = 1_000_000
    """Bytes of an entry that the store must take."""

    add_is_atomic = True
    """Does exactly one of several simultaneous readers create a version or take a lease?"""

    threads = 8
    """How many threads may share the store; 1 for a private one."""

    many_tags = 2500
    """How many tags a large write has: more than fit into one request of the store."""

    def make_store(self) -> Store:
        """A store as users get it; each call gives another object over the same contents."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass for the store. By default, wait."""
        time.sleep(seconds)

    def evict(self, tag: str) -> None:
        """Make the store lose the version of *tag* and nothing else, as for want of memory."""
        raise unittest.SkipTest("The test class has no hook `evict`.")

    def spoil(self, key: str, tag: str) -> None:
        """Put something under *key* and under *tag* that the store would never have put there."""
        raise unittest.SkipTest("The test class has no hook `spoil`.")

    def round_trips(self) -> int:
        """How many requests the store from the latest :meth:`make_store` has sent so far."""
        raise unittest.SkipTest("The test class has no hook `round_trips`.")

    @cached_property
    def store(self) -> Store:
        """The store of this test, made at its first use: after the fixtures."""
        return self.make_store()

    def setup_method(self) -> None:
        """Make the names for one test."""
        noise = secrets.token_hex(8)
        self.key = f"key:{noise}"
        self.tags = [f"tag:{noise}:{each}" for each in ("one", "two", "three")]
        self.tag = self.tags[0]

    # Tools

    def lease(self) -> bytes:
        """The lease on the test's key, taken."""
        lease = self.store.begin_fill(self.key, self.tags, 5).lease
        assert lease is not None
        return lease

    def together(self, work: Callable[[int], T]) -> list[T]:
        """What *work* returns in each of several threads that start at the same time."""
        if self.threads == 1:
            return [work(0)]
        start = threading.Barrier(self.threads)
        results: dict[int, T] = {}
        errors: list[Exception] = []

        def run(number: int) -> None:
            start.wait()
            try:
                results[number] = work(number)
            except Exception as error:  # noqa: BLE001 - raised again below, in the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(self.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [results[number] for number in range(self.threads)]
