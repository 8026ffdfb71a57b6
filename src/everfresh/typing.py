"""Names for the shapes that pass between the layers."""

from __future__ import annotations

from typing import Literal

__all__ = ["OPERATIONS", "Operation"]

Operation = Literal["get", "fetch", "count", "exists", "aggregate"]
"""The kinds of reads that a setting can switch on: ``fetch`` is any list of rows."""

OPERATIONS: frozenset[Operation] = frozenset({"get", "fetch", "count", "exists", "aggregate"})
