"""What was said of caching a queryset, and what follows: the switches, the manager, the rules of the settings."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import QuerySet

from everfresh.conf import ModelRule, seconds, settings
from everfresh.queries.watching import EVERYTHING, Watch, check_fields
from everfresh.recording import current_recording
from everfresh.switches import is_disabled
from everfresh.typing import Operation

__all__ = [
    "UNSAID",
    "Policy",
    "cache",
    "inherited",
    "nocache",
    "policy_of",
    "wanted_policy",
    "with_policy",
    "with_rule",
]

_Q = TypeVar("_Q", bound=QuerySet[Any])


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

    rows: bool | None = None
    """Is each row an entry of its own, and a list one of pointers? ``None``: the settings decide."""

    watch: Watch = EVERYTHING
    """Which conditions of the query count."""

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


UNSAID: Any = object()


def cache(queryset: _Q, *fields: str, timeout: float | timedelta | None = UNSAID, rows: bool | None = None) -> _Q:
    """A queryset whose answers come from the cache, wherever in the chain this is called.

    Args:
        queryset: any.
        fields: paths as in ``filter()``, such as ``"user"`` or ``"message__sender"``. Of the equalities on their
            tables only those on these fields count, and the rows that they lead to count too. Left out: the whole
            condition counts, whatever an earlier call said.
        timeout: seconds or a timedelta that an answer may live at most, though no write touches it; ``None`` is
            for ever, 0 stores nothing. Left out: the model's or the project's ``TIMEOUT``.
        rows: is each row an entry of its own, and the list one of pointers to them? Left out: what was said before
            or the manager or ``MODELS`` say.

    Raises:
        FieldError: for a path that leads to no field.

    Source: cachebot's ``.cache()`` (CB-2, CB-4), ormcache's row keys (OC-8, OC-9).
    """
    check_fields(queryset.model, fields)
    changes: dict[str, Any] = {"on": True, "watch": replace(policy_of(queryset).watch, fields=fields)}
    if timeout is not UNSAID:
        changes |= {"timeout": seconds(timeout), "has_timeout": True}
    if rows is not None:
        changes["rows"] = rows
    return with_policy(queryset, **changes)


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
            # Its fields are paths from another model.
            policy = replace(above, operation=policy.operation, watch=replace(above.watch, fields=()))
        elif current_recording() is None and not _switched_on(policy, policy.operation or operation, rule.operations):
            # While somebody records what is read, every read goes the way that knows what it depends on.
            return None
    return with_rule(policy, rule)


def with_rule(policy: Policy, rule: ModelRule) -> Policy:
    """*policy*, with what was not said of the queryset taken from its model's rule and the settings."""
    changes: dict[str, Any] = {}
    if not policy.has_timeout:
        changes["timeout"] = settings().timeout if rule.timeout is None else rule.timeout
    if policy.rows is None and rule.rows:
        changes["rows"] = True
    return replace(policy, **changes) if changes else policy


def _switched_on(policy: Policy, operation: Operation, operations: frozenset[str]) -> bool:
    said = policy.cache_all
    if operation == "get" and policy.cache_get is not None:
        said = policy.cache_get
    if said is not None:
        return said
    conf = settings()
    return operation in operations or conf.cache_all or (operation == "get" and conf.cache_get)
