"""Clauses: in which ways one entry can be touched.

An entry is stale when, for some clause, in *every* group of it at least one tag has moved::

    clauses = OR  of clauses
    clause  = AND of groups
    group   = OR  of tags
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from everfresh.keys import digest
from everfresh.tags import Kind, Tag

__all__ = ["Clause", "Clauses", "Group"]

Group = frozenset[Tag]
"""Tags of which any may move."""

Clause = frozenset[Group]
"""Groups of which all must have moved."""


class Clauses:
    """The clauses of one entry, with each tag once and in a fixed order.

    Attributes:
        tags: every tag of every clause, sorted by name: the order in which an entry holds their versions.
        names: the names of *tags*.
        digest: 22 characters that differ when the clauses do; part of the entry's key, so that entries made
            under other rules (another index, another setting) are never misread.
    """

    __slots__ = ("_positions", "clauses", "digest", "names", "tags")

    def __init__(self, clauses: Iterable[Clause]) -> None:
        self.clauses = _without_implied(frozenset(clauses))
        named = sorted({(tag.name, tag) for clause in self.clauses for group in clause for tag in group})
        self.names = tuple(name for name, _ in named)
        self.tags = tuple(tag for _, tag in named)
        position = {tag: at for at, tag in enumerate(self.tags)}
        self._positions = sorted(
            sorted(tuple(sorted(position[tag] for tag in group)) for group in clause) for clause in self.clauses
        )
        self.digest = digest(repr((self.names, self._positions)).encode())

    def stale(self, moved: Sequence[bool] | Callable[[int], bool]) -> bool:
        """Is an entry with these clauses stale, when *moved* tells for each position in *tags* whether it moved?"""
        has_moved = moved if callable(moved) else moved.__getitem__
        return any(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)

    def stale_between(self, stored: Sequence[bytes | None], live: Sequence[bytes | None]) -> bool:
        """Is an entry filled under the versions *stored* stale under the versions *live*? ``None`` equals nothing."""
        return self.stale([was is None or was != now for was, now in zip(stored, live, strict=True)])

    def named(self, names: Sequence[str]) -> Iterator[frozenset[frozenset[str]]]:
        """The clauses, with the tags called by *names*, one for each of *tags*."""
        for clause in self._positions:
            yield frozenset(frozenset(names[at] for at in group) for group in clause)

    def words(self) -> list[str]:
        """One line for each clause, for people."""
        return sorted(
            " and ".join(sorted("{" + ", ".join(sorted(map(str, group))) + "}" for group in clause))
            for clause in self.clauses
        )


def _without_implied(clauses: frozenset[Clause]) -> frozenset[Clause]:
    """Drop each clause whose staleness implies that of another: every move on ``T`` moves ``T*`` too."""
    whole = {
        (tag.database, tag.table)
        for clause in clauses
        if len(clause) == 1
        for group in clause
        if len(group) == 1
        for tag in group
        if tag.kind is Kind.ANY
    }

    def implied(clause: Clause) -> bool:
        if any(tag.kind is Kind.ANY for group in clause for tag in group):
            return False
        return any(all((tag.database, tag.table) in whole for tag in group) for group in clause)

    kept = [clause for clause in clauses if not implied(clause)]
    return frozenset(clause for clause in kept if not any(other < clause for other in kept))
