"""What results depend on by name, and what drops them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db.models import ForeignKey, Model

from everfresh.names import invalidate_label, tag_label
from everfresh.nodes.declared import Declared
from everfresh.nodes.rows import any_change, raw
from everfresh.recording import Named

__all__ = ["InvalidNode", "InvalidNodeManager", "ModelInvalidNode", "flat_tags"]

_ALL = "all"
"""What stands in a key for every row that a foreign key may point to."""


class InvalidNodeManager:
    """What can be done with the invalid nodes of one class: its ``objects``."""

    def __init__(self, node: type[InvalidNode]) -> None:
        self.node = node

    def invalid(self, using: str | None = None, /, **fields: Any) -> int:
        """Invalidate everything that depends on the node with these fields; returns how much was current until now.

        Inside a transaction on the database *using* (left out: the default one) it takes effect at its COMMIT, else at
        once.

        Raises:
            StoreUnreachable: when the store does not answer.
            TypeError: for fields that the node does not have, and without those that it needs.
        """
        return invalidate_label(tag_label(str(self.node(**fields))), using=using)

    async def ainvalid(self, using: str | None = None, /, **fields: Any) -> int:
        """See `invalid`."""
        return await sync_to_async(self.invalid)(using, **fields)


class _Objects:
    def __get__(self, instance: object, owner: type[InvalidNode]) -> InvalidNodeManager:
        return InvalidNodeManager(owner)


class InvalidNode(Declared):
    """A name that results depend on: a tag, called by its key.

    Source: cacheme's ``InvalidNode`` (CE-18).
    """

    objects: ClassVar[_Objects] = _Objects()

    def clauses(self) -> tuple[Named, ...]:
        """Which writes to the database make stale what depends on it, besides people who say so by its name."""
        return ()


class ModelInvalidNode(InvalidNode):
    """Rows of ``Meta.model`` whose fields have the values of the node's.

    Whatever write touches one of them drops what depends on the node, at its COMMIT: no signals are needed, and none
    are missed. A name that is no field of the model is part of the key only. ``Node(instance=row)`` takes the values
    from the row.

    With ``Meta.m2m = True`` the model is that between two others. The fields are its foreign keys, and one that is left
    out stands for all rows: its attribute is ``"all"``. The attributes of the others are what the foreign keys hold,
    also where instances are given.

    Source: django-cacheme's ``ModelInvalidNode`` (CE-19, CE-20).
    """

    _known_options = frozenset({"abstract", "m2m", "model"})

    class Meta:
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        model = cls._options.get("model")
        if not (cls._options["abstract"] or isinstance(model, str) or _is_model(model)):
            raise TypeError(f"The Meta of {cls.__name__} has the model {model!r}; it takes a model or 'app.Model'.")

    def __init__(self, **given: Any) -> None:
        if "instance" in given and "instance" not in self._fields:
            given = {**self._of_instance(given.pop("instance")), **given}
        if self._options.get("m2m"):
            held = {name: self._held(name, value) for name, value in given.items() if name in self._fields}
            given = {**dict.fromkeys(self._fields, _ALL), **given, **held}
        super().__init__(**given)

    def clauses(self) -> tuple[Named, ...]:
        """Those of every write to one of the rows."""
        values = {name: vars(self)[name] for name in self._fields}
        if self._options.get("m2m"):
            values = {name: value for name, value in values.items() if value != _ALL}
        return any_change(self._model(), values)

    @classmethod
    def _model(cls) -> type[Model]:
        model = cls._options["model"]
        found: type[Model] = apps.get_model(model) if isinstance(model, str) else model
        return found

    def _of_instance(self, instance: object) -> dict[str, Any]:
        model = self._model()
        if not isinstance(instance, model._meta.concrete_model or model):
            raise TypeError(f"{type(self).__name__} takes an instance of {model._meta.label}, not {instance!r}.")
        if self._options.get("m2m"):
            return {name: getattr(instance, self._foreign_key(name).attname) for name in self._fields}
        return {name: getattr(instance, name) for name in self._fields}

    def _held(self, name: str, value: object) -> object:
        """What the foreign key called *name* holds for *value*."""
        field = self._foreign_key(name)
        if isinstance(value, Model):
            target: Any = field.remote_field.model
            if not isinstance(value, target._meta.concrete_model):
                raise TypeError(
                    f"{type(self).__name__} takes an instance of {target._meta.label} for {name!r}, not {value!r}."
                )
            value = raw(field, value)
        if isinstance(value, bool) or not isinstance(value, int | str | UUID):
            raise TypeError(
                f"{type(self).__name__} takes a saved instance, an int, a str or a UUID for {name!r}, not {value!r}."
            )
        return value

    def _foreign_key(self, name: str) -> ForeignKey[Any, Any]:
        model = self._model()
        keys = {field.name: field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)}
        if name not in keys:
            raise TypeError(
                f"The field {name!r} of {type(self).__name__} is no foreign key of {model._meta.label}, "
                f"which has {', '.join(keys) or 'none'}."
            )
        return keys[name]


def flat_tags(given: object, by: str) -> tuple[tuple[str, ...], tuple[Named, ...]]:
    """The tags that people gave, and the clauses of those that stand for more than a name.

    Args:
        given: a string, an invalid node, ``None`` for nothing, or an iterable of all these, as deep as you like.
        by: who gave them, for errors.

    Raises:
        TypeError: for anything else.

    Source: cacheme's ``invalid_keys`` and ``invalid_nodes`` (CE-4, CE-17).
    """
    tags: dict[str, None] = {}
    clauses: dict[Named, None] = {}
    for each in _leaves(given):
        if isinstance(each, InvalidNode):
            clauses.update(dict.fromkeys(each.clauses()))
        elif not isinstance(each, str):
            raise TypeError(f"{by} gave {each!r}, where a tag is a string or an invalid node.")
        tags[str.__str__(each) if isinstance(each, str) else str(each)] = None
    return tuple(tags), tuple(clauses)


def _leaves(given: object) -> Iterator[object]:
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        for each in given:
            yield from _leaves(each)
    elif given is not None:
        yield given


def _is_model(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, Model)
