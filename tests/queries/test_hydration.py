"""Instances the short way: where nobody can tell them from Django's own, and nowhere else."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock
from weakref import ref

import django
import pytest
from django.db import models
from django.db.models import F
from django.db.models.base import ModelBase
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init

from everfresh import disabled
from everfresh.queries.hydration import may_be_made
from tests.conftest import Configure
from tests.queries.keyed import Keyed, KeyedChild, Pointer, declared, populate, same_as_plain, told

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(autouse=True)
def rows(transactional_db: None, configure: Configure) -> None:
    """A few rows of each model; every read is cached."""
    populate()
    configure(CACHE_ALL=True)


READS: dict[str, Callable[[Any], Any]] = {
    "get": lambda model: model.objects.get(pk=1),
    "list": lambda model: list(model.objects.order_by("pk")),
    "only": lambda model: list(model.objects.only("code", "above").order_by("pk")),
    "defer": lambda model: list(model.objects.defer("code", "owner").order_by("pk")),
    "annotated": lambda model: list(model.objects.annotate(more=F("many") + 1).order_by("pk")),
    "related": lambda model: list(model.objects.select_related("above", "owner", "twin").order_by("pk")),
    "other side": lambda model: list(model.objects.select_related("other_twin", "keyedchild").order_by("pk")),
}


@pytest.mark.parametrize("read", READS)
def test_same_as_plain(read: str) -> None:
    """Instances hold what Django's hold, in its order, and so does their state."""
    assert may_be_made(Keyed)
    same_as_plain(lambda: READS[read](Keyed))
    with declared(Keyed) as proxy:
        assert may_be_made(proxy)
        same_as_plain(lambda: READS[read](proxy))


def test_inherited_tables() -> None:
    """So do those of several tables, and those whose key is another's."""
    same_as_plain(lambda: list(KeyedChild.objects.select_related("keyed_ptr", "owner", "pointer")))
    same_as_plain(lambda: KeyedChild.objects.get(pk=3))
    same_as_plain(lambda: list(Pointer.objects.select_related("child__above", "keyed", "numbered")))


# Classes that do something of their own


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    super(type(self), self).__init__(*args, **kwargs)
    self.was_made = True


def _setattr(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, name, f"{value}!" if name == "code" else value)


def _getattribute(self: Any, name: str) -> Any:
    if name == "_state" and "seen" not in object.__getattribute__(self, "__dict__"):
        object.__setattr__(self, "seen", True)
    return object.__getattribute__(self, name)


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    made = object.__new__(cls)
    made.was_new = True
    return made


def _from_db(cls: Any, db: Any, names: Any, values: Any, **kwargs: Any) -> Any:
    made = models.Model.from_db.__func__(cls, db, names, values, **kwargs)  # type: ignore[attr-defined]
    made.was_loaded = True
    return made


class _Mixin:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.was_mixed = True


class _Called(ModelBase):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.was_called = True
        return made


class _Loud(DeferredAttribute):
    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value if value is None else f"{value}!"


class _Property:
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else instance.__dict__["_code"]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__["_code"] = value


def _proxy(*bases: type, **attributes: Any) -> Any:
    return lambda: declared(*(bases or (Keyed,)), **attributes)


class _Plain:
    """Adds nothing to how instances are made."""


CLASSES = {
    "init": _proxy(__init__=_init),
    "setattr": _proxy(__setattr__=_setattr),
    "getattribute": _proxy(__getattribute__=_getattribute),
    "new": _proxy(__new__=_new),
    "from_db": _proxy(from_db=classmethod(_from_db)),
    "static from_db": _proxy(from_db=staticmethod(lambda *args, **kwargs: _from_db(Keyed, *args, **kwargs))),
    "mixin before": _proxy(_Mixin, Keyed),
    "mixin after": _proxy(Keyed, _Mixin),
    "metaclass": _proxy(metaclass=_Called),
    "descriptor": _proxy(code=_Loud(Keyed._meta.get_field("code"))),
    "property": _proxy(code=_Property()),
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("read", ["get", "list", "annotated"])
def test_classes_of_their_own(kind: str, read: str) -> None:
    """What a class does when an instance is made is done."""
    with CLASSES[kind]() as model:
        assert not may_be_made(model)
        same_as_plain(lambda: READS[read](model))
        with disabled():
            assert told(lambda: READS[read](model)) != told(lambda: READS[read](Keyed))


def test_mixin_that_does_nothing() -> None:
    """Methods do not stand in the way."""
    with declared(_Plain, Keyed, __str__=lambda self: "", save=lambda self: None) as model:
        assert may_be_made(model)
        same_as_plain(lambda: model.objects.get(pk=1))


# Who listens


@pytest.mark.parametrize("signal", [pre_init, post_init], ids=["pre_init", "post_init"])
@pytest.mark.parametrize("sender", [Keyed, None], ids=repr)
def test_signals(signal: Any, sender: Any) -> None:
    """Receivers hear of each instance from the moment when they are connected, as long as they are."""
    heard: list[Any] = []

    def hear(sender: Any, **_: Any) -> None:
        heard.append(sender)

    Keyed.objects.get(pk=1)
    signal.connect(hear, sender=sender)
    try:
        for read in (READS["get"], READS["related"]):
            with disabled():
                read(Keyed)
            plain = heard.copy()
            heard.clear()
            for _ in range(2):
                read(Keyed)
                assert plain == heard
                heard.clear()
    finally:
        signal.disconnect(hear, sender=sender)
    assert may_be_made(Keyed)
    Keyed.objects.get(pk=1)
    assert [] == heard


@pytest.mark.parametrize("name", ["__init__", "from_db"])
@pytest.mark.parametrize("owner", [Keyed, models.Model], ids=repr)
def test_methods_replaced_for_a_while(owner: Any, name: str) -> None:
    """Who puts something in the place of a method is asked."""
    Keyed.objects.get(pk=1)

    def replaced(*_: object, **__: object) -> Any:
        raise RecursionError

    with mock.patch.object(owner, name, classmethod(replaced) if name == "from_db" else replaced):
        assert not may_be_made(Keyed)
        for read in (READS["get"], READS["list"]):
            with pytest.raises(RecursionError):
                read(Keyed)
    assert may_be_made(Keyed)


# What becomes of them


def test_copies() -> None:
    """They can be pickled and copied, compared and saved, and are freed when nobody has them."""
    made = Keyed.objects.get(pk=1)
    with disabled():
        plain = Keyed.objects.get(pk=1)
    assert pickle.dumps(plain) == pickle.dumps(made)
    for each in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert each == plain
    made.many = 7
    made.save()
    assert 7 == Keyed.objects.get(pk=1).many
    gone = ref(made)
    del made, each
    gc.collect()
    assert gone() is None


def test_columns_loaded_later() -> None:
    """What was deferred is fetched when it is asked for, and what is missing is in no ``__dict__``."""
    [one] = Keyed.objects.only("code").filter(pk=1)
    assert {"code", "many"} & vars(one).keys() == {"code"}
    assert {"number", "many"} < one.get_deferred_fields()
    assert (1, 0) == (one.number, one.many)


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Fetch modes came with Django 6.1.")
def test_peers() -> None:
    """Instances of one read know of each other, and one that came alone knows itself."""
    peers = models.FETCH_PEERS  # type: ignore[attr-defined,unused-ignore]

    def read() -> Any:
        found = list(Keyed.objects.fetch_mode(peers).order_by("pk"))  # type: ignore[attr-defined,unused-ignore]
        return [[each() is other for each, other in zip(one._state.peers, found, strict=True)] for one in found]  # type: ignore[attr-defined,unused-ignore]

    same_as_plain(read)
    same_as_plain(lambda: Keyed.objects.fetch_mode(peers).get(pk=1))  # type: ignore[attr-defined,unused-ignore]
