"""One procedure for two worlds: it is written once, as a coroutine, and takes its steps blocking or awaiting.

A procedure does what blocks only through the `Steps` that it is given. With those of `Blocking` nothing in it ever
suspends, so `run` needs no event loop to run it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Generic, Protocol, TypeVar

from asgiref.sync import sync_to_async

__all__ = ["Awaiting", "Blocking", "Steps", "run"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")


class Steps(Protocol[T_co]):
    """What a procedure may do that takes time."""

    async def ask(self, do: Callable[[], V]) -> V:
        """Call something that may block: the store, the database."""
        ...

    async def compute(self) -> T_co:
        """Call the user's function."""
        ...

    async def wait(self, seconds: float, until: Future[Any] | None = None) -> None:
        """Let *seconds* pass, or less when *until* is done before."""
        ...


class Blocking(Generic[T]):
    """Every step is taken at once, in this thread."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute

    async def ask(self, do: Callable[[], V]) -> V:
        """Call *do*."""
        return do()

    async def compute(self) -> T:
        """Call the user's function."""
        try:
            return self._compute()
        except StopIteration as end:
            # No coroutine lets one pass.
            raise _Stopped(end) from None

    async def wait(self, seconds: float, until: Future[Any] | None = None) -> None:
        """Block for *seconds*, or until *until* is done."""
        if until is None:
            time.sleep(seconds)  # noqa: ASYNC251  this class is for where no loop runs
        else:
            wait([until], seconds)


class Awaiting(Generic[T]):
    """The user's function is a coroutine function, and what blocks is done where Django's own queries are."""

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute

    async def ask(self, do: Callable[[], V]) -> V:
        """Call *do* in the thread for what must not block the loop."""
        return await sync_to_async(do, thread_sensitive=True)()

    async def compute(self) -> T:
        """Await the user's function."""
        return await self._compute()

    async def wait(self, seconds: float, until: Future[Any] | None = None) -> None:
        """Sleep for *seconds*, or until *until* is done."""
        if until is None:
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait([asyncio.wrap_future(until)], timeout=seconds)


class _Stopped(Exception):
    """The user's function raised `StopIteration`, as ``next()`` does."""

    def __init__(self, raised: StopIteration) -> None:
        self.raised = raised


def run(procedure: Coroutine[Any, Any, T]) -> T:
    """Run a *procedure* whose steps are `Blocking`."""
    try:
        procedure.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    except _Stopped as stopped:
        raise stopped.raised from None
    raise RuntimeError(f"{procedure!r} awaited something else than its steps.")
