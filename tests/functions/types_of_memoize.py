"""What type checkers see of memoized functions: never run, only checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from everfresh import memoize
from everfresh.functions import AsyncMemoized, Memoized


@memoize
def plain(a: int, *, b: str = "") -> float:
    """A function."""
    return a


@memoize(timeout=60, key=lambda call: f"{call.a}", on_miss=lambda key, call: key + call.a)
def with_options(a: int) -> float:
    """A function, with options."""
    return a


@memoize
def generator(a: int) -> Iterator[int]:
    """A generator."""
    yield a


@memoize
async def awaited(a: int) -> float:
    """A coroutine function."""
    return a


@memoize(grace=1)
async def items(a: int) -> AsyncIterator[int]:
    """An asynchronous generator."""
    yield a


class Shelf:
    """With methods."""

    @memoize
    def method(self, a: int) -> float:
        """One of an instance."""
        return a

    @memoize(timeout=1)
    async def awaited(self, a: int) -> float:
        """One that is awaited."""
        return a


faces: tuple[Memoized[[int], float], Memoized[[int], float]] = (with_options, Shelf().method)
awaited_faces: tuple[AsyncMemoized[[int], float], AsyncMemoized[[int], float]] = (awaited, Shelf().awaited)


async def check() -> None:
    """The signatures are those of the functions."""
    assert_type(plain(1, b=""), float)
    assert_type(plain.refresh(1), float)
    assert_type(plain.many([(1,), {"a": 1}]), list[float])
    assert_type(plain.cache_key(1), str)
    assert_type(with_options(1), float)
    assert_type(generator(1), Iterator[int])
    assert_type(await awaited(1), float)
    assert_type(await awaited.apeek(1), float)
    assert_type(items(1), AsyncIterator[int])
    assert_type(Shelf().method(1), float)
    assert_type(Shelf().method.peek(1), float)
    assert_type(await Shelf().awaited(1), float)

    # Unused ignores are errors: these calls are errors.
    plain("1")  # type: ignore[arg-type]
    plain.invalidate()  # type: ignore[call-arg]
    Shelf().method("1")  # type: ignore[arg-type]
    await awaited(b=1)  # type: ignore[call-arg]
