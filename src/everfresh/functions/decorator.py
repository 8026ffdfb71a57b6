"""Functions whose results are kept, and are never stale.

What a function reads by querysets records itself (:mod:`everfresh.recorded`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from datetime import timedelta
from inspect import isasyncgenfunction, isgeneratorfunction
from types import ModuleType
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from asgiref.sync import iscoroutinefunction

from everfresh.functions.calls import Call
from everfresh.functions.memoized import AsyncIteratorMemoized, AsyncMemoized, Memoized
from everfresh.functions.recipes import Name, Recipe, TagsGiven
from everfresh.queries.terms import ModelName

__all__ = ["AsyncIteratorMemoized", "AsyncMemoized", "Call", "Memoized", "memoize"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Decorator(Protocol):
    @overload
    def __call__(self, target: classmethod[Any, ..., Any] | staticmethod[..., Any], /) -> Any: ...

    @overload
    def __call__(self, target: Callable[_P, Coroutine[Any, Any, _R]], /) -> AsyncMemoized[_P, _R]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, target: Callable[_P, AsyncIterator[_R]], /) -> AsyncIteratorMemoized[_P, _R]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, target: Callable[_P, _R], /) -> Memoized[_P, _R]: ...


@overload
def memoize(target: classmethod[Any, ..., Any] | staticmethod[..., Any], /) -> Any: ...


@overload
def memoize(target: Callable[_P, Coroutine[Any, Any, _R]], /) -> AsyncMemoized[_P, _R]: ...  # type: ignore[overload-overlap]


@overload
def memoize(target: Callable[_P, AsyncIterator[_R]], /) -> AsyncIteratorMemoized[_P, _R]: ...  # type: ignore[overload-overlap]


@overload
def memoize(target: Callable[_P, _R], /) -> Memoized[_P, _R]: ...


@overload
def memoize(
    *,
    key: Callable[[Call], str] | None = None,
    node: Callable[[Call], Name] | None = None,
    tags: TagsGiven = None,
    timeout: float | timedelta | None = None,
    grace: float | timedelta | None = None,
    near: bool | None = None,
    skip: bool | Callable[[Call], bool] = False,
    on_hit: Callable[[str, Any, Call], object] | None = None,
    on_miss: Callable[[str, Call], object] | None = None,
    depends_on: Iterable[ModelName] | None = None,
    label: str | None = None,
) -> _Decorator: ...


def memoize(
    target: Any = None,
    /,
    *,
    key: Callable[[Call], str] | None = None,
    node: Callable[[Call], Name] | None = None,
    tags: TagsGiven = None,
    timeout: float | timedelta | None = None,
    grace: float | timedelta | None = None,
    near: bool | None = None,
    skip: bool | Callable[[Call], bool] = False,
    on_hit: Callable[[str, Any, Call], object] | None = None,
    on_miss: Callable[[str, Call], object] | None = None,
    depends_on: Iterable[ModelName] | None = None,
    label: str | None = None,
) -> Any:
    """A function whose result is kept for each set of arguments, and is never stale.

    What it reads by querysets records itself, and so do the rows it is given: a write that changes any of it drops the
    result. Works on functions, methods, class methods, static methods, coroutine functions, generators and asynchronous
    generators (their items are kept, and each call iterates over them anew).

    Args:
        target: the function, where the decorator is used without arguments.
        key: gives the text that tells one call from another. Left out: its arguments do, all of which must have a
            name that holds in every process.
        node: gives the node that names the result, in the place of *key*: a `everfresh.nodes.Node`. What its class
            says of timeout and grace goes before what is said here, its tags come on top, and its hit() and miss() are
            called where there is no *on_hit* and *on_miss*.
        tags: names that `invalidate_tags` knows the result by: a string, a list of them (nested, and with ``None``
            among them, if that is simpler), or a function that gives them: of the call, or of the call and the result.
            Invalid nodes are names as well.
        timeout: seconds or a timedelta; ``None`` is for ever, 0 stores nothing.
        grace: seconds or a timedelta for which an old result is served while one caller computes a new one. Left out:
            callers wait for the new one.
        near: is a copy of each result kept in each process that reads it, for as long as the store tells of no change?
            Left out: ``NEAR`` decides.
        skip: is the function to be called, and nothing read or stored? A truth value, or a function of the call.
        on_hit: called with the result's name, the result and the call, when it comes from the cache.
        on_miss: called with the result's name and the call, before the function is.
        depends_on: models, or their labels, whose every write drops the result: for what it reads by raw SQL and other
            ways that cannot be followed.
        label: what to call the function. Left out: its import path.

    Raises:
        TypeError: for what is no function; and when called with an argument that has no stable key.

    Source: cacheme's ``@cacheme`` (CE-1, CE-3 to CE-8).
    """

    def decorate(target: Any) -> Any:
        is_bound = isinstance(target, classmethod | staticmethod)
        function = target.__func__ if is_bound else target
        if isinstance(function, type) or not callable(function) or not hasattr(function, "__qualname__"):
            raise TypeError(
                f"@memoize takes a function, not {function!r}. It goes next to the function, below @property; its "
                f"options are given by name, as in @memoize(timeout=60)."
            )
        if not isinstance(getattr(function, "__self__", None), type | ModuleType | None):
            raise TypeError(
                f"@memoize takes a function, not the method {function.__qualname__} of one instance, which is no "
                f"argument there: decorate the method in its class."
            )
        recipe = Recipe.of(
            function,
            key=key,
            node=node,
            tags=tags,
            timeout=timeout,
            grace=grace,
            near=near,
            skip=skip,
            on_hit=on_hit,
            on_miss=on_miss,
            depends_on=depends_on,
            label=label,
            is_generator=isgeneratorfunction(function) or isasyncgenfunction(function),
        )
        face = (
            AsyncMemoized
            if iscoroutinefunction(function)
            else AsyncIteratorMemoized
            if isasyncgenfunction(function)
            else Memoized
        )
        return face(recipe, type(target))

    return decorate if target is None else decorate(target)
