"""Tags, and values that mean the same in Python and in SQL (DESIGN section 3)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

PRECISION = "tests/matrix/test_precision.py"
CLAUSES = "tests/queries/test_dependencies.py"
MATRIX = "tests/matrix/test_matrix.py::test_after"

MUTANTS = [
    # Which columns have tags
    Mutant(
        rule="foreign keys have tags",
        file="tables.py",
        old="            or field.is_relation\n",
        new="",
        tests="tests/test_captured.py",
    ),
    Mutant(
        rule="indexed columns have tags",
        file="tables.py",
        old='            or getattr(field, "db_index", False)\n',
        new="",
        tests=CLAUSES,
    ),
    Mutant(
        rule="unique columns have tags",
        file="tables.py",
        old="            field.unique\n            or ",
        new="            ",
        tests=f"{PRECISION} {CLAUSES}",
    ),
    Mutant(
        rule="columns of the user's choice have tags",
        file="tables.py",
        old="    named = indexed | set(rule.tag_fields if rule else ())",
        new="    named = indexed",
        tests=PRECISION,
    ),
    Mutant(
        rule="indexes of several columns have tags",
        file="tables.py",
        old="        *(index.fields for index in meta.indexes),\n",
        new="",
        tests=CLAUSES,
    ),
    Mutant(
        rule="unique constraints have tags",
        file="tables.py",
        old="for constraint in meta.constraints if isinstance(constraint, models.UniqueConstraint)),",
        new="for constraint in ()),",
        tests=CLAUSES,
    ),
    Mutant(
        rule="sets of the user's choice have tags",
        file="tables.py",
        old="        *(rule.tag_sets if rule else ()),\n",
        new="",
        tests=PRECISION,
    ),
    Mutant(
        rule="the parts of a composite key have tags",
        file="tables.py",
        old='    for name in getattr(meta, "pk_fields", ()):',
        new="    for name in ():",
        tests=CLAUSES,
    ),
    Mutant(
        rule="the tables of many-to-many relations are tables",
        file="tables.py",
        old="apps.get_models(include_auto_created=True, include_swapped=True)",
        new="apps.get_models(include_swapped=True)",
        tests=CLAUSES,
    ),
    # What makes tags differ
    Mutant(
        rule="the database is part of a tag",
        file="databases.py",
        old='    return f"{first}:{name}@{process}" if in_memory else f"{first}:{name}"',
        new='    return "one"',
        tests=f"tests/test_aliases.py {PRECISION}",
    ),
    Mutant(
        rule="values of unlike types are unlike",
        file="keys.py",
        old='    bool: lambda value: b"T" if value else b"F",',
        new="    bool: _encode_int,",
        tests="tests/test_keys.py",
    ),
    Mutant(
        rule="texts have their lengths in front",
        file="keys.py",
        old='    return b"s%d:%b" % (len(content), content)',
        new='    return b"s%b;" % content',
        tests="tests/test_keys.py",
    ),
    # Equality
    Mutant(
        rule="text is equal only under a collation that tells it apart",
        file="tables.py",
        old='_EXACT_TEXT = frozenset({"postgresql", "sqlite"})',
        new='_EXACT_TEXT = frozenset({"postgresql", "sqlite", "mysql"})',
        tests=CLAUSES,
        db="mariadb",
    ),
    Mutant(
        rule="text under a collation of its own has no tags",
        file="tables.py",
        old='and not getattr(target, "db_collation", None)',
        new="",
        tests="tests/test_values.py",
    ),
    Mutant(
        rule="a decimal beyond its scale has no name",
        file="tables.py",
        old="    if exact != found:\n",
        new="    if False:\n",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a decimal is named at its scale",
        file="tables.py",
        old="    return abs(exact) if not exact else Decimal(exact)",
        new="    return abs(found) if not found else found",
        tests=f"{CLAUSES} {PRECISION}",
    ),
    Mutant(
        rule="zero has no sign",
        file="tables.py",
        old="    return abs(exact) if not exact else Decimal(exact)",
        new="    return Decimal(exact)",
        tests=CLAUSES,
    ),
    Mutant(
        rule="decimals that SQLite does not tell apart have no tags",
        file="tables.py",
        old="(target.max_digits or 0) > _EXACT_DIGITS:",
        new="False:",
        tests="tests/test_captured.py",
    ),
    Mutant(
        rule="a moment is named in UTC",
        file="tables.py",
        old="value.astimezone(UTC) if value.tzinfo else value.replace(fold=0)",
        new="value if value.tzinfo else value.replace(fold=0)",
        tests="tests/test_values.py",
    ),
    Mutant(
        rule="a moment of the wrong kind has no name",
        file="tables.py",
        old="type(value) not in _MOMENTS or (value.tzinfo is None) is django_settings.USE_TZ",
        new="type(value) not in _MOMENTS",
        tests="tests/test_values.py",
    ),
    Mutant(
        rule="a datetime in a date column has no name",
        file="tables.py",
        old='        raise Uncertain("a datetime in a date column depends on the time zone in force")',
        new="        pass",
        tests="tests/test_values.py",
    ),
    Mutant(
        rule="a value of somebody's own class has no name",
        file="tables.py",
        old="    if type(name) not in _NAMES:",
        new="    if False:",
        tests="tests/regressions/test_applications.py",
    ),
    Mutant(
        rule="an expression has no name",
        file="tables.py",
        old='    if hasattr(value, "resolve_expression"):',
        new="    if False:",
        tests="tests/test_values.py",
    ),
    Mutant(
        rule="models that share a table must agree on a column",
        file="tables.py",
        old="                doubtful.add(field.column)",
        new="                pass",
        tests="tests/test_captured.py",
    ),
    # Excluded, and not to be trusted
    Mutant(
        rule="an excluded table is not read",
        file="queries/dependencies.py",
        old="            if facts.excluded:\n",
        new="            if False:\n",
        tests="tests/test_policies.py",
    ),
    Mutant(
        rule="a replica may lag",
        file="queries/plan.py",
        old="    if may_lag(using):",
        new="    if False:",
        tests="tests/test_aliases.py",
    ),
]
