"""Names for the shapes that pass between the layers."""

from __future__ import annotations

from typing import Literal

__all__ = ["CHANGES", "OPERATIONS", "Change", "OnMissing", "Operation"]

Operation = Literal["get", "fetch", "count", "exists", "aggregate"]
"""The kinds of reads that a setting can switch on: ``fetch`` is any list of rows."""

OPERATIONS: frozenset[Operation] = frozenset({"get", "fetch", "count", "exists", "aggregate"})

Change = Literal["create", "update", "delete"]
"""What may happen to a row."""

CHANGES: frozenset[Change] = frozenset({"create", "update", "delete"})

OnMissing = Literal["refresh", "skip", "raise"]
"""What is done where a list points to a row that is gone: ask again, leave the row out, or raise `RowsMissing`."""
