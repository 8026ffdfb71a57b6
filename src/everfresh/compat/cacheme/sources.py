"""What ``invalid_models`` and ``invalid_m2m_models`` listen to: rows that say by what keys they are known.

Their keys are invalidated with the COMMIT that changes them, whatever wrote them. Where the rows are not known, as
after raw SQL, everything is invalidated that listens to the model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations
from typing import Any, cast
from weakref import WeakKeyDictionary

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import ForeignKey, Model
from django.db.models.signals import m2m_changed, post_delete

from everfresh.conf import settings
from everfresh.nodes import flat_tags
from everfresh.policies import nocache
from everfresh.recording import recording
from everfresh.signals import rows_writing
from everfresh.tables import Uncertain, canonical
from everfresh.writing.invalidation import invalidate_tags

__all__ = ["listen_to_m2m", "listen_to_model", "whole"]

logger = logging.getLogger("cacheme")

_models: dict[type[Model], None] = {}
_throughs: dict[type[Model], None] = {}

_deleted: WeakKeyDictionary[BaseDatabaseWrapper, set[tuple[type[Model], object]]] = WeakKeyDictionary()
"""Rows whose keys were told when they were deleted, by connection: they cannot be read any more."""


def whole(model: type[Model]) -> str:
    """The tag of everything that listens to *model*."""
    return f"model:{model._meta.label}"


def listen_to_model(model: type[Model]) -> None:
    """Have the ``cache_key`` of rows of *model* invalidated when they change (CE-15).

    Raises:
        TypeError: when it has none.
    """
    if not hasattr(model, "cache_key"):
        raise TypeError(
            f"invalid_models has {model._meta.label}, which has no cache_key: an attribute or a property that gives a "
            f"key, or a list of keys."
        )
    _models[model] = None
    post_delete.connect(_row_deleted, sender=model, dispatch_uid="everfresh.compat.cacheme")
    rows_writing.connect(_rows_writing, dispatch_uid="everfresh.compat.cacheme")


def listen_to_m2m(through: type[Model]) -> None:
    """Have the ``m2m_cache_keys`` of *through* invalidated when rows come to belong together, or cease to (CE-16).

    Raises:
        TypeError: when it has none.
    """
    if not hasattr(through, "m2m_cache_keys"):
        raise TypeError(
            f"invalid_m2m_models has {through._meta.label}, which has no m2m_cache_keys: a dict of functions by the "
            f"names of the models, each of which takes the keys of the rows of the other one."
        )
    _throughs[through] = None
    m2m_changed.connect(_m2m_changed, sender=through, dispatch_uid="everfresh.compat.cacheme")
    post_delete.connect(_row_deleted, sender=through, dispatch_uid="everfresh.compat.cacheme")
    rows_writing.connect(_rows_writing, dispatch_uid="everfresh.compat.cacheme")


# Rows


def _rows_writing(using: str, tables: Mapping[str, set[object] | None], **_: Any) -> list[str]:
    told = _deleted.pop(connections[using], set())
    # What is read here is nothing that anybody's function reads.
    with recording():
        return [
            key
            for model in [*_models, *(each for each in _throughs if not each._meta.auto_created)]
            for key in _keys_of_table(model, using, tables, {pk for each, pk in told if each is model})
        ]


def _keys_of_table(
    model: type[Model], using: str, tables: Mapping[str, set[object] | None], told: set[object]
) -> Iterable[str]:
    written = [
        tables[each._meta.db_table] for each in (model, *model._meta.all_parents) if each._meta.db_table in tables
    ]
    if not written:
        return ()
    if None in written:
        return (whole(model),)
    # Those that a deletion was told of, too: it may have been rolled back.
    pks = set[object]().union(*cast("list[set[object]]", written))
    if len(pks) > settings().limits.written_rows:
        return (whole(model),)
    rows = list(nocache(model._base_manager.using(using).filter(pk__in=pks)))
    here = {_pk(row) for row in rows}
    if (tables.get(model._meta.db_table) or set()) - told - here:
        # Gone, and no signal has told of them.
        return (whole(model),)
    return [key for row in rows for key in _keys_of_row(row)]


def _row_deleted(sender: type[Model], instance: Model, using: str, **_: Any) -> None:
    # Inside the transaction of delete(): Django opens one where anybody listens.
    invalidate_tags(*_keys_of_row(instance), using=using)
    _deleted.setdefault(connections[using], set()).add((sender, _pk(instance)))


def _pk(row: Model) -> object:
    try:
        return canonical(row._meta.pk, row.pk)
    except Uncertain:
        return row.pk


def _keys_of_row(row: Model) -> tuple[str, ...]:
    """The keys by which *row* is known; an error in the project's code is logged, and is no error of the write."""
    model = type(row)
    try:
        given = _keys_of_pair(row) if model in _throughs else row.cache_key  # type: ignore[attr-defined]
        return flat_tags(given, by=f"cache_key of {model._meta.label}")[0]
    except Exception:
        logger.exception("The keys of %s %r are not known: all that listens to it is invalidated.", model, row.pk)
        return (whole(model),)


# Pairs


def _keys_of_pair(row: Model) -> list[object]:
    """Those of both sides of a row between two models."""
    keys: list[object] = []
    for near, far in permutations(_foreign_keys(type(row)), 2):
        keys += _keys(type(row), near.related_model, [getattr(row, far.attname)])
    return keys


def _m2m_changed(
    sender: type[Model], instance: Model, action: str, model: type[Model], pk_set: set[Any] | None, using: str, **_: Any
) -> None:
    # Django sends it inside a transaction. What is cleared is known before that only.
    if action == "pre_clear":
        pks = set(_linked(sender, instance, using))
    elif action.startswith("post_") and pk_set:
        pks = pk_set
    else:
        return
    try:
        keys = [*_keys(sender, type(instance), pks), *_keys(sender, model, [instance.pk])]
        tags, _clauses = flat_tags(keys, by=f"m2m_cache_keys of {sender._meta.label}")
    except Exception:
        logger.exception("The keys of %s are not known: all that listens to it is invalidated.", sender)
        tags = (whole(sender),)
    invalidate_tags(*tags, using=using)


def _linked(through: type[Model], instance: Model, using: str) -> Iterator[object]:
    for near, far in permutations(_foreign_keys(through), 2):
        target: Any = near.related_model
        if isinstance(instance, target._meta.concrete_model):
            rows = through._base_manager.using(using).filter(**{near.name: instance})
            with recording():
                yield from nocache(rows).values_list(far.attname, flat=True)


def _foreign_keys(through: type[Model]) -> list[ForeignKey[Any, Any]]:
    """The two that make it a model between two others."""
    return [field for field in through._meta.local_concrete_fields if isinstance(field, ForeignKey)][:2]


def _keys(through: type[Model], model: Any, pks: Iterable[object]) -> Iterable[object]:
    """What the function of *model*, or of a class that it inherits from, says of rows of the other side."""
    functions = through.m2m_cache_keys  # type: ignore[attr-defined]
    for each in model.__mro__:
        if each.__name__ in functions:
            keys: Iterable[object] = functions[each.__name__](pks)
            return keys
    raise KeyError(model.__name__)
