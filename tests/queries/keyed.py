"""Rows with a unique column of each kind, and proxies of them that do something of their own.

They belong to the library app, whose tables are made without migrations from the models known by then.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models.base import ModelBase

from everfresh import disabled
from everfresh.tables import forget_tables

__all__ = ["IDENT", "Keyed", "KeyedChild", "Owner", "Pointer", "declared", "populate", "same_as_plain", "told"]

IDENT = uuid.UUID("00000000-0000-0000-0000-000000000001")


class Owner(models.Model):
    """Called by its handle."""

    handle = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "library"


class Keyed(models.Model):
    """Each row can be asked for in many ways."""

    number = models.IntegerField(unique=True, null=True)
    small = models.PositiveSmallIntegerField(unique=True, null=True)
    code = models.CharField(max_length=20, unique=True, null=True)
    slug = models.SlugField(unique=True, null=True)
    ident = models.UUIDField(unique=True, null=True)
    day = models.DateField(unique=True, null=True)
    price = models.DecimalField(max_digits=6, decimal_places=2, unique=True, null=True)
    many = models.IntegerField(default=0)
    payload = models.JSONField(default=dict)
    moment = models.DateTimeField(null=True)
    document = models.FileField(null=True)
    owner = models.ForeignKey(Owner, models.SET_NULL, null=True, to_field="handle", related_name="keyed")
    twin = models.OneToOneField("self", models.SET_NULL, null=True, related_name="other_twin")
    above = models.ForeignKey("self", models.SET_NULL, null=True, related_name="below")

    class Meta:
        app_label = "library"


class KeyedChild(Keyed):
    """Inherits a table, and the unique columns in it."""

    badge = models.IntegerField(unique=True)

    class Meta:
        app_label = "library"


class Pointer(models.Model):
    """Its primary key is a foreign key, to a row that inherits its table."""

    child = models.OneToOneField(KeyedChild, models.CASCADE, primary_key=True, related_name="pointer")
    keyed = models.ForeignKey(Keyed, models.CASCADE, to_field="ident", null=True, related_name="pointers")
    numbered = models.ForeignKey(Keyed, models.CASCADE, to_field="number", null=True, related_name="+")

    class Meta:
        app_label = "library"


def populate() -> None:
    """Two owners, three rows, the third inheriting, and what points to it."""
    Owner.objects.bulk_create([Owner(id=1, handle="a"), Owner(id=2, handle="b")])
    Keyed.objects.create(
        id=1, number=1, small=1, code="a", slug="a", ident=IDENT, price="1.50", payload={"a": [1]}, owner_id="a"
    )
    Keyed.objects.create(id=2, number=2, code="b", day="2020-01-01", moment="2020-01-01T00:00Z", document="a.txt")
    KeyedChild.objects.create(id=3, number=3, code="1", slug="3", twin_id=1, above_id=2, badge=7, owner_id="b")
    Pointer.objects.create(child_id=3, keyed_id=IDENT, numbered_id=2)


_numbers = count()


@contextmanager
def declared(
    *bases: type,
    metaclass: Callable[..., Any] = ModelBase,
    table: str = "",
    meta: Mapping[str, Any] = MappingProxyType({}),
    **attributes: Any,
) -> Iterator[Any]:
    """A model, for a while: a proxy, or one more of a *table* that has one.

    Args:
        bases: of its class, in their order.
        metaclass: of its class.
        table: if it is no proxy.
        meta: of its options.
        attributes: of its class, fields among them.
    """
    options = {"db_table": table, "managed": False} if table else {"proxy": True}
    own = type("Meta", (), {"app_label": "library", **options, **meta})
    # No two of one name: what is remembered of one would be taken for the other's.
    called = f"Declared{next(_numbers)}"
    model = metaclass(called, bases or (models.Model,), {"__module__": __name__, "Meta": own, **attributes})
    forget_tables()
    try:
        yield model
    finally:
        del apps.all_models["library"][called.lower()]
        apps.clear_cache()
        forget_tables()


def told(read: Callable[[], Any]) -> Any:
    """All that can be told of what *read* gives: of an instance what it holds, in its order; of an error its words."""
    try:
        found = read()
    except Exception as error:  # noqa: BLE001  whatever it is, plain Django's is to be the same
        return type(error), str(error)
    return _shown(found)


def _shown(found: Any) -> Any:
    if isinstance(found, list | tuple):
        return [_shown(each) for each in found]
    if not isinstance(found, models.Model):
        return found
    held = [(name, type(value), repr(value)) for name, value in vars(found).items() if name != "_state"]
    state = [
        (name, [each() is found for each in value] if name == "peers" else repr(value))
        for name, value in vars(found._state).items()
        if name != "fields_cache"
    ]
    # As it is before anybody looks.
    names = list(vars(found._state))
    related = {name: each and each.pk for name, each in found._state.fields_cache.items()}
    return type(found), list(vars(found)), held, names, state, related


def same_as_plain(read: Callable[[], Any]) -> None:
    """See that *read* gives what plain Django gives: from the database, from the cache, and from the cache again."""
    with disabled():
        plain = told(read)
    for _ in range(3):
        found = told(read)
        assert plain == found, (plain, found)
