"""Tests that check something a cache must change. They may fail with Everfresh; each says why."""

from __future__ import annotations

__all__ = ["EXPECTED"]

_COUNTS = "counts by itself, with len(connection.queries), the queries that a second read asks: a hit asks none"

EXPECTED: dict[str, dict[str, str]] = {
    "django-guardian": {
        "guardian/testapp/tests/test_core.py::ObjectPermissionCheckerTest::test_autoprefetch_user_perms": _COUNTS,
    },
}
"""Reasons by application and test."""
