"""Flights: of all who want one key in this process, one computes, and the others wait for it and look again.

Nobody is handed what another one has computed: it may be of a moment before the own call. It is read from the store,
where its versions tell.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum

__all__ = ["Landing", "board", "is_ours", "land"]


class Landing(Enum):
    """How a flight ended."""

    STORED = "stored"
    UNSTORED = "unstored"
    """It has a result that cannot be stored: nobody need wait for another one."""

    FAILED = "failed"
    """The function raised; the next one may try."""


Flight = Future[Landing]

_flights: dict[str, Flight] = {}
_ours: ContextVar[frozenset[str]] = ContextVar("everfresh_flights", default=frozenset())


def board(key: str) -> Flight | None:
    """The flight that is under way for *key*; ``None``: it is ours now, and `land` has to end it."""
    flight: Flight = Future()
    # One step, so that of two threads only one finds nothing.
    other = _flights.setdefault(key, flight)
    if other is not flight:
        return other
    _ours.set(_ours.get() | {key})
    return None


def is_ours(key: str) -> bool:
    """Is who computes *key* further out in this very call? To wait for it would be to wait for ever."""
    return key in _ours.get()


def land(key: str, landing: Landing) -> None:
    """End our flight: those who wait go on."""
    _ours.set(_ours.get() - {key})
    if (flight := _flights.pop(key, None)) is not None:
        flight.set_result(landing)


with suppress(AttributeError):  # no fork on Windows
    # Whoever flies in the parent does not in the child.
    os.register_at_fork(after_in_child=_flights.clear)
