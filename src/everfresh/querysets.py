"""The queryset face: which reads are cached, and how each asks the read path.

The functions here take a queryset instead of being its methods, because every queryset gets them once the app is
installed (:mod:`everfresh.install`), whatever its class.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Manager, Model, QuerySet
from django.db.models.expressions import BaseExpression

from everfresh import codec
from everfresh.conf import ModelRule, seconds, settings
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Uncacheable, Unencodable
from everfresh.queries.plan import Plan, plan
from everfresh.queries.replay import Rows, query_rows, replay
from everfresh.reading import Answer, Body, Wanted, read
from everfresh.switches import is_disabled
from everfresh.typing import Operation

__all__ = [
    "CacheManager",
    "CacheQuerySet",
    "Explanation",
    "Policy",
    "cached_aggregate",
    "cached_count",
    "cached_exists",
    "cached_rows",
    "explain",
    "policy_of",
    "wanted_policy",
]

log = logging.getLogger("everfresh")

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_Q = TypeVar("_Q", bound=QuerySet[Any])
_M = TypeVar("_M", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What was said of caching one queryset; clones inherit it."""

    on: bool | None = None
    """``.cache()`` or ``.nocache()``; ``None``: neither, the manager and the settings decide."""

    timeout: float | None = None
    """Seconds."""

    has_timeout: bool = False
    """Was a timeout given, for which ``None`` means for ever?"""

    cache_get: bool | None = None
    """The manager's answer for ``get()``; ``None``: the settings'."""

    cache_all: bool | None = None
    """The manager's answer for everything; ``None``: the settings'."""

    operation: Operation | None = None
    """What the fetch under way is part of: ``get()`` fetches rows, but is asked for as a ``get``."""


_NOTHING_SAID = Policy()

inherited: ContextVar[Policy | None] = ContextVar("everfresh_inherited", default=None)
"""The policy of a cached queryset while its ``prefetch_related`` runs: the rows it brings along are cached as it is."""


def policy_of(queryset: QuerySet[Any]) -> Policy:
    """What was said of *queryset*, by whatever it was cloned from."""
    policy: Policy = queryset.__dict__.get("_everfresh", _NOTHING_SAID)
    return policy


def with_policy(queryset: _Q, **changes: Any) -> _Q:
    """A clone of *queryset* with another policy."""
    clone: _Q = queryset._chain()  # type: ignore[attr-defined]
    clone.__dict__["_everfresh"] = replace(policy_of(queryset), **changes)
    return clone


_UNSAID: Any = object()


def cache(queryset: _Q, *, timeout: float | timedelta | None = _UNSAID) -> _Q:
    """A queryset whose answers come from the cache, wherever in the chain this is called.

    Args:
        queryset: any.
        timeout: seconds or a timedelta that an answer may live at most, though no write touches it; ``None`` is
            for ever, 0 stores nothing. Left out: the model's or the project's ``TIMEOUT``.

    Source: cachebot's ``.cache()`` (CB-2).
    """
    if timeout is _UNSAID:
        return with_policy(queryset, on=True)
    return with_policy(queryset, on=True, timeout=seconds(timeout), has_timeout=True)


def nocache(queryset: _Q) -> _Q:
    """A queryset whose answers always come from the database, whatever the settings say."""
    return with_policy(queryset, on=False)


def wanted_policy(queryset: QuerySet[Any], operation: Operation) -> Policy | None:
    """The policy under which *operation* on *queryset* is to be cached, with its timeout; ``None``: it is not.

    What was said of the queryset itself wins, then its manager, then ``MODELS``, then ``CACHE_ALL`` and ``CACHE_GET``.
    """
    policy = policy_of(queryset)
    if policy.on is False or is_disabled():
        return None
    conf = settings()
    if not conf.enabled or queryset.query.is_empty() or queryset._for_write:  # type: ignore[attr-defined]
        # A read that prepares a write must see what that write will find.
        return None
    if queryset.model._meta.swapped or queryset.model._meta.abstract:
        return None
    rule = conf.rule(queryset.model._meta.label_lower)
    if rule is None:
        return None
    if policy.on is None:
        above = inherited.get()
        if above is not None:
            policy = replace(above, operation=policy.operation)
        elif not _switched_on(policy, policy.operation or operation, rule.operations):
            return None
    return _with_timeout(policy, rule)


def _with_timeout(policy: Policy, rule: ModelRule) -> Policy:
    if policy.has_timeout:
        return policy
    return replace(policy, timeout=settings().timeout if rule.timeout is None else rule.timeout)


def _switched_on(policy: Policy, operation: Operation, operations: frozenset[str]) -> bool:
    said = policy.cache_all
    if operation == "get" and policy.cache_get is not None:
        said = policy.cache_get
    if said is not None:
        return said
    conf = settings()
    return operation in operations or conf.cache_all or (operation == "get" and conf.cache_get)


# Reads


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
    planned = _planned(queryset, policy, "rows")
    if planned is None:
        iterable: Any = queryset._iterable_class
        return list(iterable(queryset))
    answers: list[Answer[Rows]] = []

    def rows() -> Rows:
        if not answers:
            answers.append(_answer(queryset, planned, _ROWS, lambda: query_rows(queryset)))
        return answers[0].value

    results = replay(queryset, rows, planned.shape)
    if answers and settings().from_cache:
        _tell_origin(results, answers[0].from_cache)
    return results


@_on_one_database
def cached_count(queryset: QuerySet[Any], policy: Policy, compute: Callable[[], int]) -> int:
    """``count()``."""
    planned = _planned(queryset, policy, "count")
    return compute() if planned is None else _answer(queryset, planned, _VALUE, compute).value


@_on_one_database
def cached_exists(queryset: QuerySet[Any], policy: Policy, compute: Callable[[], bool]) -> bool:
    """``exists()``."""
    planned = _planned(queryset, policy, "exists")
    return compute() if planned is None else _answer(queryset, planned, _VALUE, compute).value


@_on_one_database
def cached_aggregate(
    queryset: QuerySet[Any],
    policy: Policy,
    compute: Callable[[], dict[str, Any]],
    expressions: Mapping[str, BaseExpression],
) -> dict[str, Any]:
    """``aggregate()``."""
    planned = _planned(queryset, policy, "aggregate", expressions)
    return compute() if planned is None else _answer(queryset, planned, _VALUE, compute).value


def _planned(
    queryset: QuerySet[Any],
    policy: Policy,
    form: str,
    expressions: Mapping[str, BaseExpression] | None = None,
) -> Plan | None:
    """How the read path answers it, or ``None`` when the answer has to come from the database alone."""
    label = queryset.model._meta.label
    try:
        return plan(queryset.query, queryset.db, form, policy.timeout, expressions)
    except Uncacheable as refusal:
        emit(Read(Outcome.BYPASS, refusal.reason, label))
        return None
    except Exception as error:
        # The database may answer what we stumble over; if it cannot either, its own words say why.
        log.debug("Everfresh could not look at a query of %s.", label, exc_info=True)
        emit(Read(Outcome.BYPASS, f"{type(error).__name__} while looking at the query: {error}", label))
        return None


def _answer(queryset: QuerySet[Any], planned: Plan, body: Body[_T], compute: Callable[[], _T]) -> Answer[_T]:
    answer = read(planned.wanted, connections[queryset.db], compute, body)
    emit(Read(answer.outcome, answer.reason, queryset.model._meta.label))
    return answer


def _encode_rows(rows: Rows) -> bytes:
    if len(rows) > settings().limits.rows:
        raise Unencodable(f"{len(rows)} rows, more than the limit of {settings().limits.rows},")
    return codec.encode_rows(rows)


def _same_rows(cached: Rows, computed: Rows) -> bool:
    # In any order: the database may choose one, within what ORDER BY leaves open.
    return cached == computed or sorted(map(repr, cached)) == sorted(map(repr, computed))


_ROWS: Body[Rows] = Body(_encode_rows, codec.decode_rows, _same_rows)
_VALUE: Body[Any] = Body(codec.encode_value, codec.decode_value)


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
    """The entry's key; empty when it cannot be cached."""

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
    """How the rows of *queryset* are cached: key, clauses in words, tags, and why not where they are not."""
    policy = wanted_policy(queryset, "fetch")
    reason = "" if policy else "nothing asks for it: call .cache(), or switch it on in MODELS"
    rule = settings().rule(queryset.model._meta.label_lower)
    if rule is None:
        return Explanation(key="", reason=f"the settings exclude {queryset.model._meta.label}")
    policy = policy or _with_timeout(policy_of(queryset), rule)
    try:
        wanted = plan(queryset.query, queryset.db, "rows", policy.timeout).wanted
    except Uncacheable as refusal:
        return Explanation(key="", reason=refusal.reason)
    return _explanation(wanted, reason)


def _explanation(wanted: Wanted, reason: str) -> Explanation:
    return Explanation(
        key=wanted.key,
        clauses=tuple(wanted.clauses.words()),
        tags=tuple(sorted(map(str, wanted.clauses.tags))),
        timeout=wanted.timeout,
        reason=reason,
    )


# Typed classes, for code that wants more than monkeypatched methods


class CacheQuerySet(QuerySet[_M]):
    """A queryset whose caching methods type checkers know; every other queryset has them as well."""

    def cache(self, *, timeout: float | timedelta | None = _UNSAID) -> CacheQuerySet[_M]:
        """See `cache`."""
        return cache(self, timeout=timeout)

    def nocache(self) -> CacheQuerySet[_M]:
        """See `nocache`."""
        return nocache(self)

    def explain_cache(self) -> Explanation:
        """See `explain`."""
        return explain(self)


class CacheManager(Manager.from_queryset(CacheQuerySet)[_M]):  # type: ignore[misc]
    """A manager that says for all its querysets what is cached.

    Args:
        cache_get: is every ``get()`` cached? ``None``: the settings decide.
        cache_all: is every read cached? Includes ``get()``. ``None``: the settings decide.

    Source: cachebot's ``CacheBotManager`` (CB-1).
    """

    def __init__(self, *, cache_get: bool | None = None, cache_all: bool | None = None) -> None:
        super().__init__()
        self._cache_get = True if cache_all else cache_get
        self._cache_all = cache_all

    def get_queryset(self) -> CacheQuerySet[_M]:
        """The manager's querysets carry its answers."""
        queryset: CacheQuerySet[_M] = super().get_queryset()
        queryset.__dict__["_everfresh"] = Policy(cache_get=self._cache_get, cache_all=self._cache_all)
        return queryset
