"""Answers without waiting: what a coroutine may be told on its event loop, where nothing may block.

The same code reads for both worlds. While it only *peeks*, it takes what this process holds itself, and where that is
not enough it says so instead of asking the store or the database; then it is called again, where it may ask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from django.core.exceptions import SynchronousOnlyOperation

__all__ = ["NotHeld", "is_peeking", "peek"]

T = TypeVar("T")

_peeking: ContextVar[bool] = ContextVar("everfresh_peeking", default=False)


class NotHeld(BaseException):
    """This process does not hold the answer. No error, so nobody who catches those is to keep it."""


def is_peeking() -> bool:
    """Is only wanted what this process holds itself?"""
    return _peeking.get()


def peek(read: Callable[[], T]) -> T:
    """What *read* gives without waiting.

    Raises:
        NotHeld: where it would have to wait.
    """
    token = _peeking.set(True)
    try:
        return read()
    except SynchronousOnlyOperation:
        # A query that nobody caches. Django stops it here, as it should.
        raise NotHeld from None
    finally:
        _peeking.reset(token)
