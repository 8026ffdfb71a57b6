"""What was said of caching a queryset, and what follows: the switches, the manager, the rules of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, TypeVar

from django.db.models import Model, QuerySet

from everfresh.bounded import Bounded
from everfresh.conf import ModelRule, seconds, settings
from everfresh.queries.terms import PLAIN, ModelName, Terms, changes
from everfresh.queries.watching import EVERYTHING, Watch, check_fields
from everfresh.recording import current_recording
from everfresh.switches import is_disabled
from everfresh.typing import Operation

__all__ = [
    "NOTHING_SAID",
    "UNSAID",
    "Policy",
    "cache",
    "clean",
    "inherited",
    "nocache",
    "on_terms",
    "policy_for",
    "policy_of",
    "reset",
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

    grace: float | None = None
    """Seconds for which an old answer may be served while another reader asks the database; ``None``: never."""

    cache_get: bool | None = None
    """The manager's answer for ``get()``; ``None``: the settings'."""

    cache_all: bool | None = None
    """The manager's answer for everything; ``None``: the settings'."""

    rows: bool | None = None
    """Is each row an entry of its own, and a list one of pointers? ``None``: the settings decide."""

    near: bool | None = None
    """Is a copy of the answer kept in each process? ``None``: the settings decide."""

    watch: Watch = EVERYTHING
    """Which conditions of the query count."""

    terms: Terms = PLAIN
    """A name, the changes that it minds, and what else it depends on."""

    action: Literal["clean", "reset"] | None = None
    """What evaluating it does to its entry, where that is not reading it."""

    operation: Operation | None = None
    """What the fetch under way is part of: ``get()`` fetches rows, but is asked for as a ``get``."""


NOTHING_SAID = Policy()

inherited: ContextVar[Policy | None] = ContextVar("everfresh_inherited", default=None)
"""The policy of a cached queryset while its ``prefetch_related`` runs: the rows it brings along are cached as it is."""


def policy_of(queryset: QuerySet[Any]) -> Policy:
    """What was said of *queryset*, by whatever it was cloned from."""
    policy: Policy = queryset.__dict__.get("_everfresh", NOTHING_SAID)
    return policy


def with_policy(queryset: _Q, **said: Any) -> _Q:
    """A clone of *queryset* with another policy."""
    clone: _Q = queryset._chain()  # type: ignore[attr-defined]
    clone.__dict__["_everfresh"] = replace(policy_of(queryset), **said)
    return clone


UNSAID: Any = object()


def cache(
    queryset: _Q,
    *fields: str,
    timeout: float | timedelta | None = UNSAID,
    grace: float | timedelta | None = UNSAID,
    rows: bool | None = None,
    near: bool | None = None,
    key: str | None = None,
    key_prefix: str | None = None,
    expire_on: Iterable[str] | None = None,
    depends_on: Iterable[ModelName] | None = None,
) -> _Q:
    """A queryset whose answers come from the cache, wherever in the chain this is called.

    Args:
        queryset: any.
        fields: paths as in ``filter()``, such as ``"user"`` or ``"message__sender"``. Of the equalities on their
            tables only those on these fields count, and the rows that they lead to count too. Left out: the whole
            condition counts, whatever an earlier call said.
        timeout: seconds or a timedelta that an answer may live at most, though no write touches it; ``None`` is
            for ever, 0 stores nothing. Left out: the model's or the project's ``TIMEOUT``.
        grace: seconds or a timedelta: for so long after its timeout, or after a write was found to have ended it, the
            old answer may be served while another reader asks the database. **It is not what the database would say
            now.** ``None``: never. Such an answer is stored whole, whatever *rows* says.
        rows: is each row an entry of its own, and the list one of pointers to them? Left out: what was said before
            or the manager or ``MODELS`` say.
        near: is a copy of the answer kept in each process that reads it, for as long as the store tells of no change?
            Left out: what was said before or the manager, ``MODELS`` or ``NEAR`` say.
        key: a name of the answer, so that one query can be cached twice, with two timeouts or two ``expire_on``. It is
            added to what names the query, so two queries of one name have two answers.
        key_prefix: a name that many answers share.
        expire_on: which changes of the model's own rows end the answer: any of ``"create"``, ``"update"`` and
            ``"delete"``. Left out: all three. **With fewer, the answer is no longer what the database would say now.**
        depends_on: models, or labels such as ``"app.Model"``, of which any write ends the answer, though the query
            reads nothing of them.

    What is left out of ``grace``, ``rows``, ``near``, ``key``, ``key_prefix``, ``expire_on`` and ``depends_on`` stays as
    an earlier call or the manager said.

    Raises:
        FieldError: for a path that leads to no field.
        ValueError: for another word in *expire_on*.

    Source: cachebot's ``.cache()`` (CB-2, CB-4), ormcache's (OC-5, OC-8, OC-9, OC-15, OC-16, OC-18).
    """
    check_fields(queryset.model, fields)
    policy = policy_of(queryset)
    said: dict[str, Any] = {"on": True, "action": None, "watch": replace(policy.watch, fields=fields)}
    if timeout is not UNSAID:
        said |= {"timeout": seconds(timeout), "has_timeout": True}
    if grace is not UNSAID:
        said["grace"] = seconds(grace)
    if rows is not None:
        said["rows"] = rows
    if near is not None:
        said["near"] = near
    terms = on_terms(policy.terms, key=key, key_prefix=key_prefix, expire_on=expire_on, depends_on=depends_on)
    return with_policy(queryset, terms=terms, **said)


def on_terms(
    terms: Terms,
    *,
    key: str | None = None,
    key_prefix: str | None = None,
    expire_on: Iterable[str] | None = None,
    depends_on: Iterable[ModelName] | None = None,
) -> Terms:
    """*terms*, with what is given in place of what they say."""
    return Terms(
        prefix=terms.prefix if key_prefix is None else key_prefix,
        name=terms.name if key is None else key,
        expire_on=terms.expire_on if expire_on is None else changes(expire_on),
        depends_on=terms.depends_on if depends_on is None else tuple(depends_on),
    )


def nocache(queryset: _Q) -> _Q:
    """A queryset whose answers always come from the database, whatever the settings say."""
    return with_policy(queryset, on=False, action=None)


def clean(queryset: _Q) -> _Q:
    """A queryset whose evaluation forgets the stored answer, asks the database nothing, and finds nothing.

    It has no results, its ``count()`` is 0, and its ``get()`` gives ``None``. Other querysets of the same query ask the
    database next time. ``.cache()`` further down the chain takes it back.

    Source: ormcache's ``clean()`` (OC-14).
    """
    return with_policy(queryset, on=True, action="clean")


def reset(queryset: _Q) -> _Q:
    """A queryset whose evaluation asks the database, and stores the answer in place of an older one.

    ``.cache()`` further down the chain takes it back.

    Source: ormcache's ``reset()`` (OC-14).
    """
    return with_policy(queryset, on=True, action="reset")


def wanted_policy(queryset: QuerySet[Any], operation: Operation) -> Policy | None:
    """The policy under which *operation* on *queryset* is to be cached, with its timeout; ``None``: it is not.

    What was said of the queryset itself wins, then its manager, then ``MODELS``, then ``CACHE_ALL`` and ``CACHE_GET``.
    """
    policy = policy_of(queryset)
    if policy.action == "clean":
        # Also while the cache is off: code must not find rows where it found none before.
        return with_rule(policy, settings().rule(queryset.model._meta.label_lower) or ModelRule())
    if queryset._for_write:  # type: ignore[attr-defined]
        # A read that prepares a write must see what that write will find.
        return None
    found = policy_for(queryset.model, policy, operation)
    return None if found is None or queryset.query.is_empty() else found


def policy_for(model: type[Model], policy: Policy, operation: Operation) -> Policy | None:
    """As `wanted_policy`, of what is read of *model*, where *policy* is all that was said of it."""
    conf = settings()
    if policy.on is False or is_disabled() or not conf.enabled:
        return None
    meta = model._meta
    if meta.abstract or (meta.swappable and meta.swapped):
        return None
    rule = conf.rule(meta.label_lower)
    if rule is None:
        return None
    if policy.on is None:
        above = inherited.get()
        if above is not None:
            # Its fields are paths from another model, its terms are about that model's rows.
            watch = replace(above.watch, fields=())
            policy = replace(above, operation=policy.operation, watch=watch, terms=PLAIN)
        elif current_recording() is None and not _switched_on(policy, policy.operation or operation, rule.operations):
            # While somebody records what is read, every read goes the way that knows what it depends on.
            return None
    return with_rule(policy, rule)


def with_rule(policy: Policy, rule: ModelRule) -> Policy:
    """*policy*, with what was not said of the queryset taken from its model's rule and the settings."""
    place = id(policy), id(rule)
    known = _with_rules.get(place)
    # By identity, which is the same for as long as both are held here: most querysets carry their manager's policy.
    if known is None or known[0] is not policy or known[1] is not rule:
        known = _with_rules[place] = policy, rule, _with_rule(policy, rule)
    return known[2]


_with_rules: Bounded[tuple[int, int], tuple[Policy, ModelRule, Policy]] = Bounded(1_024)


def _with_rule(policy: Policy, rule: ModelRule) -> Policy:
    said: dict[str, Any] = {}
    if not policy.has_timeout:
        said["timeout"] = settings().timeout if rule.timeout is None else rule.timeout
    if policy.rows is None and rule.rows:
        said["rows"] = True
    if policy.near is None:
        said["near"] = settings().near if rule.near is None else rule.near
    return replace(policy, **said) if said else policy


def _switched_on(policy: Policy, operation: Operation, operations: frozenset[str]) -> bool:
    said = policy.cache_all
    if operation == "get" and policy.cache_get is not None:
        said = policy.cache_get
    if said is not None:
        return said
    conf = settings()
    return operation in operations or conf.cache_all or (operation == "get" and conf.cache_get)
