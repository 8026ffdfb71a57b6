"""Direct keys: from the arguments of ``get()`` to the entry of a row, without building the query.

Where one row is asked for by the value of one unique column, and nothing else is said, the row's own entry has the
answer. The query is built only when the database has to be asked, and is then the one that Django asks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.signals import setting_changed
from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Manager, Model, QuerySet, query
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.manager import BaseManager
from django.db.models.query import MAX_GET_RESULTS
from django.db.models.sql import Query

from everfresh.bounded import Bounded
from everfresh.conf import settings
from everfresh.events import Read, emit
from everfresh.exceptions import Uncacheable
from everfresh.policies import NOTHING_SAID, Policy, policy_for, wanted_policy
from everfresh.queries.bodies import ROWS
from everfresh.queries.families import Family, family_of
from everfresh.queries.hydration import RowHydrator, may_be_made
from everfresh.queries.replay import Rows, query_rows
from everfresh.queries.terms import PLAIN
from everfresh.queries.watching import EVERYTHING
from everfresh.reading import Wanted, drop, read
from everfresh.tables import table_of

__all__ = ["direct_entry", "get", "get_by_manager", "get_related"]

log = logging.getLogger("everfresh")

_by_manager = BaseManager.get_queryset
_by_descriptor = ForwardManyToOneDescriptor.get_queryset
"""Django's own. Other libraries put theirs in the place of these, which has to be asked then."""


@dataclass(eq=False, slots=True)
class _Road:
    """The way from the values of one unique field to the entries of rows, on one connection."""

    family: Family
    kind: type
    """The exact class of values that are their own names."""

    hydrator: RowHydrator

    def wanted(self, value: object, policy: Policy) -> Wanted | None:
        """The entry; ``None`` where *value* has to be looked at more closely."""
        if type(value) is not self.kind:
            return None
        try:
            return self.family.named(self.family.name(value), policy.timeout, near=bool(policy.near))
        except Uncacheable:
            return None


def get(queryset: QuerySet[Any], policy: Policy, name: str, value: object) -> Model | None:
    """The instance that ``queryset.get(**{name: value})`` gives, or ``None`` where there is no direct key.

    Raises:
        DoesNotExist: as Django does.
        MultipleObjectsReturned: as Django does.
    """
    if not _is_untouched(queryset):
        return None
    made: Any = queryset
    using = made.db

    def asked() -> QuerySet[Any]:
        return queryset.using(using).filter(**{name: value})

    return _instance(queryset.model, using, policy, name, value, getattr(made, "_fetch_mode", None), asked)


def get_by_manager(manager: Any, own: type, said: Policy, name: str, value: object) -> Model | None:
    """The instance that ``manager.get(**{name: value})`` gives, or ``None`` where there is no direct key.

    Args:
        manager: any.
        own: the class whose ``get()`` asks, and whose ``get_queryset()`` adds nothing but *said*.
        said: what it says of caching.
        name: of a field, as in ``get()``.
        value: of the field.

    Raises:
        DoesNotExist: as Django does.
        MultipleObjectsReturned: as Django does.
    """
    model, kind = manager.model, manager._queryset_class
    if model is None or not _is_bare(manager.__class__, own) or "get_queryset" in vars(manager):
        return None
    if BaseManager.get_queryset is not _by_manager or kind.get is not queryset_get or _attributes(kind, model) is None:
        return None
    policy = policy_for(model, said, "get")
    if policy is None:
        return None
    # As its queryset asks, whatever a manager's own "db" says.
    using = manager._db or router.db_for_read(model, **manager._hints)

    def asked() -> QuerySet[Any]:
        rows: QuerySet[Any] = manager.get_queryset().using(using)
        return rows.filter(**{name: value})

    # Not before Django 6.1.
    fetch_mode = getattr(query, "DEFAULT_FETCH_MODE", None)
    return _instance(model, using, policy, name, value, fetch_mode, asked)


def get_related(descriptor: Any, instance: Model) -> Model | None:
    """The row that a foreign key of *instance* leads to, or ``None`` where there is no direct key.

    Args:
        descriptor: of the foreign key.
        instance: whose relation is not loaded.

    Raises:
        DoesNotExist: as Django does.
    """
    field = descriptor.field
    if type(field) not in (models.ForeignKey, models.OneToOneField):
        return None
    if type(descriptor).get_queryset is not _by_descriptor or BaseManager.get_queryset is not _by_manager:
        return None
    model = field.remote_field.model
    manager = model._base_manager
    if type(manager) is not Manager or "get_queryset" in vars(manager) or QuerySet.get is not queryset_get:
        return None
    policy = policy_for(model, NOTHING_SAID, "get")
    if policy is None:
        return None
    using = router.db_for_read(model, instance=instance)
    [(own, target)] = field.related_fields
    value = getattr(instance, own.attname)

    def asked() -> QuerySet[Any]:
        rows: QuerySet[Any] = descriptor.get_queryset(instance=instance).using(using)
        related = field.get_reverse_related_filter(instance)
        return rows.filter(**related) if isinstance(related, dict) else rows.filter(related)

    return _instance(model, using, policy, target.attname, value, getattr(instance._state, "fetch_mode", None), asked)


def direct_entry(queryset: QuerySet[Any], name: str, value: object) -> Wanted | None:
    """The entry that ``queryset.get(**{name: value})`` reads, or ``None`` where there is no direct key."""
    policy = wanted_policy(queryset, "get")
    if policy is None or not _is_plain(policy) or not may_be_made(queryset.model) or not _is_untouched(queryset):
        return None
    road = _road(queryset.model, name, connections[queryset.db])
    return None if road is None else road.wanted(value, policy)


def _is_plain(policy: Policy) -> bool:
    return policy.grace is None and policy.watch == EVERYTHING and policy.terms == PLAIN


def _instance(
    model: type[Any],
    using: str,
    policy: Policy,
    name: str,
    value: object,
    fetch_mode: Any,
    asked: Callable[[], QuerySet[Any]],
) -> Model | None:
    if not _is_plain(policy) or not may_be_made(model):
        return None
    connection = connections[using]
    road = _road(model, name, connection)
    wanted = None if road is None else road.wanted(value, policy)
    if road is None or wanted is None:
        return None
    if policy.action == "clean":
        drop([wanted], connection)
        return None

    def compute() -> Rows:
        # As get() asks: in no order, and for no more rows than it takes to see that there are too many.
        rows: Any = asked().order_by()
        rows.query.set_limits(high=MAX_GET_RESULTS)
        return query_rows(rows)

    answer = read(wanted, connection, compute, ROWS, fresh=policy.action == "reset")
    emit(Read(answer.outcome, answer.reason, model._meta.label))
    if not answer.value:
        raise model.DoesNotExist(f"{model._meta.object_name} matching query does not exist.")
    if len(answer.value) > 1:
        raise model.MultipleObjectsReturned(
            f"get() returned more than one {model._meta.object_name} -- it returned "
            f"{len(answer.value) if len(answer.value) < MAX_GET_RESULTS else f'more than {MAX_GET_RESULTS - 1}'}!"
        )
    [made] = road.hydrator.instances(model, answer.value, using, fetch_mode)
    if settings().from_cache:
        made.from_cache = answer.from_cache  # type: ignore[attr-defined]
    return made


# Roads


def _road(model: type[Model], name: str, connection: BaseDatabaseWrapper) -> _Road | None:
    # On the connection, whose converters the hydrator uses, and which one thread uses at a time.
    own = connection.__dict__
    place = model, name, connection.settings_dict["NAME"], os.getpid(), _generation
    roads: Bounded[Any, tuple[_Road | None]] | None = own.get("_everfresh_roads")
    if roads is None:
        roads = own["_everfresh_roads"] = Bounded(_REMEMBERED)
    found = roads.get(place)
    if found is None:
        try:
            found = roads[place] = (_new_road(model, name, connection),)
        except Exception:
            # Not remembered, for it may be the connection's failure, of which the database's own words tell.
            log.debug("Everfresh could not look at %r of %s.", name, model._meta.label, exc_info=True)
            return None
    return found[0]


def _new_road(model: type[Model], name: str, connection: BaseDatabaseWrapper) -> _Road | None:
    field = _unique_field(model, name)
    facts = None if field is None else table_of(field.model, connection.vendor)
    if field is None or facts is None or len(model._meta.pk_fields) > 1:
        return None
    # Values of other classes take the way of all queries, which looks at them more closely.
    kind = facts.exact.get(field.column or "")
    if kind is None:
        return None
    try:
        family = family_of(model, connection.alias, field)
    except Uncacheable:
        return None
    hydrator = RowHydrator.of(family.compiler())
    return None if hydrator is None else _Road(family, kind, hydrator)


_REMEMBERED = 1_024
_generation = 0


def _forget(**_: object) -> None:
    global _generation
    _generation += 1
    _attributes.cache_clear()


setting_changed.connect(_forget, dispatch_uid="everfresh.direct")


def _unique_field(model: type[Model], name: str) -> Field[Any, Any] | None:
    """The unique field that *name* stands for in ``get()``."""
    if name == "pk":
        return model._meta.pk
    name, follows, beyond = name.partition(LOOKUP_SEP)
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    if not getattr(field, "concrete", False) or not field.unique:
        return None
    if follows and not (field.is_relation and field.target_field.name == beyond):
        return None
    return field  # type: ignore[no-any-return]


# Managers and querysets that say nothing

queryset_get: Callable[..., Any] | None = None
"""The ``get()`` of every queryset, once it is installed. Another one may do anything, and has to be asked."""


@lru_cache(maxsize=_REMEMBERED)
def _is_bare(kind: type[Any], own: type) -> bool:
    """Does nobody come between the ``get()`` of *own*, in managers of *kind*, and a queryset of all rows?"""
    lineage = kind.__mro__
    beyond = lineage[lineage.index(own) + 1 :]
    return all(each in (own, BaseManager) for each in lineage if "get_queryset" in vars(each)) and all(
        issubclass(Manager, each) for each in beyond if "get" in vars(each)
    )


_OWN_BUSINESS = frozenset(
    """__annotations__ __annotate_func__ __doc__ __firstlineno__ __module__ __orig_bases__ __parameters__
    __static_attributes__ aaggregate aggregate as_manager cache clean execute explain_cache nocache reset
    abulk_create abulk_update acreate adelete aget_or_create aupdate aupdate_or_create bulk_create bulk_update create
    delete get get_or_create update update_or_create""".split()
)
"""What a queryset class may define anew without changing what ``get()`` does once it has come to Django's own."""


@lru_cache(maxsize=_REMEMBERED)
def _attributes(kind: type[QuerySet[Any]], model: type[Any]) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Those of a queryset of *kind* that was just made, and of its query, new and cloned.

    ``None`` if the class may read in a way of its own.

    A class that changes anything on the way from ``get()`` to the rows has its reasons: it filters, or fetches
    otherwise.
    """
    above = kind.__mro__[: kind.__mro__.index(QuerySet)]
    if any((vars(each).keys() & vars(QuerySet).keys()) - _OWN_BUSINESS for each in above):
        return None
    ways = ("__getattr__", "__getattribute__", "__new__", "__setattr__")
    if any(name in vars(each) for each in above for name in ways):
        return None
    fresh: Any = kind(model)
    held = {name: value for name, value in vars(fresh).items() if name not in ("_db", "_hints", "_query")}
    return held, [vars(fresh.query), vars(fresh.query.chain())]


def _is_untouched(queryset: Any) -> bool:
    """Is it a queryset of all rows, as its manager made it, of which nothing is said but where to read and how?"""
    kind: Any = type(queryset)
    known = _attributes(kind, queryset.model)
    if known is None:
        return False
    held, query = vars(queryset), queryset._query
    expected = known[0].copy()
    for name in ("_db", "_hints", "_query", "_everfresh", "_fetch_mode"):
        if name in held:
            expected[name] = held[name]
    # Whole: what a later Django adds counts as something said.
    return expected == held and type(query) is Query and vars(query) in known[1]
