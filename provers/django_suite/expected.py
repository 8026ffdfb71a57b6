"""Tests that check something a cache must change. They may fail with Everfresh; each says why."""

from __future__ import annotations

__all__ = ["EXPECTED"]

_TEXT = "looks at the text of a query that was asked before in the same test: a hit asks nothing"

EXPECTED: dict[str, str] = {
    "many_to_many.tests.ManyToManyQueryTests.test_count_join_optimization": _TEXT,
    "many_to_many.tests.ManyToManyQueryTests.test_exists_join_optimization": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_foreignkey_forward": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_one_to_one_forward": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_one_to_one_reverse": _TEXT,
}
"""Reasons by test id."""
