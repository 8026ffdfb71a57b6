"""The queryset face: which reads are cached, and how each asks the read path.

The functions here take a queryset instead of being its methods, because every queryset gets them once the app is
installed (:mod:`everfresh.install`), whatever its class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.expressions import BaseExpression

from everfresh.clauses import Clauses
from everfresh.conf import settings
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Uncacheable
from everfresh.peeking import NotHeld, is_peeking, once
from everfresh.policies import Policy, policy_of, wanted_policy, with_rule
from everfresh.queries.bodies import ROWS, VALUE
from everfresh.queries.plan import Plan, plan
from everfresh.queries.replay import Rows, query_rows, replay
from everfresh.reading import Answer, Body, Wanted, drop, read
from everfresh.rows import Pointing

__all__ = [
    "Explanation",
    "cached_aggregate",
    "cached_count",
    "cached_exists",
    "cached_rows",
    "execute",
    "explain",
]

log = logging.getLogger("everfresh")

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_Q = TypeVar("_Q", bound=QuerySet[Any])


def _on_one_database(read_it: _F) -> _F:
    """Ask the router once for all of a read, as Django does: asked again, it may choose another database."""

    @wraps(read_it)
    def read_on_one(queryset: Any, *args: Any, **kwargs: Any) -> Any:
        if queryset._db is not None:
            return read_it(queryset, *args, **kwargs)
        queryset._db = queryset.db
        try:
            return read_it(queryset, *args, **kwargs)
        finally:
            queryset._db = None

    return read_on_one  # type: ignore[return-value]


@_on_one_database
def cached_rows(queryset: QuerySet[Any], policy: Policy) -> list[Any]:
    """The results of *queryset*, as its ``_fetch_all`` would have found them."""
    if policy.rows and policy.grace is None and (pointing := _pointing(queryset, policy)) is not None:
        if policy.action == "clean":
            drop(pointing.wanted(), connections[queryset.db])
            return []
        pointed = pointing.instances(fresh=policy.action == "reset")
        emit(Read(pointed.outcome, pointed.reason, queryset.model._meta.label))
        if settings().from_cache:
            _tell_origin(pointed.value, pointed.from_cache)
        return pointed.value
    planned = _planned(queryset, policy, "rows")
    if policy.action == "clean":
        _drop(queryset, planned)
        return []
    if planned is None:
        iterable: Any = queryset._iterable_class
        return list(iterable(queryset))
    answers: list[Answer[Rows]] = []

    def rows() -> Rows:
        if not answers:
            answers.append(_answer(queryset, policy, planned, ROWS, lambda: query_rows(queryset)))
        return answers[0].value

    results = replay(queryset, rows, planned.shape)
    if answers and settings().from_cache:
        _tell_origin(results, answers[0].from_cache)
    return results


@_on_one_database
def cached_count(queryset: QuerySet[Any], policy: Policy, compute: Callable[[], int]) -> int:
    """``count()``."""
    return _value(queryset, policy, "count", compute, 0)


@_on_one_database
def cached_exists(queryset: QuerySet[Any], policy: Policy, compute: Callable[[], bool]) -> bool:
    """``exists()``."""
    return _value(queryset, policy, "exists", compute, False)


@_on_one_database
def cached_aggregate(
    queryset: QuerySet[Any],
    policy: Policy,
    compute: Callable[[], dict[str, Any]],
    expressions: Mapping[str, BaseExpression],
) -> dict[str, Any]:
    """``aggregate()``."""
    return _value(queryset, policy, "aggregate", compute, dict.fromkeys(expressions), expressions)


def _value(
    queryset: QuerySet[Any],
    policy: Policy,
    form: str,
    compute: Callable[[], _T],
    nothing: _T,
    expressions: Mapping[str, BaseExpression] | None = None,
) -> _T:
    planned = _planned(queryset, policy, form, expressions)
    if policy.action == "clean":
        _drop(queryset, planned)
        return nothing
    return compute() if planned is None else _answer(queryset, policy, planned, VALUE, compute).value


def execute(queryset: _Q) -> _Q:
    """Ask for the results of *queryset* now, and give it back.

    Source: ormcache's ``execute()`` (OC-14).
    """
    len(queryset)
    return queryset


def _planned(
    queryset: QuerySet[Any],
    policy: Policy,
    form: str,
    expressions: Mapping[str, BaseExpression] | None = None,
) -> Plan | None:
    """How the read path answers it, or ``None`` when the answer has to come from the database alone."""
    label = queryset.model._meta.label
    try:
        if expressions is None:
            return once(queryset, f"{form} {queryset.db}", lambda: _plan(queryset, policy, form))
        return _plan(queryset, policy, form, expressions)
    except Uncacheable as refusal:
        _refuse_to_wait()
        emit(Read(Outcome.BYPASS, refusal.reason, label))
        return None
    except Exception as error:
        _refuse_to_wait()
        # The database may answer what we stumble over; if it cannot either, its own words say why.
        log.debug("Everfresh could not look at a query of %s.", label, exc_info=True)
        emit(Read(Outcome.BYPASS, f"{type(error).__name__} while looking at the query: {error}", label))
        return None


def _refuse_to_wait() -> None:
    if is_peeking():
        raise NotHeld


def _plan(
    queryset: QuerySet[Any], policy: Policy, form: str, expressions: Mapping[str, BaseExpression] | None = None
) -> Plan:
    return plan(
        queryset.query,
        queryset.db,
        form,
        policy.timeout,
        expressions,
        policy.watch,
        policy.terms,
        policy.grace,
        near=bool(policy.near),
    )


def _pointing(queryset: QuerySet[Any], policy: Policy) -> Pointing | None:
    """How it is put together from rows, or ``None`` when it has an entry like any other, or none at all."""

    def find() -> Pointing:
        return Pointing.of(queryset, policy.timeout, policy.watch, policy.terms, near=bool(policy.near))

    try:
        return once(queryset, f"pointing {queryset.db}", find)
    except Uncacheable:
        return None
    except Exception:
        log.debug("Everfresh could not look at the rows of %s.", queryset.model._meta.label, exc_info=True)
        return None


def _drop(queryset: QuerySet[Any], planned: Plan | None) -> None:
    if planned is not None:
        drop([planned.wanted], connections[queryset.db])


def _answer(
    queryset: QuerySet[Any], policy: Policy, planned: Plan, body: Body[_T], compute: Callable[[], _T]
) -> Answer[_T]:
    answer = read(planned.wanted, connections[queryset.db], compute, body, fresh=policy.action == "reset")
    emit(Read(answer.outcome, answer.reason, queryset.model._meta.label))
    return answer


def _tell_origin(results: list[Any], from_cache: bool) -> None:
    for result in results:
        if isinstance(result, Model):
            result.from_cache = from_cache  # type: ignore[attr-defined]
        elif isinstance(result, dict):
            result["from_cache"] = from_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What ``explain_cache()`` tells of a queryset."""

    key: str
    """The entry's key, or those of several rows; empty when it cannot be cached."""

    clauses: tuple[str, ...] = ()
    """In which ways a write makes the answer stale, in words: all groups in braces of one line must be touched."""

    tags: tuple[str, ...] = ()
    """Every tag the answer depends on, in words."""

    timeout: float | None = None
    """Seconds; ``None`` is for ever."""

    reason: str = ""
    """Why it is not cached; empty when it is."""

    def __str__(self) -> str:
        if self.reason and not self.key:
            return f"not cacheable: {self.reason}"
        lines = [f"key      {self.key}"]
        lines += [f"stale    {'or ' if at else 'when '}{words}" for at, words in enumerate(self.clauses)]
        lines += [f"tags     {', '.join(self.tags)}"]
        lines += [f"timeout  {'for ever' if self.timeout is None else f'{self.timeout:g} s'}"]
        if self.reason:
            lines += [f"but      {self.reason}"]
        return "\n".join(lines)


def explain(queryset: QuerySet[Any]) -> Explanation:
    """How the rows of *queryset* are cached: key, clauses in words, tags, and why not where they are not.

    Of a list that points to rows, it tells of the list; of rows asked for by their keys, of all of these.
    """
    policy = wanted_policy(queryset, "fetch")
    reason = "" if policy else "nothing asks for it: call .cache(), or switch it on in MODELS"
    rule = settings().rule(queryset.model._meta.label_lower)
    if rule is None:
        return Explanation(key="", reason=f"the settings exclude {queryset.model._meta.label}")
    policy = policy or with_rule(policy_of(queryset), rule)
    pointing = _pointing(queryset, policy) if policy.rows and policy.grace is None else None
    try:
        wanted = pointing.wanted() if pointing else [_plan(queryset, policy, "rows").wanted]
    except Uncacheable as refusal:
        return Explanation(key="", reason=refusal.reason)
    return _explanation(wanted, reason)


def _explanation(wanted: Sequence[Wanted], reason: str) -> Explanation:
    clauses = Clauses(clause for each in wanted for clause in each.clauses.clauses)
    return Explanation(
        key=" ".join(each.key for each in wanted),
        clauses=tuple(clauses.words()),
        tags=tuple(sorted(map(str, clauses.tags))),
        timeout=wanted[0].timeout,
        reason=reason,
    )
