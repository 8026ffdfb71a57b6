"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutant"]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One rule, and the edit that breaks it."""

    rule: str
    file: str
    """Under ``src/everfresh``."""

    old: str
    new: str
    tests: str
    """Where it must be noticed: paths for pytest."""

    db: str = "sqlite"
    store: str = "locmem"
