"""The ages of what is stored: when it is computed anew before its end, and for how long it may be served after it.

The clock of this host, and no other thing than these two hangs on it: an answer that nothing allows to be old is judged
by its versions, and ended by the store.
"""

from __future__ import annotations

from math import log
from random import random
from time import monotonic, time

from everfresh.bounded import Bounded

__all__ = ["end_of", "is_due", "is_over", "left_until", "may_still_serve"]

_REMEMBERED = 4_096
"""Entries of which one process keeps at hand since when they are old."""

_old_since: Bounded[str, tuple[object, float]] = Bounded(_REMEMBERED)
"""By key: which entry it was, and when it was first found to be invalid."""


def end_of(lifetime: float | None) -> float | None:
    """When what is stored now for *lifetime* seconds ends, in seconds since the epoch."""
    return None if lifetime is None else time() + lifetime


def is_over(end: float | None) -> bool:
    """Is the *end* over, so that it is there only for its grace?"""
    return end is not None and time() >= end


def left_until(end: float) -> float:
    """The seconds until the *end*; 0 when it is over."""
    return max(0.0, end - time())


def is_due(end: float | None, seconds: float) -> bool:
    """Is it one reader's turn to compute anew what took *seconds* to compute?

    By chance, more likely the nearer the end and the longer it takes: so one of many readers comes early enough, and
    the others never find it missing (Vattani et al., Optimal Probabilistic Cache Stampede Prevention).
    """
    return end is not None and time() - seconds * log(1 - random()) >= end  # noqa: S311  no secret


def may_still_serve(key: str, versions: object, end: float | None, grace: float, *, is_valid: bool) -> bool:
    """May what is old, and was stored under *versions*, be served for *grace* seconds?

    What has ended, for so long after its *end*. What is invalid, for so long after this process found it to be: when
    it was made so is written nowhere.
    """
    if is_valid:
        return end is not None and time() < end + grace
    known, since = _old_since.get(key, (None, 0.0))
    if known != versions:
        since = monotonic()
        _old_since[key] = (versions, since)
    return monotonic() < since + grace
