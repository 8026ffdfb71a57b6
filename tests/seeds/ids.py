"""The behaviours of cachemodel (CM), cachebot (CB), ormcache (OC) and cacheme (CE), by their ids; S: settings, H: past."""

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
        *_numbered("CE-", 22),
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
}
"""Deliberately, and why."""
