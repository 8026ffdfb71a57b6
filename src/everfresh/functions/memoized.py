"""What stands in the place of a memoized function: it is called as the function is, and can do more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import update_wrapper
from inspect import isawaitable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from asgiref.sync import async_to_sync, markcoroutinefunction, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation

from everfresh import names
from everfresh.conf import settings
from everfresh.exceptions import NotCached
from everfresh.functions.calls import Arguments, Call, arguments, noted_arguments
from everfresh.functions.recipes import Recipe
from everfresh.reading import Answer
from everfresh.recorded import Computation, aread_recorded, look_recorded, read_recorded
from everfresh.recording import current_recording, note_untracked
from everfresh.switches import is_disabled

__all__ = ["AsyncIteratorMemoized", "AsyncMemoized", "Memoized"]

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_S = TypeVar("_S")

ManyCalls = Iterable[tuple[Any, ...] | Mapping[str, Any]]
"""Of each call its arguments: a tuple of those by position, or a dict of those by name."""


class _Face(Generic[_P]):
    """What the faces of all kinds of functions have in common.

    In a class it is a descriptor: accessed by an instance, it gives a face that knows the instance.
    """

    def __init__(self, recipe: Recipe, binding: type) -> None:
        update_wrapper(cast("Any", self), recipe.function)
        self._recipe = recipe
        self._binding = binding
        self._first: tuple[Any, ...] = ()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        first = owner if self._binding is classmethod else instance
        if first is None or self._binding is staticmethod:
            return self
        bound = object.__new__(type(self))
        vars(bound).update(vars(self), _first=(first,))
        return bound

    def __repr__(self) -> str:
        return f"<memoized {self._recipe.label}>"

    def __reduce__(self) -> str:
        # By its name, as a function.
        return self._recipe.function.__qualname__

    def cache_key(self, /, *args: _P.args, **kwargs: _P.kwargs) -> str:
        """What the result for these arguments is called: in callbacks, in lists, and for patterns."""
        return self._recipe.name(self._called((args, kwargs)))

    def invalidate(self, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Have the result for these arguments computed anew.

        Inside a transaction on the default database it takes effect at its COMMIT, else at once.
        """
        names.invalidate_name(self.cache_key(*args, **kwargs))

    async def ainvalidate(self, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """See `invalidate`."""
        await sync_to_async(self.invalidate)(*args, **kwargs)

    def invalidate_all(self) -> int:
        """Have all results of the function computed anew; returns how many were current until now.

        Source: cacheme's tags (CE-8).
        """
        return names.invalidate_label(self._recipe.label)

    async def ainvalidate_all(self) -> int:
        """See `invalidate_all`."""
        return await sync_to_async(self.invalidate_all)()

    def _called(self, given: Arguments) -> Call:
        args, kwargs = given
        return self._recipe.call((*self._first, *args), kwargs)

    def _plain(self, given: Arguments) -> Any:
        """What the function itself gives."""
        args, kwargs = given
        return self._recipe.function(*self._first, *args, **kwargs)

    def _prepared(self, given: Arguments) -> tuple[Call, Computation | None]:
        """The call, and how its result is cached; ``None``: it is to be skipped."""
        call = self._called(given)
        return call, None if self._recipe.is_skipped(call) else self._recipe.computation(call)

    def _stored(self, given: Arguments) -> Any:
        computation = self._recipe.computation(self._called(given))
        [answer] = look_recorded([computation])
        if answer is None:
            # Whoever records this depends on what happens to be stored, which nothing tells of.
            note_untracked(lambda: f"a look at what is stored of {self._recipe.label}")
            raise NotCached(f"No current result of {self._recipe.label} is stored under {computation.name!r}.")
        return answer.value


def _is_off() -> bool:
    return not settings().enabled or is_disabled()


def _given(call: object) -> Arguments:
    if isinstance(call, tuple):
        return call, {}
    if isinstance(call, Mapping):
        return (), call
    raise TypeError(f"many() takes a list of tuples or dicts of arguments, not one with {call!r}.")


class Memoized(_Face[_P], Generic[_P, _R]):
    """A function, or a generator function, whose results are kept."""

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: Memoized[Concatenate[_S, _Q], _R], instance: _S, owner: type | None = None, /
    ) -> Memoized[_Q, _R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return super().__get__(instance, owner)

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """What the function returns, from the cache where that is the same as calling it now."""
        return self._read((args, kwargs))

    def refresh(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function, and keep what it returns in the place of what is stored."""
        return self._read((args, kwargs), fresh=True)

    def peek(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """What is stored for these arguments; the function is not called.

        Raises:
            NotCached: when nothing is, or it is not current.
        """
        return self._handed_out(self._stored((args, kwargs)))

    def many(self, calls: ManyCalls) -> list[_R]:
        """The results of several calls, in their order.

        What is stored comes in one round trip, where this process has seen it before; the others are called one by one.
        """
        given = [_given(call) for call in calls]
        if _is_off():
            return [self._read(each) for each in given]
        prepared = [self._prepared(each) for each in given]
        found = iter(look_recorded([computation for _, computation in prepared if computation]))
        return [
            self._plain(each) if computation is None else self._answered(call, computation, next(found))
            for each, (call, computation) in zip(given, prepared, strict=True)
        ]

    def _read(self, given: Arguments, *, fresh: bool = False, lease: bytes | None = None) -> _R:
        if not _is_off():
            call, computation = self._prepared(given)
            if computation is not None:
                return self._answered(call, computation, fresh=fresh, lease=lease)
        result: _R = self._plain(given)
        return result

    def _answered(
        self,
        call: Call,
        computation: Computation,
        answer: Answer[Any] | None = None,
        *,
        fresh: bool = False,
        lease: bytes | None = None,
    ) -> _R:
        recipe, outer = self._recipe, current_recording()

        def compute() -> Any:
            if current_recording() is outer:
                # Nothing will be stored: it is the plain function.
                args, kwargs = arguments(call)
            else:
                if recipe.on_miss is not None:
                    recipe.on_miss(computation.name, call)
                args, kwargs = noted_arguments(call)
            result = recipe.function(*args, **kwargs)
            return list(result) if recipe.is_generator else result

        if answer is None:
            answer = read_recorded(computation, compute, fresh=fresh, lease=lease)
        if answer.from_cache and recipe.on_hit is not None:
            recipe.on_hit(computation.name, answer.value, call)
        return self._handed_out(answer.value)

    def _handed_out(self, value: Any) -> _R:
        handed_out: _R = iter(value) if self._recipe.is_generator else value
        return handed_out

    def recompute(self, given: Arguments, lease: bytes | None) -> None:
        """What a task does: it gives the *lease* back, if it was given one."""
        self._read(given, fresh=True, lease=lease)


class _AsyncFace(_Face[_P]):
    """What is awaited."""

    async def _aread(self, given: Arguments, *, fresh: bool = False, lease: bytes | None = None) -> Any:
        if not _is_off():
            call, computation = await _off_the_loop(self._prepared, given)
            if computation is not None:
                return await self._aanswered(call, computation, fresh=fresh, lease=lease)
        return await self._acomputed(self._plain(given))

    async def _amany(self, calls: ManyCalls) -> list[Any]:
        given = [_given(call) for call in calls]
        if _is_off():
            return [await self._aread(each) for each in given]
        prepared = [await _off_the_loop(self._prepared, each) for each in given]
        wanted = [computation for _, computation in prepared if computation]
        found = iter(await sync_to_async(look_recorded)(wanted))
        return [
            await self._acomputed(self._plain(each))
            if computation is None
            else await self._aanswered(call, computation, next(found))
            for each, (call, computation) in zip(given, prepared, strict=True)
        ]

    async def _aanswered(
        self,
        call: Call,
        computation: Computation,
        answer: Answer[Any] | None = None,
        *,
        fresh: bool = False,
        lease: bytes | None = None,
    ) -> Any:
        recipe, outer = self._recipe, current_recording()

        async def compute() -> Any:
            if current_recording() is outer:
                args, kwargs = arguments(call)
            else:
                if recipe.on_miss is not None:
                    await _settled(recipe.on_miss(computation.name, call))
                args, kwargs = await sync_to_async(noted_arguments)(call)
            return await self._acomputed(recipe.function(*args, **kwargs))

        if answer is None:
            answer = await aread_recorded(computation, compute, fresh=fresh, lease=lease)
        if answer.from_cache and recipe.on_hit is not None:
            await _settled(recipe.on_hit(computation.name, answer.value, call))
        return answer.value

    async def _acomputed(self, running: Any) -> Any:
        return [item async for item in running] if self._recipe.is_generator else await running

    def recompute(self, given: Arguments, lease: bytes | None) -> None:
        """See `Memoized.recompute`."""
        async_to_sync(self._aread)(given, fresh=True, lease=lease)


async def _off_the_loop(do: Callable[[Arguments], _S], given: Arguments) -> _S:
    """Call *do*, in a thread only where it asks the database: a lazy ``request.user`` does, and few others."""
    try:
        return do(given)
    except SynchronousOnlyOperation:
        return await sync_to_async(do)(given)


async def _settled(result: Any) -> Any:
    return await result if isawaitable(result) else result


class AsyncMemoized(_AsyncFace[_P], Generic[_P, _R]):
    """A coroutine function whose results are kept."""

    def __init__(self, recipe: Recipe, binding: type) -> None:
        super().__init__(recipe, binding)
        markcoroutinefunction(self)

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: AsyncMemoized[Concatenate[_S, _Q], _R], instance: _S, owner: type | None = None, /
    ) -> AsyncMemoized[_Q, _R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return super().__get__(instance, owner)

    async def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """See `Memoized`."""
        result: _R = await self._aread((args, kwargs))
        return result

    async def arefresh(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """See `Memoized.refresh`."""
        result: _R = await self._aread((args, kwargs), fresh=True)
        return result

    async def apeek(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """See `Memoized.peek`."""
        result: _R = await sync_to_async(self._stored)((args, kwargs))
        return result

    async def amany(self, calls: ManyCalls) -> list[_R]:
        """See `Memoized.many`."""
        return await self._amany(calls)


class AsyncIteratorMemoized(_AsyncFace[_P], Generic[_P, _R]):
    """An asynchronous generator function whose items are kept."""

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...

    @overload
    def __get__(
        self: AsyncIteratorMemoized[Concatenate[_S, _Q], _R], instance: _S, owner: type | None = None, /
    ) -> AsyncIteratorMemoized[_Q, _R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return super().__get__(instance, owner)

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_R]:
        """See `Memoized`."""
        return _replayed(self._aread((args, kwargs)))

    async def arefresh(self, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_R]:
        """See `Memoized.refresh`."""
        return _iterated(await self._aread((args, kwargs), fresh=True))

    async def apeek(self, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_R]:
        """See `Memoized.peek`."""
        return _iterated(await sync_to_async(self._stored)((args, kwargs)))

    async def amany(self, calls: ManyCalls) -> list[AsyncIterator[_R]]:
        """See `Memoized.many`."""
        return [_iterated(items) for items in await self._amany(calls)]


async def _replayed(reading: Awaitable[Iterable[_R]]) -> AsyncIterator[_R]:
    for item in await reading:
        yield item


async def _iterated(items: Iterable[_R]) -> AsyncIterator[_R]:
    for item in items:
        yield item
