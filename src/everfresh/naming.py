"""What tags and entries are called in a store: the project's prefix, a letter for the kind, and a digest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from everfresh.conf import settings

__all__ = ["EntryKind", "entry_key", "tag_names"]

EntryKind = Literal["c", "f", "g", "m", "p", "q", "r", "v"]
"""Chunks of a list, a function, a query with grace, a method, a part of a template, a query, a row, a view."""


def tag_names(names: Iterable[str]) -> tuple[str, ...]:
    """The store's names of the tags called *names*, in their order."""
    prefix = settings().prefix()
    return tuple([f"{prefix}:t:{name}" for name in names])


def entry_key(kind: EntryKind, digest: str) -> str:
    """The key of an entry; no two kinds share one."""
    return f"{settings().prefix()}:{kind}:{digest}"
