"""From a query to the entry that would hold its answer: its key and its clauses, remembered per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.signals import setting_changed
from django.db.models.expressions import BaseExpression, Value
from django.db.models.sql import Query

from everfresh.clauses import Clauses
from everfresh.conf import settings
from everfresh.exceptions import Uncacheable
from everfresh.queries.dependencies import derive
from everfresh.queries.fingerprint import fingerprint
from everfresh.reading import Wanted
from everfresh.tables import logical_database, may_lag, point_of_view

__all__ = ["plan"]

_REMEMBERED = 4_096
"""Queries whose clauses one process keeps at hand; a query not among them is compiled once more."""


@dataclass(frozen=True, slots=True)
class _Refused:
    reason: str


_memory: dict[str, Clauses | _Refused] = {}


def plan(
    query: Query,
    using: str,
    form: str,
    timeout: float | None,
    aggregates: Mapping[str, BaseExpression] | None = None,
) -> Wanted:
    """The entry for the answer of *query*.

    Args:
        query: is not changed.
        using: a database alias.
        form: what is made of the rows: a name for each shape that is stored differently.
        timeout: seconds; ``None`` is for ever.
        aggregates: unresolved expressions by name, for the form "aggregate".

    Raises:
        Uncacheable: with the reason.
    """
    _refuse_modes(query, using)
    identity = fingerprint(query, form, logical_database(using), point_of_view(using), dict(aggregates or {}))
    clauses = _memory.get(identity)
    if clauses is None:
        clauses = _derived(query, using, form, aggregates or {})
        if len(_memory) >= _REMEMBERED:
            _memory.pop(next(iter(_memory)), None)
        _memory[identity] = clauses
    if isinstance(clauses, _Refused):
        raise Uncacheable(clauses.reason)
    prefix = settings().prefix()
    return Wanted(
        key=f"{prefix}:q:{identity}{clauses.digest}",
        clauses=clauses,
        names=tuple([f"{prefix}:t:{name}" for name in clauses.names]),
        timeout=timeout,
    )


def _refuse_modes(query: Query, using: str) -> None:
    if may_lag(using):
        raise Uncacheable(f"the database {using!r} may be a replica, which lags behind what was written")
    if query.select_for_update:
        raise Uncacheable("select_for_update() locks rows in the database")
    if query.explain_info:
        raise Uncacheable("explain() asks the database about itself")


def _derived(query: Query, using: str, form: str, aggregates: Mapping[str, BaseExpression]) -> Clauses | _Refused:
    try:
        asked, resolved = _FORMS.get(form, _rows)(query, aggregates)
        return derive(asked, using, resolved)
    except Uncacheable as refusal:
        return _Refused(refusal.reason)
    except Exception as error:
        # A query that makes no sense: running it says so in Django's own words. Not remembered, for it may be the
        # connection's failure.
        raise Uncacheable(f"Django cannot compile it: {error!r}") from error


Asked = tuple[Query, list[BaseExpression]]
"""The query whose rows are read, on a clone, and what is computed from them."""


def _rows(query: Query, _aggregates: Mapping[str, BaseExpression]) -> Asked:
    return _own(query), []


def _exists(query: Query, _aggregates: Mapping[str, BaseExpression]) -> Asked:
    return _own(query).exists(), []


def _own(query: Query) -> Query:
    """A clone that shares nothing which compiling changes: Django's own clones share ``selected``."""
    own: Any = query.clone()
    if getattr(own, "selected", None) is not None:
        own.selected = dict(own.selected)
    own.combined_queries = tuple(_own(member) for member in own.combined_queries)
    return own  # type: ignore[no-any-return]


def _aggregate(query: Query, aggregates: Mapping[str, BaseExpression]) -> Asked:
    asked: Any = _own(query)
    asked.select_related = False
    for name, expression in aggregates.items():
        # As Django does it: one aggregate may refer to another by its name.
        asked.append_annotation_mask([name])
        resolved: Any = expression.resolve_expression(asked, allow_joins=True, reuse=None, summarize=True)
        asked.annotations[name] = resolved
    computed: list[BaseExpression] = [asked.annotations.pop(name) for name in aggregates]
    asked.set_annotation_mask(query.annotation_select_mask)
    if not asked.is_sliced:
        asked.clear_ordering(force=True)
    if not (asked.distinct or asked.is_sliced or asked.combinator or asked.group_by is not None):
        # Rows are counted or summed, not returned: the columns nobody names do not matter.
        asked.default_cols = False
        asked.select = ()
        asked.selected = None
        asked.add_annotation(Value(1), "everfresh_row")
    return asked, computed


_FORMS: Mapping[str, Callable[[Query, Mapping[str, BaseExpression]], Asked]] = {
    "exists": _exists,
    "count": _aggregate,
    "aggregate": _aggregate,
}


def _forget(**_: object) -> None:
    _memory.clear()


setting_changed.connect(_forget, dispatch_uid="everfresh.queries.plan")
