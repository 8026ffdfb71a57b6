"""The behaviours of cachemodel (CM), cachebot (CB), ormcache (OC), cache-sweeper (CS), cacheme (CE).

S are settings, H is history, D was documented and never worked, F are faults that are mended.
"""

from __future__ import annotations

__all__ = ["IDS", "NOT_BUILT"]


def _numbered(prefix: str, last: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(1, last + 1)]


IDS = frozenset(
    [
        *_numbered("CM-", 18),
        *_numbered("CM-H", 5),
        *_numbered("CB-", 22),
        *_numbered("CB-S", 10),
        *_numbered("OC-", 22),
        *_numbered("CS-", 9),
        *_numbered("CS-D", 3),
        *_numbered("CS-F", 6),
        *_numbered("CE-", 22),
        *_numbered("CE-F", 11),
    ]
)

NOT_BUILT = {
    "CB-17": (
        "The table CacheBotSignals and its admin kept which paths are in use, for signals to look up. Here a query's "
        "own clauses say what can change its answer; reads write nothing to the database. Importing it says so."
    ),
    "CM-H2": (
        "get_by() and get_by_<field>() of cachemodel 0.9: its own 2.0 made get_by() raise (CM-13), for the get() that "
        "takes any field (CM-11)."
    ),
    "CS-D3": (
        "ModelSweeper() as an attribute of a model, and as a manager, never worked; their tests were commented out. "
        "The mixin does what they were to do."
    ),
}
"""Deliberately, and why."""
