"""The behaviours of cachemodel (CM), cachebot (CB) and ormcache (OC), by their ids: S are settings, H is history."""

from __future__ import annotations

__all__ = ["COMING", "IDS", "NOT_BUILT"]


def _numbered(prefix: str, last: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(1, last + 1)]


IDS = frozenset(
    [
        *_numbered("CM-", 18),
        *_numbered("CM-H", 5),
        *_numbered("CB-", 22),
        *_numbered("CB-S", 10),
        *_numbered("OC-", 22),
    ]
)

NOT_BUILT = {
    "CB-17": (
        "The table CacheBotSignals and its admin kept which paths are in use, for signals to look up. Here a query's "
        "own clauses say what can change its answer; reads write nothing to the database. Importing it says so."
    ),
}
"""Deliberately, and why."""

COMING: dict[str, str] = {
    "CM-H2": "built by now?",
    "OC-18": "Pre-expiration comes with issue 5: one reader computes anew, the others get the old answer.",
}
"""Must be empty in the end."""
