"""Tests that check something a cache must change. They may fail with Everfresh; each says why."""

from __future__ import annotations

__all__ = ["EXPECTED"]

_COUNTS = "counts by itself, with len(connection.queries), the queries that a second read asks: a hit asks none"
_SECONDS = "measures seconds: on a busy machine it fails either way, and VERIFY asks everything twice"

EXPECTED: dict[str, dict[str, str]] = {
    "django-guardian": {
        "guardian/testapp/tests/test_core.py::ObjectPermissionCheckerTest::test_autoprefetch_user_perms": _COUNTS,
        "guardian/testapp/tests/test_indexes.py::IndexVsNoIndexPerformanceTestCase::"
        "test_permission_existence_at_scale_timing": _SECONDS,
    },
}
"""Reasons by application and test."""
