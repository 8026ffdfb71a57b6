"""From a query to the entry that would hold its answer: its key and its clauses, remembered per process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.core.signals import setting_changed
from django.db.models.expressions import BaseExpression, Value
from django.db.models.sql import Query

from everfresh.bounded import Bounded
from everfresh.clauses import Clauses
from everfresh.databases import logical_database, may_lag, point_of_view
from everfresh.exceptions import Uncacheable
from everfresh.naming import entry_key, tag_names
from everfresh.queries.dependencies import derive
from everfresh.queries.fingerprint import Fingerprint, fingerprint
from everfresh.queries.outlines import Outline
from everfresh.queries.replay import detached
from everfresh.queries.terms import PLAIN, Terms
from everfresh.queries.volatility import is_relative
from everfresh.queries.watching import EVERYTHING, Watch
from everfresh.reading import Wanted

__all__ = ["Plan", "plan"]

_REMEMBERED = 4_096
"""Queries whose clauses one process keeps at hand; a query not among them is compiled once more."""


@dataclass(frozen=True, slots=True)
class _Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is answered from the cache."""

    wanted: Wanted
    shape: str
    """What the query has in common with all that differ from it in free values only."""


_memory = Bounded[str, Clauses | _Refused](_REMEMBERED)
"""By identity."""

_outlines = Bounded[str, Outline](_REMEMBERED)
"""By shape."""


def plan(
    query: Query,
    using: str,
    form: str,
    timeout: float | None,
    aggregates: Mapping[str, BaseExpression] | None = None,
    watch: Watch = EVERYTHING,
    terms: Terms = PLAIN,
    grace: float | None = None,
    *,
    near: bool = False,
) -> Plan:
    """The entry for the answer of *query*.

    Args:
        query: is not changed.
        using: a database alias.
        form: what is made of the rows: a name for each shape that is stored differently.
        timeout: seconds; ``None`` is for ever.
        aggregates: unresolved expressions by name, for the form "aggregate".
        watch: which of its conditions count.
        terms: what else was said of the answer.
        grace: seconds for which it may be served when it is old; ``None``: never.
        near: may this process keep a copy of the answer?

    Raises:
        Uncacheable: with the reason.
    """
    _refuse_modes(query, using)
    view = logical_database(using), point_of_view(using)
    found = fingerprint(query, form, *view, dict(aggregates or {}), *watch.extra(), *terms.extra())
    clauses = _memory.get(found.identity)
    if clauses is None:
        clauses = _clauses(found, query, using, form, aggregates or {}, watch)
        if isinstance(clauses, Clauses):
            clauses = terms.applied(clauses, query.get_meta().model, using)
        _memory[found.identity] = clauses
    if isinstance(clauses, _Refused):
        raise Uncacheable(clauses.reason)
    wanted = Wanted(
        # What may be served when it is old tells its end, which others would not understand.
        key=entry_key("q" if grace is None else "g", f"{found.identity}{clauses.digest}"),
        clauses=clauses,
        names=tag_names(clauses.names),
        timeout=timeout,
        grace=grace,
        near=near,
        is_exact=terms.is_exact,
    )
    return Plan(wanted, found.shape)


def _refuse_modes(query: Query, using: str) -> None:
    if may_lag(using):
        raise Uncacheable(f"the database {using!r} may be a replica, which lags behind what was written")
    if query.select_for_update:
        raise Uncacheable("select_for_update() locks rows in the database")
    if query.explain_info:
        raise Uncacheable("explain() asks the database about itself")


def _clauses(
    found: Fingerprint,
    query: Query,
    using: str,
    form: str,
    aggregates: Mapping[str, BaseExpression],
    watch: Watch,
) -> Clauses | _Refused:
    outline = _outlines.get(found.shape)
    if outline is None or any(map(is_relative, chain.from_iterable(found.free))):
        try:
            asked, resolved = _FORMS.get(form, _rows)(query, aggregates)
            outline = derive(asked, using, resolved, found.slots, watch)
        except Uncacheable as refusal:
            # Of this query alone: another one of its shape may have rows, or no text that means a time.
            return _Refused(refusal.reason)
        except Exception as error:
            # A query that makes no sense: running it says so in Django's own words. Not remembered, for it may be
            # the connection's failure.
            raise Uncacheable(f"Django cannot compile it: {error!r}") from error
        if outline.is_shared:
            _outlines[found.shape] = outline
    return outline.clauses(found.free)


Asked = tuple[Query, list[BaseExpression]]
"""The query whose rows are read, on a clone, and what is computed from them."""


def _rows(query: Query, _aggregates: Mapping[str, BaseExpression]) -> Asked:
    return detached(query), []


def _exists(query: Query, _aggregates: Mapping[str, BaseExpression]) -> Asked:
    return detached(query).exists(), []


def _aggregate(query: Query, aggregates: Mapping[str, BaseExpression]) -> Asked:
    asked: Any = detached(query)
    asked.select_related = False
    for name, expression in aggregates.items():
        # As Django does it: one aggregate may refer to another by its name.
        asked.append_annotation_mask([name])
        resolved: Any = expression.resolve_expression(asked, allow_joins=True, reuse=None, summarize=True)
        asked.annotations[name] = resolved
    computed: list[BaseExpression] = [asked.annotations.pop(name) for name in aggregates]
    asked.set_annotation_mask(query.annotation_select_mask)
    if not (asked.is_sliced or isinstance(asked.group_by, tuple)):
        # Else the ordering decides which rows there are: Django 6.1 also groups by it, and joins what it names.
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
    _outlines.clear()


setting_changed.connect(_forget, dispatch_uid="everfresh.queries.plan")
