"""Switching the cache off for a while."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["disabled", "is_disabled"]

_F = TypeVar("_F", bound=Callable[..., Any])

_disabled: ContextVar[int] = ContextVar("everfresh_disabled", default=0)


class disabled(ContextDecorator):  # noqa: N801  (a context manager, named as one)
    """Read nothing from the cache and store nothing in it; writes still invalidate.

    A context manager and a decorator, for functions and coroutine functions. It holds for the current thread or
    task and what that awaits, and may be nested and shared::

        with everfresh.disabled():
            report = build_report()
    """

    def __enter__(self) -> None:
        _disabled.set(_disabled.get() + 1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _disabled.set(_disabled.get() - 1)

    def __call__(self, function: _F) -> _F:
        """*function*, run with the cache off."""
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return run  # type: ignore[return-value]


def is_disabled() -> bool:
    """Is the cache off here and now?"""
    return _disabled.get() > 0
