"""Tests that check something a cache must change, or a clock. They may fail with Everfresh; each says why."""

from __future__ import annotations

__all__ = ["expected_failures"]

_TEXT = "looks at the text of a query that was asked before in the same test: a hit asks nothing"
_COUNT = "counts exactly the queries of one that was asked before in the same test: a hit asks nothing"
_RELAXED = "is a test of assertNumQueries itself, which this run relaxes"
_PINNED = (
    "looks at the text of a DELETE whose condition reads other tables: where those can change meanwhile, it names the"
    " rows that were read and locked, so that what went is known"
)
_TIMED = "asks no database, and allows one wall-clock time twice another: it fails now and then on a busy machine"

_ROWS = "counts one query where rows of two models that nobody has read yet are two"
_OVERLAY = "has more rows in one transaction than its overlay keeps, so some are read twice"

_ALWAYS: dict[str, str] = {
    "admin_changelist.tests.ChangeListTests.test_many_search_terms": _TEXT,
    "delete_regress.tests.DeleteTests.test_self_reference_with_through_m2m_at_second_level": _PINNED,
    "many_to_many.tests.ManyToManyQueryTests.test_count_join_optimization": _TEXT,
    "many_to_many.tests.ManyToManyQueryTests.test_exists_join_optimization": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_foreignkey_forward": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_one_to_one_forward": _TEXT,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_one_to_one_reverse": _TEXT,
    "serializers.test_deserialization.TestDeserializer.test_crafted_xml_performance": _TIMED,
    "test_utils.tests.AssertNumQueriesContextManagerTests.test_failure": _RELAXED,
    "test_utils.tests.CaptureQueriesContextManagerTests.test_nested": _COUNT,
    "test_utils.tests.CaptureQueriesContextManagerTests.test_with_client": _COUNT,
}
"""Reasons by test id."""

_WITH_ROWS: dict[str, str] = {
    "basic.tests.ModelRefreshTests.test_refresh_with_related": _ROWS,
    "known_related_objects.tests.ExistingRelatedInstancesTests.test_one_to_one_select_related": _ROWS,
    "lookup.tests.LookupTests.test_in_bulk_lots_of_ids": _OVERLAY,
}
"""More of them, where rows have entries of their own."""


def expected_failures(*, rows: bool) -> dict[str, str]:
    """Reasons by test id.

    Args:
        rows: do rows have entries of their own?
    """
    return {**_ALWAYS, **_WITH_ROWS} if rows else _ALWAYS
