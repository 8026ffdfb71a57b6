"""Invalidate by hand: ``manage.py everfresh_invalidate app.Model --tag news --pattern 'Book:1*'``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from getpass import getuser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from everfresh.exceptions import InvalidationNotSent, StoreUnreachable
from everfresh.names import tag_label
from everfresh.selections import Preview, Selection, invalidate_selection, preview

__all__ = ["Command"]

_SHOWN = 20
"""Names of a pattern that are printed."""


class Command(BaseCommand):
    """Show what a selection touches, ask, and invalidate it.

    Source: cacheme's ``create_invalidation`` (CE-14) and its admin (CE-21).
    """

    help = "Invalidate cached answers by hand: those that read tables, and results of functions by name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What can be picked, and how."""
        parser.add_argument("targets", nargs="*", help="models as app.Model, or labels of apps")
        parser.add_argument("--label", action="append", default=[], help="a function, node or fragment; repeatable")
        parser.add_argument("--tag", action="append", default=[], help="a tag; repeatable")
        parser.add_argument("--pattern", default="", help="names of results, with *, ? and [ab]; quote it")
        parser.add_argument("--all", action="store_true", help="every table and every result")
        parser.add_argument("--database", help="an alias: tables of this database only; left out: of every one")
        parser.add_argument("--dry-run", action="store_true", help="show what it touches, and do nothing")
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask, do it"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Show, ask, act."""
        if options["database"] and options["database"] not in connections:
            raise CommandError(f"DATABASES has no {options['database']!r}, only {', '.join(connections)}.")
        selection = Selection(
            models=tuple(dict.fromkeys(label for target in options["targets"] for label in _models(target))),
            labels=(*options["label"], *map(tag_label, options["tag"])),
            pattern=options["pattern"],
            everything=options["all"],
            using=options["database"],
        )
        if not selection:
            raise CommandError("Nothing is picked. Name models or apps, or give --label, --tag, --pattern or --all.")
        try:
            touched = preview(selection)
            self._show(selection, touched)
            if options["dry_run"]:
                return
            if options["interactive"] and not self._agrees():
                self.stdout.write("Nothing was done.")
                return
            _perform(selection)
        except (StoreUnreachable, InvalidationNotSent) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS("Invalidated."))

    def _show(self, selection: Selection, touched: Preview) -> None:
        if selection.everything:
            where = f"of the database {selection.using}" if selection.using else "of every database, and every result"
            self.stdout.write(f"All tables {where}")
        for label, count in touched.models.items():
            self.stdout.write(f"{label}: every cached answer that reads it; {_counted(count)}")
        for label, count in touched.labels.items():
            found = "nothing is listed under it" if label in touched.unknown else _counted(count)
            self.stdout.write(f"{label}: {found}")
        if selection.pattern:
            self.stdout.write(f"{selection.pattern}: {len(touched.names)} names")
            for name in touched.names[:_SHOWN]:
                self.stdout.write(f"  {name}")
            if len(touched.names) > _SHOWN:
                self.stdout.write(f"  and {len(touched.names) - _SHOWN} more")
        self.stdout.write(f"Together: {_counted(touched.count)}")

    def _agrees(self) -> bool:
        try:
            return input("Invalidate? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            raise CommandError("Nobody is there to be asked. Give --noinput to do it, or --dry-run to look.") from None


def _models(target: str) -> Iterator[str]:
    """The labels of the models that *target* stands for."""
    try:
        if "." in target:
            yield apps.get_model(target)._meta.label
        else:
            for model in apps.get_app_config(target).get_models(include_auto_created=True):
                yield model._meta.label
    except (LookupError, ValueError) as error:
        raise CommandError(f"{error} Name a model as app.Model, or an app by its label.") from error


def _counted(count: int | None) -> str:
    if count is None:
        return "too many named results are stored to count"
    return f"{count} named result{'' if count == 1 else 's'}"


def _perform(selection: Selection) -> None:
    if not apps.is_installed("everfresh.contrib.audit"):
        invalidate_selection(selection)
        return
    from everfresh.contrib.audit.models import Invalidation

    try:
        account = getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        account = "?"
    Invalidation.objects.perform(selection, by=f"{account} (everfresh_invalidate)")
