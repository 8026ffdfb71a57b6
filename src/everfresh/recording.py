"""Recording: what was read while something was computed, found out by watching instead of asking.

While a recording runs, each read through the cache adds its clauses and the versions that were taken before its query.
A statement that reaches the database any other way is *untracked*: nobody knows which writes would change what it gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = [
    "Dependencies",
    "Named",
    "Recording",
    "computing",
    "current_recording",
    "note_untracked",
    "recording",
    "recording_in",
]

Named = frozenset[frozenset[str]]
"""A clause by the store's names of its tags: an AND of groups, each an OR of names."""


class Dependencies:
    """What an entry depends on, by the store's names: the form in which it can be stored beside the answer.

    Attributes:
        names: each name once, sorted: the order in which the entry holds their versions.
        positions: of each clause its groups, as positions in *names*.
    """

    __slots__ = ("names", "positions")

    def __init__(self, names: Sequence[str], positions: Sequence[Sequence[Sequence[int]]]) -> None:
        self.names = tuple(names)
        self.positions = positions

    @classmethod
    def of(cls, clauses: Iterable[Named]) -> Dependencies:
        """Those of an entry with these clauses."""
        clauses = set(clauses)
        names = sorted({name for clause in clauses for group in clause for name in group})
        at = {name: position for position, name in enumerate(names)}
        positions = sorted(sorted(sorted(at[name] for name in group) for group in clause) for clause in clauses)
        return cls(names, positions)

    def clauses(self) -> Iterator[Named]:
        """The clauses again."""
        for clause in self.positions:
            yield frozenset(frozenset(self.names[at] for at in group) for group in clause)

    def stale(self, moved: Sequence[bool]) -> bool:
        """Is the entry stale, when *moved* tells for each of *names* whether it moved?"""
        return any(all(any(moved[at] for at in group) for group in clause) for clause in self.positions)


@dataclass(eq=False)
class Recording:
    """What was read so far."""

    clauses: set[Named] = field(default_factory=set)
    versions: dict[str, bytes | None] = field(default_factory=dict)
    """By name; ``None``: a writer was pending."""

    moved: bool = False
    """Was one tag seen with two versions, so that parts of the answer are of different moments?"""

    timeout: float | None = None
    """Seconds; the shortest of what was read, ``None`` where nothing limits it."""

    untracked: list[str] = field(default_factory=list)
    """What cannot be followed, in words."""

    refused: str = ""
    """Why what is computed is nobody else's, whatever it read. Says nothing of what is computed around it."""

    def note(
        self, clauses: Iterable[Named], versions: Iterable[tuple[str, bytes | None]], timeout: float | None = None
    ) -> None:
        """A read of an entry with these clauses, under these versions by name, that may live for *timeout* seconds."""
        self.clauses.update(clauses)
        for name, version in versions:
            if self.versions.setdefault(name, version) != version:
                self.moved = True
        if timeout is not None:
            self.timeout = timeout if self.timeout is None else min(self.timeout, timeout)

    def absorb(self, inner: Recording) -> None:
        """What an inner computation read, this one read too."""
        self.note(inner.clauses, inner.versions.items(), inner.timeout)
        self.moved = self.moved or inner.moved
        self.untracked += inner.untracked


_current: ContextVar[Recording | None] = ContextVar("everfresh_recording", default=None)
_computing: ContextVar[bool] = ContextVar("everfresh_computing", default=False)


def current_recording() -> Recording | None:
    """The recording that runs here and now."""
    return _current.get()


@contextmanager
def recording() -> Iterator[Recording]:
    """Record what is read in the block, in this thread or task and what it awaits."""
    recorded = Recording()
    token, outside = _current.set(recorded), _computing.set(False)
    try:
        yield recorded
    finally:
        _computing.reset(outside)
        _current.reset(token)


@contextmanager
def recording_in(recorded: Recording | None) -> Iterator[None]:
    """Record in *recorded* again, or nowhere: what is read in the block is asked for from outside of what is computed.

    Args:
        recorded: what `current_recording` gave before the one that runs began.
    """
    token, outside = _current.set(recorded), _computing.set(False)
    try:
        yield
    finally:
        _computing.reset(outside)
        _current.reset(token)


@contextmanager
def computing() -> Iterator[None]:
    """Around the query of a read whose clauses are known: its statements are tracked."""
    token = _computing.set(True)
    try:
        yield
    finally:
        _computing.reset(token)


def note_untracked(describe: Callable[[], str]) -> None:
    """A statement is about to run, in words: if nobody knows what it depends on, the recording is told."""
    recorded = _current.get()
    if recorded is not None and not _computing.get():
        recorded.untracked.append(describe())
