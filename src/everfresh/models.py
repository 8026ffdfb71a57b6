"""Published models: what is saved is in the cache before anybody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models, transaction
from django.db.models import Model, QuerySet
from django.db.models.query import MAX_GET_RESULTS

from everfresh.conf import settings
from everfresh.direct import direct_entry
from everfresh.managers import CacheManager
from everfresh.methods import AUTO_PUBLISH, decorated, needs_no_arguments, recompute
from everfresh.querysets import explain
from everfresh.signals import rows_written

__all__ = ["CacheModel", "CachedTable", "CachedTableManager", "connect_publishers"]


class CacheModel(models.Model):
    """A model that publishes itself: after each committed ``save()`` its entries are there already.

    ``objects`` asks the database, ``cached`` the cache first. Override :meth:`publish` to keep more entries at hand, or
    to publish what depends on this row (``self.parent.publish()``). Nothing is published before the COMMIT, and a
    published entry is read like any other: never stale, whoever writes.

    Source: cachemodel's ``CacheModel`` (CM-2).
    """

    objects = models.Manager()
    cached = CacheManager(cache_all=True, rows=True)

    _is_denormalized = False
    """Has the save that publishes this instance just set its denormalized fields?"""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Compute the denormalized fields, save, and publish (CM-3)."""
        is_new = self._state.adding
        changed = [] if is_new else self.denormalize()
        if changed and kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], *changed}
        if is_new and self._denormalized():
            # What it is computed from may point to this row, which must be there first.
            with transaction.atomic(using=kwargs.get("using")):
                super().save(*args, **kwargs)
                self._store_denormalized()
        else:
            super().save(*args, **kwargs)
        self._is_denormalized = True
        try:
            self.publish()
        finally:
            self.__dict__.pop("_is_denormalized", None)

    def publish(self) -> None:
        """Put the row, and what its ``auto_publish`` methods give, into the cache once this is committed (CM-5)."""
        if not self._is_denormalized:
            self._store_denormalized()
        self.publish_by("pk")
        for name, method in decorated(type(self), AUTO_PUBLISH):
            if needs_no_arguments(method):
                _once_committed(self, getattr(self, name))

    def publish_by(self, *names: str) -> None:
        """Keep the answer of ``cached.get()`` by these fields, with the values they have now, at hand (CM-7).

        Raises:
            FieldDoesNotExist: when one is no field; cachemodel's README gave values, which was never right.
        """
        lookup, values = self._lookup(names)

        def ask() -> None:
            with suppress(self.DoesNotExist, self.MultipleObjectsReturned):
                lookup.get(**values)

        _once_committed(self, ask)

    def publish_key(self, *names: str) -> str:
        """The key of the entry that ``cached.get()`` by these fields reads, with the values they have now (CM-6)."""
        lookup, values = self._lookup(names)
        if len(values) == 1 and (wanted := direct_entry(lookup, *next(iter(values.items())))):
            return wanted.key
        # As get() asks: in no order, and for no more rows than it takes to see that there are too many.
        asked: Any = lookup.filter(**values).order_by()
        asked.query.set_limits(high=MAX_GET_RESULTS)
        return explain(asked).key

    def publish_method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Compute a ``cached_method`` now, for these arguments, and keep that (CM-9).

        Raises:
            AttributeError: when it is no cached method.
        """
        return recompute(self, name, args, kwargs)

    def publish_delete(self, *names: str) -> None:
        """Drop the entry that ``cached.get()`` by these fields reads, with the values they have now (CM-8)."""
        lookup, values = self._lookup(names)
        lookup.clean().get(**values)  # type: ignore[attr-defined]

    def denormalize(self) -> list[str]:
        """Set each field that a ``denormalized_field`` method computes; gives those that changed (CM-10)."""
        changed = []
        for field, method in self._denormalized().items():
            value = method(self)
            if getattr(self, field) != value:
                setattr(self, field, value)
                changed.append(field)
        return changed

    def _denormalized(self) -> Mapping[str, Callable[[Any], Any]]:
        return {method._denormalized_field: method for _, method in decorated(type(self), "_denormalized_field")}

    def _store_denormalized(self) -> None:
        if self.pk is not None and (changed := self.denormalize()):
            rows = type(self)._base_manager.using(self._state.db).filter(pk=self.pk)
            rows.update(**{name: getattr(self, name) for name in changed})

    def _lookup(self, names: Iterable[str]) -> tuple[QuerySet[Any], dict[str, Any]]:
        """Where ``cached.get()`` looks, and what for."""
        values: dict[str, Any] = {}
        for name in names:
            if name != "pk":
                try:
                    self._meta.get_field(name)
                except FieldDoesNotExist:
                    raise FieldDoesNotExist(
                        f"{name!r} is no field of {self._meta.label}. Name fields only, as in publish_by('pk'): "
                        f"their values are taken from the instance."
                    ) from None
            values[name] = getattr(self, name)
        return type(self).cached.using(self._state.db), values


def _once_committed(instance: Model, run: Callable[[], Any]) -> None:
    # Robust: what is committed is committed, and an entry that could not be published is filled by its first reader.
    transaction.on_commit(run, using=instance._state.db, robust=True)


class CachedTableManager(CacheManager):
    """The manager of a small table that is one entry.

    Source: cachemodel's ``CachedTableManager`` (CM-17).
    """

    def __init__(self) -> None:
        super().__init__(cache_all=True, rows=False)

    def all(self) -> Any:
        """Every row, with what it points to: no query once it is in the cache."""
        return self.whole(None)

    def whole(self, using: str | None) -> Any:
        """The one query whose answer is the table."""
        fields = self.model._meta.concrete_fields
        related = [field.name for field in fields if field.is_relation and not field.null]
        rows: Any = self.get_queryset().using(using)
        return rows.select_related(*related) if related else rows

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """The row that has this one value, found in the cached table.

        Raises:
            DoesNotExist: when there is none.
            MultipleObjectsReturned: when there are several.
            NotImplementedError: for more than one field.
        """
        if args or len(kwargs) != 1:
            raise NotImplementedError("Multiple indices are not supported on CachedTable.")
        [(name, given)] = kwargs.items()
        model: Any = self.model
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
        value = field.to_python(given.pk if isinstance(given, Model) else given)
        found = [row for row in self.all() if getattr(row, field.attname) == value]
        if not found:
            raise model.DoesNotExist(f"{model._meta.object_name} matching query does not exist.")
        if len(found) > 1:
            raise model.MultipleObjectsReturned(
                f"get() returned more than one {model._meta.object_name} -- it returned {len(found)}!"
            )
        return found[0]


class CachedTable(models.Model):
    """A model whose small table is in the cache as a whole, and again right after any write.

    Source: cachemodel's ``CachedTable`` (CM-17).
    """

    objects = models.Manager()
    cached = CachedTableManager()

    class Meta:
        abstract = True


def connect_publishers() -> None:
    """Listen to writes, where there is a model to publish again after them."""
    if any(issubclass(model, CacheModel | CachedTable) for model in apps.get_models()):
        rows_written.connect(_publish_again, dispatch_uid="everfresh.models")


def _publish_again(using: str, tables: Mapping[str, set[Any] | None], **_: Any) -> None:
    for model in apps.get_models():
        if model._meta.db_table not in tables or model._meta.proxy:
            continue
        if issubclass(model, CachedTable):
            list(model.cached.whole(using))
        elif issubclass(model, CacheModel):
            _publish_rows(model, using, tables[model._meta.db_table])


def _publish_rows(model: type[CacheModel], using: str, keys: set[Any] | None) -> None:
    rule = settings().rule(model._meta.label_lower)
    if rule is None or not rule.republish or keys is None or len(keys) > settings().limits.written_rows:
        return
    for instance in model.cached.using(using).filter(pk__in=keys):
        with suppress(model.DoesNotExist):
            instance.publish()
