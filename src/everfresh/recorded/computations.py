"""Computations: what names one, what is said of it, and where it is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connections

from everfresh.conf import settings
from everfresh.databases import logical_database, point_of_view
from everfresh.keys import digest, encode
from everfresh.naming import tag_names
from everfresh.recording import Named
from everfresh.tags import named

__all__ = [
    "FENCE",
    "Computation",
    "clauses_of",
    "databases",
    "label_index",
    "member",
    "own_tags",
    "tag_label",
    "tags_by_name",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """One computation, by what names it and what is said of it."""

    key: str
    """The store's: short printable ASCII without spaces."""

    label: str = ""
    """What to call it and others of its kind: ``app.module.function``."""

    name: str = ""
    """What people call it, unlike others of its kind; with it, it is listed and can be invalidated by it."""

    timeout: float | None = None
    """Seconds; ``None`` is for ever, 0 stores nothing."""

    grace: float | None = None
    """Seconds for which it may be served when it is old, while another one computes it anew; ``None``: never."""

    near: bool | None = None
    """May each process keep a copy? ``None``: as the settings say."""

    tags: tuple[str, ...] = ()
    """Names given by people that it depends on."""

    also: tuple[Named, ...] = ()
    """Clauses of what is read by ways that nobody can follow."""

    is_declared: bool = False
    """Does *also* answer for all that cannot be followed?"""

    result_tags: Callable[[Any], Iterable[str]] | None = None
    """Names given by people that are known only from the result."""

    refresh_later: Callable[[bytes], bool] | None = None
    """Has it computed by somebody else, who gets the lease. Was that arranged?"""

    unsuited: Callable[[Any], str] | None = None
    """Why a stored result is not what this caller would compute; empty where it is. ``None``: it always is."""

    @property
    def is_near(self) -> bool:
        """May this process keep a copy?"""
        return settings().near if self.near is None else self.near


def label_index(label: str = "") -> str:
    """The name of the index of what is stored under *label*; without one, of that of all labels."""
    return digest(encode((settings().prefix(), "label", label) if label else (settings().prefix(), "labels")))


def tag_label(tag: str) -> str:
    """The label under which everything is listed that depends on a tag named by people."""
    return f"tag:{tag}"


def member(computation: Computation) -> str:
    """What stands for *computation* in an index: its key in the store, and its name."""
    return f"{computation.key}{databases()} {computation.name}"


FENCE = ""
"""The tag that moves with every tag that people name."""


def own_tags(computation: Computation) -> Iterable[str]:
    """The tags that it depends on whatever it reads: of its label, its name, and those that people gave it."""
    if computation.name:
        yield f"label:{computation.label}"
        yield f"name:{computation.name}"
    yield from computation.tags


def clauses_of(tags: Iterable[str]) -> list[Named]:
    """The clauses of what depends on each of *tags*."""
    return [frozenset({frozenset({name})}) for name in tags_by_name(tags)]


def tags_by_name(tags: Iterable[str]) -> list[str]:
    """What the store calls these tags, which people named."""
    return list(tag_names(named(tag).name for tag in tags))


def databases() -> str:
    """What tells the databases that a computation may read from those of another project, or of another test run."""
    return _digest_of(tuple((alias, logical_database(alias), point_of_view(alias)) for alias in sorted(connections)))


@lru_cache(maxsize=1_024)
def _digest_of(views: tuple[tuple[str, str, Any], ...]) -> str:
    return digest(encode(list(views)))
