"""What happened, told to whoever listens: tests, the demo, metrics.

Nobody listening costs one check of an empty list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

__all__ = ["Invalidated", "Outcome", "Read", "Verified", "emit", "listening"]


class Outcome(Enum):
    """How a read that could have used the cache was answered."""

    HIT = "hit"
    """From the store (or the transaction's overlay)."""

    FILL = "fill"
    """From the database, and stored."""

    MISS = "miss"
    """From the database, and not stored: a writer is pending, another reader fills, the store is down, too large."""

    STALE = "stale"
    """From the store, and older than it should be: ``grace`` allows it while another one computes it anew."""

    BYPASS = "bypass"
    """From the database, because no coherent answer can be kept; the reason says why."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read."""

    outcome: Outcome
    reason: str = ""
    """Why, for ``BYPASS``, ``MISS`` and ``STALE``; for ``FILL`` where what was stored is another caller's."""

    label: str = ""
    """The model read, as ``app.Model``; of a computation its own name, as ``app.Model.method()``."""


@dataclass(frozen=True, slots=True)
class Invalidated:
    """One statement's tags were recorded."""

    table: str
    tags: int
    whole: bool
    """Was it the whole table, because the rows were not known?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A hit was computed again (``VERIFY``)."""

    stale: bool
    """Did the answer differ, though no tag had moved?"""

    key: str
    clauses: tuple[str, ...]
    """In words."""

    versions: tuple[bytes | None, ...]
    cached: object
    computed: object


Event = Read | Invalidated | Verified

_listeners: list[Callable[[Event], None]] = []

_withheld: ContextVar[list[Event] | None] = ContextVar("everfresh_withheld", default=None)


def is_heard() -> bool:
    """Does anybody listen? Where to make an event takes time, ask before."""
    return bool(_listeners)


def emit(event: Event) -> None:
    """Tell every listener."""
    if not _listeners:
        return
    later = _withheld.get()
    if later is not None:
        later.append(event)
        return
    for listener in _listeners:
        listener(event)


@contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Call *listener* with every event of this process, from whatever thread it happens in, while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def withheld(later: list[Event]) -> Iterator[None]:
    """Put what happens in the block into *later*, and tell nobody: it may not come to anything."""
    token = _withheld.set(later)
    try:
        yield
    finally:
        _withheld.reset(token)
