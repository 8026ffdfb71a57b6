"""From a query to its clauses (DESIGN section 3)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

CLAUSES = "tests/queries/test_dependencies.py"
TABLES = "tests/queries/test_tables.py::test_tables_that_only_a_part_of_the_query_names"
SOUNDNESS = "tests/queries/test_soundness.py"
PRECISION = "tests/matrix/test_precision.py"
KEYS = "tests/queries/test_keys_never_shared.py"

MUTANTS = [
    # What a clause is
    Mutant(
        rule="every clause counts",
        file="clauses.py",
        old="return any(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        new="return all(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        tests=PRECISION,
    ),
    Mutant(
        rule="a clause is touched when all of its groups are",
        file="clauses.py",
        old="return any(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        new="return any(any(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        tests=PRECISION,
    ),
    Mutant(
        rule="a group is touched when any of its tags is",
        file="clauses.py",
        old="return any(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        new="return any(all(all(map(has_moved, group)) for group in clause) for clause in self._positions)",
        tests=PRECISION,
    ),
    Mutant(
        rule="only what another clause implies is left out",
        file="clauses.py",
        old="        return any(all((tag.database, tag.table) in whole for tag in group) for group in clause)",
        new="        return bool(whole)",
        tests=CLAUSES,
    ),
    Mutant(
        rule="the epoch is part of every entry",
        file="queries/outlines.py",
        old="    yield frozenset({frozenset({place.epoch})})\n",
        new="",
        tests=CLAUSES,
    ),
    Mutant(
        rule="without an equality, any write counts",
        file="queries/outlines.py",
        old="    yield frozenset(groups or {frozenset({place.any})})",
        new="    yield frozenset(groups or {frozenset({place.epoch})})",
        tests=CLAUSES,
    ),
    Mutant(
        rule="each value of IN counts",
        file="queries/outlines.py",
        old="        frozenset(place.value((column,), (value,)) for value in values)",
        new="        frozenset(place.value((column,), (value,)) for value in values[:1])",
        tests=CLAUSES,
    ),
    Mutant(
        rule="each combination of values counts",
        file="queries/outlines.py",
        old="groups.add(frozenset(place.value(columns, values) for values in combinations))",
        new="groups.add(frozenset(place.value(columns, values) for values in combinations[:1]))",
        tests=CLAUSES,
    ),
    Mutant(
        rule="more values than the limit give no group",
        file="queries/outlines.py",
        old="        if len(given) > settings().limits.values:\n            continue",
        new="        given = given[: settings().limits.values]",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a value without a name gives no group",
        file="queries/outlines.py",
        old="        except Uncertain:\n            continue",
        new="        except Uncertain:\n            values = [None]",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a shape's outline is filled with each query's own values",
        file="queries/outlines.py",
        old="given = equality.values if equality.slot is None else free[equality.slot]",
        new="given = equality.values if equality.slot is None else free[0]",
        tests=CLAUSES,
    ),
    Mutant(
        rule="an outline with values of its own is one query's",
        file="queries/dependencies.py",
        old="            self.is_shared = self.is_shared and slot is not None\n",
        new="",
        tests="tests/test_clauses.py",
    ),
    # Which tables
    Mutant(
        rule="every alias is covered",
        file="queries/dependencies.py",
        old="            if not query.alias_refcount[alias]:\n                continue\n",
        new="            if not query.alias_refcount[alias] or isinstance(source, Join):\n                continue\n",
        tests=CLAUSES,
    ),
    Mutant(
        rule="nested queries are covered",
        file="queries/dependencies.py",
        old="        for inner in nested:\n",
        new="        for inner in ():\n",
        tests=f"{TABLES} {CLAUSES}",
    ),
    Mutant(
        rule="every member of a UNION is covered",
        file="queries/dependencies.py",
        old="for member in query.combined_queries]",
        new="for member in query.combined_queries[:1]]",
        tests=f"{TABLES} {CLAUSES}",
    ),
    Mutant(
        rule="columns asked of a UNION are asked of its members",
        file="queries/dependencies.py",
        old="    if selected is None or member.selected is not None:\n        return member",
        new="    return member",
        tests=f"{SOUNDNESS}::test_columns_asked_of_a_union_may_be_another_tables {TABLES}",
    ),
    Mutant(
        rule="what an aggregate is computed from is covered",
        file="queries/dependencies.py",
        old="        for node in _nodes([*self._roots(query), *also]):",
        new="        for node in _nodes(self._roots(query)):",
        tests=PRECISION,
    ),
    Mutant(
        rule="what annotations read is covered",
        file="queries/dependencies.py",
        old="            [expression for expression, _, _ in compiler.select or ()],\n"
        "            [expression for expression, _ in order_by],\n"
        "            list(query.annotation_select.values()),\n",
        new="            [expression for expression, _ in order_by],\n",
        tests=f"{TABLES} {CLAUSES}",
    ),
    Mutant(
        rule="the order counts",
        file="queries/dependencies.py",
        old="            [expression for expression, _ in order_by],\n",
        new="",
        tests=PRECISION,
    ),
    Mutant(
        rule="the conditions count",
        file="queries/dependencies.py",
        old="            query.where,\n            query.group_by,\n",
        new="            query.group_by,\n",
        tests=f"{CLAUSES} {TABLES}",
    ),
    Mutant(
        rule="what a relation adds to its join counts",
        file="queries/dependencies.py",
        old="            [_restriction(join) for join in joins],\n",
        new="",
        tests="tests/test_clauses.py",
    ),
    Mutant(
        rule="a relation that adds what is not in the query is not cached",
        file="queries/dependencies.py",
        old="            if _restricts_by_itself(source):",
        new="            if False:",
        tests="tests/regressions/test_django_suite.py",
    ),
    # Which groups
    Mutant(
        rule="NOT gives no group",
        file="queries/dependencies.py",
        old="if node.negated or node.connector not in (AND, OR):",
        new="if node.connector not in (AND, OR):",
        tests=CLAUSES,
    ),
    Mutant(
        rule="XOR gives no group",
        file="queries/dependencies.py",
        old="if node.negated or node.connector not in (AND, OR):",
        new="if node.negated:",
        tests=CLAUSES,
    ),
    Mutant(
        rule="the alternatives of OR are told apart",
        file="queries/dependencies.py",
        old="            if node.connector == OR:\n",
        new="            if False:\n",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a window under OR sees the rows of no alternative",
        file="queries/dependencies.py",
        old="            if node.connector == OR and node.contains_over_clause:",
        new="            if False:",
        tests=CLAUSES,
    ),
    Mutant(
        rule="more alternatives than the limit give no group",
        file="queries/dependencies.py",
        old="                return arms if 0 < len(arms) <= limit else [()]",
        new="                return arms[:limit]",
        tests=CLAUSES,
    ),
    Mutant(
        rule="an equality is its own alias's",
        file="queries/dependencies.py",
        old="                if equality.alias == alias\n                and equality",
        new="                if equality",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a missing row satisfies IS NULL",
        file="queries/dependencies.py",
        old="and not (outer_joined and None in equality.values)",
        new="",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a lookup of anyone's own may mean something of its own",
        file="queries/dependencies.py",
        old="if lookup.bilateral_transforms or type(lookup).__module__ not in LOOKUP_MODULES:",
        new="if lookup.bilateral_transforms:",
        tests="tests/test_clauses.py",
    ),
    # Groups of columns
    Mutant(
        rule="a column group lists every column that is named",
        file="queries/dependencies.py",
        old="frozenset({place.created, place.deleted, *map(place.column, named)})",
        new="frozenset({place.created, place.deleted})",
        tests=CLAUSES,
    ),
    Mutant(
        rule="a column group lists inserts and deletes",
        file="queries/dependencies.py",
        old="frozenset({place.created, place.deleted, *map(place.column, named)})",
        new="frozenset(map(place.column, named))",
        tests=CLAUSES,
    ),
    Mutant(
        rule="what is read of some columns survives the others",
        file="queries/outlines.py",
        old="    if source.columns is not None:\n        groups.add(source.columns)\n",
        new="",
        tests=CLAUSES,
    ),
    Mutant(
        rule="the columns of a join are named",
        file="queries/dependencies.py",
        old="        for left, right in node.join_cols:\n"
        "            yield str(node.parent_alias), left\n"
        "            yield str(node.table_alias), right\n        return",
        new="        return",
        tests=CLAUSES,
    ),
    Mutant(
        rule="the columns that a nested query names of those outside are named",
        file="queries/dependencies.py",
        old="                named.setdefault(alias, set()).update(columns)\n        if not query.combinator:",
        new="                pass\n        if not query.combinator:",
        tests=CLAUSES,
    ),
    Mutant(
        rule="DISTINCT ON names columns in the text alone",
        file="queries/dependencies.py",
        old="columns = set(facts.fields) if query.distinct_fields else named.get(alias, set())",
        new="columns = named.get(alias, set())",
        tests="tests/test_clauses.py",
        db="postgresql",
    ),
    # What is not cached
    Mutant(
        rule="volatile SQL is not cached",
        file="queries/dependencies.py",
        old='if part := volatile_part(sql, params, guesses_types=connections[using].vendor == "postgresql"):',
        new="if part := '':",
        tests="tests/queries/test_volatility.py tests/test_policies.py",
    ),
    Mutant(
        rule="raw SQL in a query is not cached",
        file="queries/dependencies.py",
        old="            elif isinstance(node, RawSQL | ExtraWhere):",
        new="            elif False:",
        tests=f"{KEYS}::test_raw_sql_and_extra_are_refused",
    ),
    Mutant(
        rule="extra() is not cached",
        file="queries/dependencies.py",
        old="not own.keys() >= {sql for sql, _ in query.extra.values()} or query.extra_tables or query.extra_order_by",
        new="False",
        tests=f"{KEYS}::test_raw_sql_and_extra_are_refused",
    ),
    Mutant(
        rule="select_for_update() is not cached",
        file="queries/plan.py",
        old="    if query.select_for_update:",
        new="    if False:",
        tests="tests/test_policies.py",
    ),
    Mutant(
        rule="what prepares a write is not cached",
        file="policies.py",
        old="    if queryset._for_write:",
        new="    if False:",
        tests="tests/test_policies.py",
    ),
]
