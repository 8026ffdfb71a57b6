"""Refreshing by Django's Tasks: nobody who asks waits for it.

What goes into the queue names the rows among the arguments instead of holding them: by the time a worker comes to it,
they may have changed. Needs Django 6.0.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from importlib import import_module
from inspect import getattr_static
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, task

from everfresh import codec
from everfresh.conf import settings
from everfresh.exceptions import Unencodable
from everfresh.functions.calls import Arguments
from everfresh.recording import recording

__all__ = ["enqueue", "find", "refresh"]

log = logging.getLogger("everfresh")


def enqueue(path: str, given: Arguments, lease: bytes) -> bool:
    """Have a worker compute anew what the memoized function at *path* gives for these arguments. Was that possible?

    Args:
        path: as `refresh` takes it.
        given: the arguments.
        lease: on the result, which the worker gives back.
    """
    secret, alias = django_settings.SECRET_KEY if settings().pickle else None, settings().refresh_tasks
    try:
        payload = codec.pack_any(_packed([*given, lease]), path, secret)
    except Unencodable as error:
        log.debug("%s is refreshed here, and by no task: it was called with %s.", path, error)
        return False
    try:
        # What the backend reads and writes to take it, or to do it at once, is nothing to what is computed around us.
        with recording():
            refresh.using(backend=alias).enqueue(path, b64encode(payload).decode("ascii"))
    except Exception:
        log.exception("%s is refreshed here: the task backend %r did not take it.", path, alias)
        return False
    return True


@task(backend=settings().refresh_tasks or DEFAULT_TASK_BACKEND_ALIAS)
def refresh(path: str, payload: str) -> None:
    """The task: compute and store a result anew.

    Args:
        path: of the memoized function, as ``package.module:Class.method``.
        payload: its arguments and the lease, packed, signed where they are pickled, in Base64.

    Raises:
        LookupError: when this process has no such function, or cannot read the payload.
    """
    face = find(path)
    if not hasattr(face, "recompute"):
        raise LookupError(f"There is no memoized function {path} in this process.")
    given = codec.unpack_any(b64decode(payload), path, _secrets())
    if not given:
        raise LookupError(f"The arguments for {path} cannot be read: they were packed under another SECRET_KEY.")
    try:
        # Without a lease it was enqueued by a process of before a deploy.
        args, kwargs, lease = (*_unpacked(given), None)[:3]
    except ObjectDoesNotExist:
        log.debug("%s is not refreshed: a row among its arguments is gone.", path)
        return
    face.recompute((tuple(args), kwargs), lease)


def find(path: str) -> Any:
    """What is at *path*, ``None`` where nothing is."""
    module, _, qualname = path.partition(":")
    found: Any = import_module(module)
    for name in qualname.split("."):
        # As it stands there: a class would hand it out bound.
        found = getattr_static(found, name, None)
    return getattr(found, "__func__", found) if isinstance(found, classmethod | staticmethod) else found


def _secrets() -> list[str]:
    return [str(key) for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]


def _packed(value: Any) -> Any:
    kind = type(value)
    if issubclass(kind, Model):
        if value._state.adding:
            raise Unencodable(f"an unsaved {value._meta.label}")
        return "row", value._meta.label, value._state.db or DEFAULT_DB_ALIAS, value.pk
    if issubclass(kind, QuerySet | BaseManager):
        raise Unencodable(f"a queryset of {value.model._meta.label}")
    if kind in (list, tuple):
        return kind.__name__, *map(_packed, value)
    if kind is dict:
        return "dict", *((_packed(key), _packed(item)) for key, item in value.items())
    return "value", value


def _unpacked(packed: Any) -> Any:
    kind, *items = packed
    match kind:
        case "row":
            label, alias, key = items
            return apps.get_model(label)._base_manager.using(alias).get(pk=key)
        case "list" | "tuple":
            unpacked = map(_unpacked, items)
            return list(unpacked) if kind == "list" else tuple(unpacked)
        case "dict":
            return {_unpacked(key): _unpacked(item) for key, item in items}
        case _:
            return items[0]
