"""Which labels of the suite are run where none is named."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CORE", "EXTENTS", "ORM", "labels_of"]

ORM = (
    "queries expressions aggregation aggregation_regress annotations lookup prefetch_related select_related"
    " select_related_onetoone select_related_regress many_to_many many_to_one many_to_one_null one_to_one m2m_and_m2o"
    " m2m_intermediary m2m_multiple m2m_recursive m2m_regress m2m_signals m2m_through m2m_through_regress m2o_recursive"
    " model_inheritance model_inheritance_regress delete delete_regress update update_only_fields bulk_create basic"
    " get_or_create get_earliest_or_latest get_object_or_404 transactions transaction_hooks composite_pk foreign_object"
    " generic_relations generic_relations_regress multiple_database model_fields serializers fixtures fixtures_regress"
    " timezones datetimes dates datatypes defer defer_regress expressions_case expressions_window filtered_relation"
    " known_related_objects null_queries null_fk null_fk_ordering ordering order_with_respect_to proxy_models"
    " proxy_model_inheritance raw_query reverse_lookup select_for_update save_delete_hooks custom_lookups"
    " custom_managers custom_methods custom_pk custom_columns db_functions db_typecasts db_utils distinct_on_fields"
    " empty empty_models extra_regress field_defaults field_subclassing force_insert_update from_db_value or_lookups"
    " xor_lookups queryset_pickle async constraints indexes introspection inspectdb schema backends migrations"
    " migrations2 migrate_signals migration_test_data_persistence managers_regress max_lengths model_enums model_forms"
    " model_formsets model_formsets_regress model_indexes model_meta model_options model_package model_regress"
    " model_utils mutually_referential nested_foreign_keys pagination properties reserved_names signals str"
    " string_lookup swappable_models unmanaged_models validation contenttypes_tests auth_tests admin_views"
    " admin_changelist admin_filters admin_inlines admin_ordering admin_utils admin_widgets admin_docs generic_views"
    " generic_inline_admin inline_formsets modeladmin sessions_tests sites_tests sites_framework flatpages_tests"
    " redirects_tests sitemaps_tests syndication_tests test_client test_client_regress test_utils"
    " view_tests cache servers user_commands postgres_tests admin_custom_urls shortcuts"
).split()
"""All that touch the ORM."""

CORE = (
    "queries expressions aggregation annotations lookup prefetch_related select_related many_to_many many_to_one"
    " one_to_one m2m_through model_inheritance delete update bulk_create basic get_or_create transactions composite_pk"
    " foreign_object generic_relations multiple_database model_fields serializers fixtures timezones defer"
    " filtered_relation raw_query select_for_update db_functions custom_managers contenttypes_tests async"
    " postgres_tests distinct_on_fields proxy_models model_forms sessions_tests generic_views"
).split()
"""Those with the most to get wrong, for a run of few minutes."""

FEW = (
    "basic many_to_one one_to_one many_to_many delete update get_or_create select_related custom_managers"
    " foreign_object"
).split()
"""Those of rows, relations and writes, for a run of which every write commits: each test empties all tables then."""

APART = {"gis_tests", "test_runner", "test_runner_apps"}
"""They need libraries of their own, or run suites of their own."""

EXTENTS = ("few", "core", "orm", "whole")


def labels_of(extent: str, tests: Path, db: str) -> list[str]:
    """The labels of an *extent* of the suite in *tests* that run on *db*."""
    chosen = {"few": FEW, "core": CORE, "orm": ORM}.get(extent) or _all(tests)
    return [label for label in chosen if (label, db) != ("postgres_tests", "sqlite")]


def _all(tests: Path) -> list[str]:
    packages = (path.parent for path in tests.glob("*/__init__.py"))
    tested = (path.name for path in packages if any(path.glob("**/test*.py")))
    return sorted(name for name in tested if name not in APART)
