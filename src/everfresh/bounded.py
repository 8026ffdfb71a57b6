"""Memory that does not grow without end."""

from __future__ import annotations

from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Bounded"]

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A mapping that forgets what it has had for longest, once it is full. Threads may share it.

    Args:
        limit: so many entries, at least one. Of threads that add at the same time, each may add one more.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[K, V] = {}
        self.get = self._entries.get
        """The dict's own: what is remembered is read far more often than written."""

    def __setitem__(self, key: K, value: V) -> None:
        # No lock, which a fork could leave locked for ever. Each step is whole in itself, and another thread's may
        # come between finding the oldest and dropping it: then it is looked for again.
        while len(self._entries) >= self._limit:
            with suppress(RuntimeError, StopIteration):
                self._entries.pop(next(iter(self._entries)), None)
        self._entries[key] = value

    def clear(self) -> None:
        """Forget all of it."""
        self._entries.clear()
