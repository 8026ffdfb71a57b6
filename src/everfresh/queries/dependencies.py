"""From a query to the outline of its clauses: every way in which a write can change the answer.

Deriving must be sound: a write that can change the answer moves a tag in every group of some clause. So everything
here starts from "any write to the table" and narrows only where DESIGN section 3 allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models import Field, ForeignObjectRel, Model
from django.db.models.expressions import BaseExpression, Col, RawSQL
from django.db.models.lookups import Exact, In, IsNull, Lookup
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.where import AND, OR, ExtraWhere, WhereNode

from everfresh.clauses import Group
from everfresh.conf import settings
from everfresh.exceptions import Uncacheable
from everfresh.queries.outlines import LOOKUP_MODULES, Equality, Outline, Source, free_values
from everfresh.queries.volatility import volatile_part
from everfresh.queries.watching import EVERYTHING, Watch, Watched, rows_pointed_to
from everfresh.tables import Facts, describe, table

__all__ = ["derive"]

Columns = dict[str, set[str]]
"""Names of columns by alias."""

Arm = tuple[Equality, ...]
"""Equalities that all hold for the rows of one OR-ed alternative."""


def derive(
    query: Query, using: str, also: Sequence[BaseExpression], slots: Mapping[int, int], watch: Watch = EVERYTHING
) -> Outline:
    """The outline of the clauses of the answer of *query* on the database *using*.

    Args:
        query: a clone that nobody else holds: compiling it adds the joins that only SQL needs.
        using: a database alias.
        also: expressions resolved against *query* that are computed from its rows.
        slots: of each lookup with free values, by its id, which of the shape's they are.
        watch: which of the conditions count.

    Raises:
        Uncacheable: where no clauses would be sound, or there is nothing to cache.
    """
    compiler = query.get_compiler(using)
    try:
        texts = [compiler.as_sql(), *(compiler.compile(expression) for expression in also)]
    except EmptyResultSet:
        raise Uncacheable("it is always empty, and asks the database nothing") from None
    for sql, params in texts:
        if part := volatile_part(sql, params, guesses_types=connections[using].vendor == "postgresql"):
            raise Uncacheable(f"{part} gives another answer each time")
    return _Derivation(using, slots, Watched.of(query, watch)).outline(query, also)


class _Derivation:
    """One pass over a compiled query and all queries inside it."""

    def __init__(self, using: str, slots: Mapping[int, int], watched: Watched) -> None:
        self.using = using
        self.watched = watched
        self.vendor = connections[using].vendor
        self.slots = slots
        self.sources: list[Source] = []
        self.is_shared = True
        # By id, and held, so that no other query gets that id meanwhile.
        self.seen: dict[int, tuple[Query, Columns]] = {}

    def outline(self, query: Query, also: Sequence[BaseExpression]) -> Outline:
        self._visit(query, also)
        return Outline(tuple(self.sources), self.is_shared, self.watched.watch.any_of)

    def _visit(self, query: Query, also: Sequence[BaseExpression] = ()) -> Columns:
        """Add the clauses of *query* and of those inside; give the columns that these name of aliases outside."""
        if id(query) in self.seen:
            return self.seen[id(query)][1]
        own = self._prefetched_columns(query)
        if not own.keys() >= {sql for sql, _ in query.extra.values()} or query.extra_tables or query.extra_order_by:
            raise Uncacheable("extra() holds SQL whose tables are not known")
        named: Columns = {}
        nested: list[Query] = []
        for node in _nodes([*self._roots(query), *also]):
            if isinstance(node, Query):
                nested.append(node)
            elif isinstance(node, RawSQL) and node.sql in own:
                alias, column = own[node.sql]
                named.setdefault(alias, set()).add(column)
            elif isinstance(node, RawSQL | ExtraWhere):
                raise Uncacheable("it holds raw SQL whose tables are not known")
            else:
                for alias, column in _columns_of(node):
                    named.setdefault(alias, set()).add(column)
        for inner in nested:
            for alias, columns in self._visit(inner).items():
                named.setdefault(alias, set()).update(columns)
        if not query.combinator:
            self._add(query, named)
        outside = {alias: columns for alias, columns in named.items() if alias not in query.alias_map}
        self.seen[id(query)] = query, outside
        return outside

    def _prefetched_columns(self, query: Query) -> dict[str, tuple[str, str]]:
        """The columns of a join table, by their SQL, that Django selects by ``extra()`` to prefetch a many-to-many."""
        if not any(name.startswith("_prefetch_related_val_") for name in query.extra):
            return {}
        quoted = connections[self.using].ops.quote_name
        return {
            f"{quoted(alias)}.{quoted(column)}": (alias, column)
            for alias, source in query.alias_map.items()
            if (facts := describe(source.table_name, self.vendor)) is not None
            for column in facts.fields
        }

    def _roots(self, query: Query) -> list[object]:
        """Everything whose SQL is part of the query's: also what only compiling it brings to light."""
        if query.combinator:
            return [_as_member(member, query.selected) for member in query.combined_queries]
        compiler = query.get_compiler(self.using)
        try:
            _, order_by, _ = compiler.pre_sql_setup()
        except (EmptyResultSet, FullResultSet):
            raise Uncacheable("a part of it is always empty") from None
        joins = [join for alias, join in query.alias_map.items() if query.alias_refcount[alias]]
        return [
            [expression for expression, _, _ in compiler.select or ()],
            [expression for expression, _ in order_by],
            list(query.annotation_select.values()),
            query.where,
            query.group_by,
            joins,
            [_restriction(join) for join in joins],
        ]

    def _add(self, query: Query, named: dict[str, set[str]]) -> None:
        arms = self._arms(query.where, frozenset(query.alias_map))
        for alias, source in query.alias_map.items():
            if not query.alias_refcount[alias]:
                continue
            if not isinstance(source, BaseTable | Join):
                raise Uncacheable(f"it reads {alias!r}, which is no table")
            if _restricts_by_itself(source):
                raise Uncacheable(f"the relation to {source.table_name!r} adds conditions of its own to the join")
            facts = describe(source.table_name, self.vendor)
            if facts is None:
                raise Uncacheable(f"it reads the table {source.table_name!r}, which no installed model describes")
            if facts.excluded:
                raise Uncacheable(f"it reads the table {source.table_name!r}, which the settings exclude")
            outer_joined = isinstance(source, Join) and source.join_type == LOUTER
            # DISTINCT ON names its columns only in the text.
            columns = set(facts.fields) if query.distinct_fields else named.get(alias, set())
            # The fields are named from the root: what a nested query calls by the same alias is another thing.
            self._add_alias(
                facts, alias, columns, arms, outer_joined, self.watched if query is self.watched.query else None
            )

    def _add_alias(
        self,
        facts: Facts,
        alias: str,
        named: set[str],
        arms: list[Arm],
        outer_joined: bool,
        watched: Watched | None,
    ) -> None:
        place = table(self.using, facts.name)
        columns: Group | None = None
        if not named.issuperset(facts.fields):
            columns = frozenset({place.created, place.deleted, *map(place.column, named)})
        for arm in arms:
            equalities = tuple(
                equality
                for equality in arm
                # A missing row of an outer join satisfies IS NULL too, and a missing row has no tags.
                if equality.alias == alias
                and equality.column in facts.comparable
                and not (outer_joined and None in equality.values)
            )
            if watched is not None:
                equalities = watched.kept(alias, facts, equalities)
                for equality in filter(watched.leads_on, equalities):
                    self._add_rows_pointed_to(facts.fields[equality.column], equality)
            self.sources.append(Source(place, facts, columns, equalities))

    def _add_rows_pointed_to(self, key: Field[Any, Any], equality: Equality) -> None:
        """Watch the rows that a foreign key leads to, though the query itself does not read them."""
        for target in rows_pointed_to(key):
            facts = describe(target.model._meta.db_table, self.vendor)
            if facts is not None and not facts.excluded and target.column is not None:
                pointed = Equality(equality.alias, target.column, equality.values, equality.slot)
                self.sources.append(Source(table(self.using, facts.name), facts, None, (pointed,)))

    # The arms of a WHERE

    def _arms(self, where: WhereNode, aliases: frozenset[str]) -> list[Arm]:
        """The alternatives of *where*, each with the equalities that hold in it; one without any past the limit."""
        arms = self._expand(where, aliases)
        return arms if len(arms) <= settings().limits.arms else [()]

    def _expand(self, node: object, aliases: frozenset[str]) -> list[Arm]:
        if isinstance(node, WhereNode):
            if node.negated or node.connector not in (AND, OR):
                return [()]
            if node.connector == OR and node.contains_over_clause:
                # All of it is applied after the window has seen every row, those of no alternative too.
                return [()]
            alternatives = [self._expand(child, aliases) for child in node.children]
            limit = settings().limits.arms
            if node.connector == OR:
                arms = [arm for alternative in alternatives for arm in alternative]
                return arms if 0 < len(arms) <= limit else [()]
            arms = [()]
            for alternative in alternatives:
                if len(arms) * len(alternative) <= limit:
                    # Past the limit an alternative is left out: an arm that claims less is still sound.
                    arms = [left + right for left in arms for right in alternative]
            return arms
        if isinstance(node, Lookup):
            return [tuple(self._equalities(node, aliases))]
        return [()]

    def _equalities(self, lookup: Lookup[Any], aliases: frozenset[str]) -> Iterator[Equality]:
        lhs, rhs = lookup.lhs, lookup.rhs
        if lookup.bilateral_transforms or type(lookup).__module__ not in LOOKUP_MODULES:
            return
        targets = getattr(lhs, "targets", None)
        if targets is not None and type(lookup).__name__ == "TupleExact" and isinstance(rhs, tuple | list):
            if lhs.alias in aliases and len(rhs) == len(targets):
                for target, value in zip(targets, rhs, strict=True):
                    yield Equality(lhs.alias, target.column, (value,))
            return
        if type(lhs) is not Col or lhs.alias not in aliases or lhs.target.column is None:
            return
        column = lhs.target.column
        if (free := free_values(lookup)) is not None:
            slot = self.slots.get(id(lookup))
            # A copy, made after the walk: its values are this query's alone.
            self.is_shared = self.is_shared and slot is not None
            yield Equality(lhs.alias, column, free if slot is None else (), slot)
        elif isinstance(lookup, Exact):
            if rhs is not None and not hasattr(rhs, "resolve_expression"):
                yield Equality(lhs.alias, column, (rhs,))
        elif isinstance(lookup, In):
            direct = isinstance(rhs, list | tuple | set | frozenset)
            values = tuple(value for value in rhs if value is not None) if direct else ()
            if values and not any(hasattr(value, "resolve_expression") for value in values):
                yield Equality(lhs.alias, column, values)
        elif isinstance(lookup, IsNull) and rhs is True:
            yield Equality(lhs.alias, column, (None,))


def _as_member(member: Query, selected: Any) -> Query:
    """*member* of a UNION, with the columns that values() after the UNION asks of all members, as the compiler does."""
    if selected is None or member.selected is not None:
        return member
    clone: Any = member.clone()
    clone.set_values(selected)
    asked: Query = clone
    return asked


def _restricts_by_itself(join: BaseTable | Join) -> bool:
    """Does a relation of somebody's own class decide a part of the join's ON as it is compiled, by who knows what?"""
    field = getattr(join, "join_field", None)
    methods = [
        getattr(type(each), "get_extra_restriction", None)
        for each in (field, getattr(field, "field", None), getattr(field, "remote_field", None))
    ]
    return any(method is not None and not method.__module__.startswith("django.") for method in methods)


def _restriction(join: BaseTable | Join) -> object:
    """What a relation adds to its join's ON besides the columns, as a generic relation's content type."""
    field = getattr(join, "join_field", None)
    if field is None or not hasattr(field, "get_extra_restriction"):
        return None
    return field.get_extra_restriction(join.table_alias, join.parent_alias)


def _columns_of(node: object) -> Iterator[tuple[str, str]]:
    """``(alias, column)`` of every column that *node* itself names in SQL."""
    if isinstance(node, Join):
        for left, right in node.join_cols:
            yield str(node.parent_alias), left
            yield str(node.table_alias), right
        return
    alias = getattr(node, "alias", None)
    if not isinstance(alias, str):
        return
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    for target in targets:
        if isinstance(target, Field) and target.column is not None:
            yield alias, target.column


_LEAVES = (type, Field, ForeignObjectRel, FunctionType, Model, ModuleType)


def _nodes(root: object) -> Iterator[object]:
    """Every object that takes part in the SQL of *root*, depth first. Queries are given, not entered."""
    waiting: list[object] = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | tuple | set | frozenset):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, Query):
            yield node
        elif hasattr(node, "__dict__") and not isinstance(node, _LEAVES) and id(node) not in seen:
            seen.add(id(node))
            yield node
            # _constructor_args holds what the expression was made of, before it was resolved against the query.
            waiting.extend(value for name, value in vars(node).items() if name != "_constructor_args")
