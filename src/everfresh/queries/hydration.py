"""Instances from rows the short way, where nobody could tell it from Django's own.

``Model.from_db`` calls the class, which sends two signals and sets each attribute by its descriptor. Where no signal
has a receiver and every attribute ends up in the instance's ``__dict__`` all the same, it is put there at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from json import JSONDecoder
from typing import Any
from weakref import ref

from django.db.models import JSONField, Model
from django.db.models.base import ModelBase, ModelState
from django.db.models.expressions import Col
from django.db.models.fields.files import FileDescriptor
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init
from django.db.models.sql.compiler import SQLCompiler

__all__ = ["Hydrator", "RowHydrator", "hydrating", "may_be_made"]

_init = Model.__init__
_from_db = Model.from_db.__func__  # type: ignore[attr-defined]

_PLAIN_ATTRIBUTES = frozenset({DeferredAttribute, FileDescriptor, ForeignKeyDeferredAttribute})
"""Those that keep what they are given in the ``__dict__``, under the attribute's name, and do nothing else about it."""


class Hydrator:
    """A model, but for its ``from_db``."""

    __slots__ = ("_other",)

    def __init__(self, model: type[Model]) -> None:
        self._other = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)

    def from_db(self, db: str, field_names: Iterable[str], values: Iterable[Any], *, fetch_mode: Any = None) -> Model:
        """As ``Model.from_db``; *field_names* are those of *values*, in their order."""
        return _made(self._other, db, field_names, values, fetch_mode)


class RowHydrator:
    """From rows that are a model's columns and nothing else to its instances."""

    def __init__(self, compiler: SQLCompiler) -> None:
        made: Any = compiler
        columns = [column for column, _, _ in made.select]
        self._names = [column.target.attname for column in columns]
        self._connection = made.connection
        self._converters = [
            (at, _quick(convert, expression), expression)
            for at, (converters, expression) in made.get_converters(columns).items()
            for convert in converters
        ]

    @classmethod
    def of(cls, compiler: SQLCompiler) -> RowHydrator | None:
        """Of the rows of a compiler that is set up, ``None`` where there is more in them; made once for each."""
        made: Any = compiler
        if "_everfresh_hydrator" not in made.__dict__:
            made.__dict__["_everfresh_hydrator"] = cls(compiler) if _selects_a_model(compiler) else None
        found: RowHydrator | None = made.__dict__["_everfresh_hydrator"]
        return found

    def instances(self, model: type[Model], rows: Iterable[Sequence[Any]], db: str, fetch_mode: Any) -> list[Model]:
        """The instances of a model that `may_be_made`.

        Args:
            model: the one whose rows they are, or a proxy of it.
            rows: database values, before Django's converters.
            db: the alias that they are said to come from.
            fetch_mode: of the queryset, ``None`` before Django 6.1.
        """
        found: list[Model] = []
        names, connection = self._names, self._connection
        related = [names.index(name) for name in _foreign_keys(model) if name in names]
        # All in one place: of a list, this loop is what takes the time.
        for each in rows:
            row = each
            if self._converters:
                row = list(each)
                for at, convert, expression in self._converters:
                    row[at] = convert(row[at], expression, connection)
            made = object.__new__(model)
            state: Any = ModelState()
            held = made.__dict__
            held["_state"] = state
            held.update(zip(names, row))  # noqa: B905  the rows are of this very query
            for at in related:
                if row[at] is not None:
                    state.fields_cache = {}  # see `_made`
                    break
            state.adding = False
            state.db = db
            if fetch_mode is not None:
                state.fetch_mode = fetch_mode
            found.append(made)
        if getattr(fetch_mode, "track_peers", False):
            peers = list(map(ref, found))
            for instance in found:
                instance._state.peers = peers
        return found


def _selects_a_model(compiler: SQLCompiler) -> bool:
    made: Any = compiler
    info = made.klass_info
    if not info or info.get("related_klass_infos") or made.annotation_col_map:
        return False
    columns = [column for column, _, _ in made.select]
    return info["select_fields"] == list(range(len(columns))) and all(type(column) is Col for column in columns)


Convert = Callable[[Any, Any, Any], Any]
"""One of Django's converters: of a value, an expression and a connection."""

_read_json = JSONDecoder().raw_decode


def _quick(convert: Convert, expression: Any) -> Convert:
    """*convert*, or what gives the same and takes less time."""
    field = getattr(convert, "__self__", None)
    if type(field) is not JSONField or field.decoder is not None or type(expression) is not Col:
        return convert

    def from_text(value: Any, expression: Any, connection: Any) -> Any:
        if value is None:
            return None
        try:
            # The same decoder, without a look for space around the text, which databases do not write.
            found, end = _read_json(value)
            if end == len(value):
                return found
        except (TypeError, ValueError):
            pass
        return convert(value, expression, connection)

    return from_text


def _made(model: type[Model], db: str, names: Iterable[str], values: Iterable[Any], fetch_mode: Any) -> Model:
    made = object.__new__(model)
    state: Any = ModelState()
    held = made.__dict__
    held["_state"] = state
    held.update(zip(names, values, strict=True))
    for name in _foreign_keys(model):
        if held.get(name) is not None:
            # Setting it asks whether a related row is to be forgotten, which makes the place for them.
            state.fields_cache = {}
            break
    state.adding = False
    state.db = db
    if fetch_mode is not None:
        state.fetch_mode = fetch_mode
    return made


@lru_cache(maxsize=1_024)
def _foreign_keys(model: type[Model]) -> tuple[str, ...]:
    attributes = [field.attname for field in model._meta.concrete_fields]
    return tuple(name for name in attributes if type(_static(model, name)) is ForeignKeyDeferredAttribute)


def hydrating(klass_info: Mapping[str, Any]) -> Mapping[str, Any]:
    """*klass_info* of a compiler, with hydrators in place of the models that allow it."""
    model: type[Model] = klass_info["model"]
    related = klass_info.get("related_klass_infos", ())
    found = {**klass_info, "related_klass_infos": [hydrating(each) for each in related]}
    if may_be_made(model):
        found["model"] = Hydrator(model)
    return found


def may_be_made(model: type[Model]) -> bool:
    """Can nobody tell, at this moment, whether instances of *model* are made the short way?"""
    return (
        _is_plain(model)
        # Looked at each time: whoever tests or traces a program replaces them for a while.
        and model.__init__ is _init
        and getattr(model.from_db, "__func__", None) is _from_db
        and not pre_init.has_listeners(model)
        and not post_init.has_listeners(model)
    )


@lru_cache(maxsize=1_024)
def _is_plain(model: type[Model]) -> bool:
    """Does making an instance of *model* do nothing but Django's own, and that in its ``__dict__``?"""
    at = model.__mro__.index(Model)
    return (
        type(model).__call__ is ModelBase.__call__ is type.__call__
        and model.__new__ is object.__new__
        and model.__setattr__ is object.__setattr__
        and model.__getattribute__ is object.__getattribute__
        and ModelState.__init__ is object.__init__
        and all(map(_is_of_django, (_init, _from_db)))
        and not any("__init__" in vars(base) for base in model.__mro__[at + 1 : -1])
        and all(type(_static(model, field.attname)) in _PLAIN_ATTRIBUTES for field in model._meta.concrete_fields)
    )


def _static(model: type[Model], name: str) -> Any:
    return inspect.getattr_static(model, name, None)


def _is_of_django(method: Any) -> bool:
    """Has nobody put something else in its place?"""
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename == inspect.getfile(Model)
