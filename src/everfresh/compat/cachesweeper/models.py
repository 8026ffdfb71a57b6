"""cache-sweeper's mixin, with what its documentation promises of related records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cache
from typing import Any, ClassVar

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import router
from django.db.models import Field, ForeignKey, ManyToManyField, Model

from everfresh.compat.cachesweeper.utils import cache_token_key_for_record, invalidate_cache_for, token_of

__all__ = ["ModelSweeper", "depend_on_rows", "version_attribute"]

Record = Any
"""An instance of a model that is a `ModelSweeper`."""


class ModelSweeper:
    """A mixin for models whose records have a version, counted up by each save (CS-6).

    Usage::

        class Vote(ModelSweeper, models.Model):
            comment = models.ForeignKey(Comment, models.CASCADE)

            class Sweeper:
                parents = ["comment"]

    ``parents`` names foreign keys and many-to-many fields. Fragments of the records that they lead to, and of those
    which *these* name as parents, are rendered anew whenever this row changes, by whatever path: they depend on it.
    ``using`` names an attribute to take the version of, in place of a counter.
    """

    class Sweeper:
        parents: ClassVar[Sequence[str]] = ()
        using: ClassVar[str] = ""

    @property
    def cachesweeper_version_key(self: Record) -> str:
        """The key of the version in Django's cache."""
        return cache_token_key_for_record(self)

    @property
    def cachesweeper_version(self: Record) -> int | str:
        """How often this record was saved or swept, from 0; or the hash of an attribute."""
        return token_of(self)

    def sweep(self: Record) -> None:
        """Sweep this record, and those that it names as parents, and theirs."""
        _sweep(_with_parents(self))

    def save(self: Record, *args: Any, **kwargs: Any) -> None:
        """Save and sweep."""
        super().save(*args, **kwargs)  # type: ignore[misc]
        self.sweep()

    def delete(self: Record, *args: Any, **kwargs: Any) -> Any:
        """Delete and sweep."""
        # It has no key afterwards.
        swept = [copy(each) for each in _with_parents(self)]
        deleted = super().delete(*args, **kwargs)  # type: ignore[misc]
        _sweep(swept)
        return deleted


def depend_on_rows(record: Model) -> None:
    """While a fragment is rendered: depend on the row of *record* and on those that name it as a parent.

    They are read, for to read a row is to depend on it.
    """
    using = record._state.db or router.db_for_read(type(record), instance=record)
    _rows(type(record), using, pk=record.pk)
    seen = {(type(record), record.pk)}
    left: list[list[Model]] = [[record]]
    while left:
        parents = left.pop()
        for child, field in _children(type(parents[0])):
            found = [row for row in _rows_below(child, field, parents, using) if (child, row.pk) not in seen]
            seen.update((child, row.pk) for row in found)
            if found:
                left.append(found)


def version_attribute(record: Model) -> str:
    """The attribute that its model takes versions of; empty where it has a counter."""
    return _sweeper(type(record), "using") or ""


def _sweep(records: Iterable[Model]) -> None:
    for record in records:
        invalidate_cache_for(record, using=version_attribute(record) or None)


def _with_parents(record: Model) -> list[Model]:
    """*record*, those that it names as parents, those that they name, and so on; each once."""
    found = {(type(record), record.pk): record}
    left = [record]
    while left:
        for parent in _parents(left.pop()):
            if (type(parent), parent.pk) not in found:
                found[type(parent), parent.pk] = parent
                left.append(parent)
    return list(found.values())


def _parents(record: Model) -> Iterator[Model]:
    for field in _fields(type(record)):
        if isinstance(field, ManyToManyField):
            yield from getattr(record, field.name).all()
        elif (parent := getattr(record, field.name)) is not None:
            yield parent


def _rows_below(child: type[Model], field: Field[Any, Any], parents: list[Model], using: str) -> list[Model]:
    """The rows of *child* that name any of *parents* by *field*."""
    if not isinstance(field, ManyToManyField):
        return _rows(child, using, **{f"{field.name}__in": parents})
    relation: Any = field
    through: type[Model] = relation.remote_field.through
    source: Any = through._meta.get_field(relation.m2m_field_name())
    links = _rows(through, using, **{f"{relation.m2m_reverse_field_name()}__in": parents})
    return _rows(child, using, pk__in=[getattr(link, source.attname) for link in links])


def _rows(model: type[Model], using: str, **conditions: Any) -> list[Model]:
    return list(model._base_manager.using(using).filter(**conditions).order_by())


@cache
def _children(model: type[Model]) -> list[tuple[type[Model], Field[Any, Any]]]:
    """The models that name rows of *model* as parents, and by which field."""
    return [
        (child, field)
        for child in apps.get_models(include_auto_created=False)
        if not child._meta.proxy
        for field in _fields(child)
        if field.model is child and issubclass(model, field.related_model)  # type: ignore[arg-type]
    ]


@cache
def _fields(model: type[Model]) -> list[Field[Any, Any]]:
    """The fields by which *model* names parents.

    Raises:
        ImproperlyConfigured: for a name of something else.
    """
    found: list[Field[Any, Any]] = []
    for name in _sweeper(model, "parents") or ():
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            field = None
        if not isinstance(field, ForeignKey | ManyToManyField):
            raise ImproperlyConfigured(
                f"{model._meta.label}.Sweeper.parents names {name!r}, which is no foreign key and no many-to-many "
                "field of the model. For other relations, call invalidate_cache_for() in a signal's receiver."
            )
        found.append(field)
    return found


def _sweeper(model: type[Model], name: str) -> Any:
    return getattr(getattr(model, "Sweeper", None), name, None) if issubclass(model, ModelSweeper) else None
