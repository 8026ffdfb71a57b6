"""Computations whose dependencies record themselves: what a function returned, and everything it read to do so.

The entry of one holds the names of its tags beside their versions, for nothing but running the function tells them. The
rest is as everywhere: versions taken before each query, and an entry is served as long as none of them moved.
"""

from __future__ import annotations

from everfresh.recorded.computations import Computation, label_index, member, tag_label
from everfresh.recorded.reading import aread_recorded, look_recorded, read_recorded
from everfresh.recorded.reasons import reason_to_bypass
from everfresh.recorded.stored import count_current, current_dependencies

__all__ = [
    "Computation",
    "aread_recorded",
    "count_current",
    "current_dependencies",
    "label_index",
    "look_recorded",
    "member",
    "read_recorded",
    "reason_to_bypass",
    "tag_label",
]
