"""Answers without a thread: what a coroutine may be told on its event loop, where nothing may block.

The same code reads for both worlds. While it only *peeks*, it takes what this process holds itself and what it was
*handed*, and where that is not enough it says what one look at the store it lacks. A coroutine can wait for that
without blocking: it hands it over, and the read begins again. What no look gives is left to a thread, where one may
ask for everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import SynchronousOnlyOperation

from everfresh.stores import Snapshots, current_store

__all__ = ["NotHeld", "answered", "handed", "is_peeking", "once", "peek"]

T = TypeVar("T")

MOST_LOOKS = 8
"""Of one read: a list with what it prefetches needs several. One that needs more is nothing to begin anew each time."""


class Asked(NamedTuple):
    """One look at the store."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    """Of tags."""


class _Known:
    """What a read has in hand, each time it begins."""

    def __init__(self) -> None:
        self.seen: dict[Asked, Snapshots] = {}
        self.found: dict[tuple[int, str], tuple[object, Any]] = {}
        """By whose it is and what; with the owner, so that no other object gets its number."""


_peeking: ContextVar[_Known | None] = ContextVar("everfresh_peeking", default=None)


class NotHeld(BaseException):
    """This process does not hold the answer. No error, so nobody who catches those is to keep it."""

    def __init__(self, asked: Asked | None = None) -> None:
        self.asked = asked
        """The look at the store that would bring the read further; ``None``: none would."""


def is_peeking() -> bool:
    """Is only wanted what is here already?"""
    return _peeking.get() is not None


def handed(keys: Sequence[str], names: Sequence[str]) -> Snapshots:
    """What the store said of *keys* and *names* since this read began.

    Raises:
        NotHeld: where it was not asked yet, with that look.
    """
    asked = Asked(tuple(keys), tuple(names))
    known = _peeking.get()
    if known is None or asked not in known.seen:
        raise NotHeld(asked)
    return known.seen[asked]


def once(owner: object, name: str, find: Callable[[], T]) -> T:
    """What *find* gives: what it gave before, where that was for the same *owner* and *name* and this very read."""
    known = _peeking.get()
    if known is None:
        return find()
    place = id(owner), name
    if place not in known.found:
        known.found[place] = owner, find()
    found: T = known.found[place][1]
    return found


def peek(read: Callable[[], T], known: _Known | None = None) -> T:
    """What *read* gives without waiting, by what this process holds and what is *known* of the store.

    Raises:
        NotHeld: where it would have to wait.
    """
    token = _peeking.set(known or _Known())
    try:
        return read()
    except SynchronousOnlyOperation:
        # A query that nobody caches. Django stops it here, as it should.
        raise NotHeld from None
    finally:
        _peeking.reset(token)


async def answered(read: Callable[[], T]) -> T:
    """What *read* gives without a thread, by as many looks at the store as it takes.

    What is handed over is as good as what a thread would have read: it was asked for during this very call.

    Raises:
        NotHeld: where looks at the store are not enough, or none can be had on this loop.
    """
    known = _Known()
    for _ in range(MOST_LOOKS):
        try:
            return peek(read, known)
        except NotHeld as lacking:
            if lacking.asked is None:
                raise
            asked = lacking.asked
        seen = await current_store().aread_many(*asked)
        if seen is None:
            raise NotHeld
        known.seen[asked] = seen
    return peek(read, known)
