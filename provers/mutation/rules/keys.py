"""What tells entries apart (DESIGN section 5)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

KEYS = "tests/queries/test_keys_never_shared.py"

MUTANTS = [
    Mutant(
        rule="the namespace is part of a key",
        file="naming.py",
        old='    return f"{settings().prefix()}:{kind}:{digest}"',
        new='    return f"{kind}:{digest}"',
        tests="tests/test_policies.py",
    ),
    Mutant(
        rule="the namespace is part of a tag's name",
        file="naming.py",
        old='f"{prefix}:t:{name}"',
        new='f"t:{name}"',
        tests="tests/test_policies.py",
    ),
    Mutant(
        rule="the clauses are part of a key",
        file="queries/plan.py",
        old='f"{found.identity}{clauses.digest}")',
        new="found.identity)",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="the database is part of a key",
        file="queries/plan.py",
        old="fingerprint(query, form, *view, dict(aggregates or {}), *w",
        new="fingerprint(query, form, dict(aggregates or {}), *w",
        tests=f"{KEYS}::test_databases_have_keys_of_their_own",
    ),
    Mutant(
        rule="who looks at the database is part of a key",
        file="queries/plan.py",
        old="view = logical_database(using), point_of_view(using)",
        new="view = (logical_database(using),)",
        tests=f"{KEYS}::test_aliases_of_one_database_that_see_it_differently_have_keys_of_their_own",
    ),
    Mutant(
        rule="the form of the answer is part of a key",
        file="queries/plan.py",
        old="fingerprint(query, form, *view",
        new="fingerprint(query, *view",
        tests=f"{KEYS}::test_the_forms_have_keys_of_their_own",
    ),
    Mutant(
        rule="an aggregate's expressions are part of a key",
        file="queries/plan.py",
        old="*view, dict(aggregates or {}), *watch",
        new="*view, *watch",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="the time zone in force is part of a key where it is part of the SQL",
        file="queries/fingerprint.py",
        old="        if walk.needs_time_zone:\n            # The zone",
        new="        if False:\n            # The zone",
        tests=f"{KEYS}::test_the_current_time_zone_is_part_of_the_key_where_it_is_part_of_the_sql",
    ),
    Mutant(
        rule="a path that may be a transform depends on the time zone",
        file="queries/fingerprint.py",
        old="    walk.needs_time_zone |= LOOKUP_SEP in value.name\n",
        new="",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="a condition whose path may be a transform depends on the time zone",
        file="queries/fingerprint.py",
        old="any(isinstance(child, tuple) and LOOKUP_SEP in child[0] for child in value.children)",
        new="False",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="an order by a related row's order may depend on the time zone",
        file="queries/fingerprint.py",
        old="            if related and related not in seen and _by_clock(",
        new="            if False and _by_clock(",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="the time zone itself, not its name",
        file="queries/fingerprint.py",
        old="walk.out.append(encode(timezone.get_current_timezone()))",
        new="walk.out.append(encode(timezone.get_current_timezone_name()))",
        tests=f"{KEYS}::test_two_zones_of_one_name_are_two_zones",
    ),
    Mutant(
        rule="a model's columns are part of a key",
        file="queries/fingerprint.py",
        old="            [(field.attname, field.column, class_path(type(field))) for field in meta.concrete_fields],\n",
        new="",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="a model's own order is part of a key",
        file="queries/fingerprint.py",
        old="            list(meta.ordering or ()),\n",
        new="",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="the router is asked once for all of a read",
        file="querysets.py",
        old="        queryset._db = queryset.db\n        try:",
        new="        try:",
        tests="tests/regressions/test_django_suite.py",
    ),
    Mutant(
        rule="an entry of other bytes is a miss",
        file="codec/entry.py",
        old="    if magic != _MAGIC or held != count or settled",
        new="    if held != count or settled",
        tests="tests/test_codec.py",
    ),
]
