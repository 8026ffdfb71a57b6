"""cachebot's log of cache operations: with the logger ``cachebot.logger`` at DEBUG, of its backends only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar

from django.core.signals import request_finished

__all__ = ["CacheLog", "Logged", "logging_operations", "operations"]

_C = TypeVar("_C", bound=type)

log = logging.getLogger("cachebot.logger")


@dataclass(frozen=True, slots=True)
class Logged:
    """One operation."""

    name: str
    """The method."""

    key: str
    """Or keys, with commas."""

    time: float
    """Milliseconds."""

    hit: bool | None
    """Did a read find all that it asked for? ``None`` for other operations."""


class CacheLog(threading.local):
    """The operations of this thread's request."""

    def __init__(self) -> None:
        self.log: list[Logged] = []
        self.is_inside = False
        """Is one under way, so that what it calls is a part of it?"""

    def reset(self, **_: Any) -> None:
        """Begin anew, as at the end of each request."""
        self.log = []


operations = CacheLog()
"""Of all backends."""

request_finished.connect(operations.reset, dispatch_uid="everfresh.compat.cachebot.logger")


def logging_operations(backend: _C) -> _C:
    """*backend*, which notes its operations where anybody listens."""
    for name in ("get", "set", "add", "delete", "incr", "decr", "touch", "get_many", "set_many", "delete_many"):
        setattr(backend, name, _noting(name, getattr(backend, name)))
    return backend


def _noting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def noting(self: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
        if operations.is_inside or not log.isEnabledFor(logging.DEBUG):
            return method(self, keys, *args, **kwargs)
        keys = keys if isinstance(keys, str | dict) else list(keys)
        operations.is_inside = True
        began = perf_counter()
        try:
            result = method(self, keys, *args, **kwargs)
        finally:
            operations.is_inside = False
        _note(name, keys, result, (perf_counter() - began) * 1000)
        return result

    return noting


def _note(name: str, keys: Any, result: Any, took: float) -> None:
    hit = None
    if name == "get":
        hit = result is not None
    elif name == "get_many":
        hit = len(result) == len(keys)
    entry = Logged(name, keys if isinstance(keys, str) else ",".join(keys), took, hit)
    operations.log.append(entry)
    log.debug("%s %s %.2f ms%s", name, entry.key, took, {None: "", True: " hit", False: " miss"}[hit])
