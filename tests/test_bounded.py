"""Memory that does not grow without end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from everfresh.bounded import Bounded


def test_oldest_is_forgotten() -> None:
    """What it has had for longest makes room for what is new."""
    memory = Bounded[str, int](2)
    for at, name in enumerate("abc"):
        memory[name] = at

    assert [None, 1, 2] == [memory.get(name) for name in "abc"]


def test_clear() -> None:
    """Everything is forgotten, and there is room again."""
    memory = Bounded[str, int](1)
    memory["a"] = 1
    memory.clear()

    assert memory.get("a") is None
    memory["b"] = 2
    assert 2 == memory.get("b")


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_share_it() -> None:
    """None trips over what another one has just added or forgotten."""
    memory = Bounded[int, int](3)

    def add(start: int) -> None:
        for number in range(start, start + 30_000):
            memory[number] = number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(0, 800_000, 100_000)))
    kept = sum(memory.get(number) is not None for number in range(800_000))
    assert 3 <= kept < 3 + 8
