"""Publish all rows of a model: ``manage.py everfresh_publish app.Model``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from everfresh.models import CachedTable, CacheModel

__all__ = ["Command"]

_BAR = 30  # characters


class Command(BaseCommand):
    """Fill the cache with the rows of a published model, and with whatever its ``publish()`` keeps at hand."""

    help = "Publish all rows of a model that is a CacheModel or a CachedTable, in the order of their primary keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The model, and where to begin."""
        parser.add_argument("model", help="as app.Model")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="a database alias")
        parser.add_argument("--batch", type=int, default=500, help="rows that are read at a time")
        parser.add_argument("--after", help="the primary key of the last row that need not be published again")

    def handle(self, *_: Any, **options: Any) -> None:
        """Publish."""
        try:
            model: Any = apps.get_model(options["model"])
        except (LookupError, ValueError) as error:
            raise CommandError(f"{error} Name a model as app.Model.") from error
        if issubclass(model, CachedTable):
            rows = len(model.cached.whole(options["database"]))
            self.stdout.write(f"{model._meta.label}: {rows} rows, as one entry")
        elif issubclass(model, CacheModel):
            self._publish(model, options["database"], options["batch"], options["after"])
        else:
            raise CommandError(f"{model._meta.label} is neither a CacheModel nor a CachedTable.")

    def _publish(self, model: type[CacheModel], using: str, batch: int, after: str | None) -> None:
        rows = model._base_manager.using(using).order_by("pk")
        total, done = rows.count(), 0
        if after is not None:
            done = rows.filter(pk__lte=after).count()
        last: Any = after
        try:
            while keys := list(
                (rows if last is None else rows.filter(pk__gt=last)).values_list("pk", flat=True)[:batch]
            ):
                # The rows of a batch come by one query, and publishing each finds its row there.
                for instance in model.cached.using(using).filter(pk__in=keys).order_by():
                    instance.publish()
                last, done = keys[-1], done + len(keys)
                self._show(model._meta.label, done, total)
        except KeyboardInterrupt:
            raise CommandError(
                f"Stopped. To go on: manage.py everfresh_publish {model._meta.label} --after {last}"
            ) from None
        finally:
            self.stdout.write("")
        self.stdout.write(f"{model._meta.label}: {done} rows published")

    def _show(self, label: str, done: int, total: int) -> None:
        filled = _BAR * done // max(done, total)
        self.stdout.write(f"\r{label} [{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total}", ending="")
        self.stdout.flush()
