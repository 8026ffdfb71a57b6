"""Invalidation by hand, for changes that no Django connection of ours has made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model, QuerySet

from everfresh.journal import journal_of
from everfresh.naming import tag_names
from everfresh.tables import Facts, Uncertain, canonical, every_table, table, table_of
from everfresh.tags import Table, Tag, named
from everfresh.writing.capture import announce
from everfresh.writing.images import Image, deleted, inserted, select_images, updated, whole_table

__all__ = ["Target", "ainvalidate", "ainvalidate_tags", "invalidate", "invalidate_tags"]

Target = Model | QuerySet[Model] | type[Model] | str | None
"""What can be invalidated: a row, the rows a queryset matches, a model, an app by its label, or everything."""


def invalidate(target: Target, *, using: str | None = None) -> None:
    """Make every cached answer that depends on *target* stale.

    Everfresh sees all writes that go through Django. This is for the others: another program, a trigger, a
    change made by hand. Inside a transaction it takes effect at its COMMIT, outside at once.

    Args:
        target: an instance (as it is in memory), a queryset (the rows it matches now), a model class, the label
            of an app, or ``None`` for everything.
        using: a database alias. Left out: the instance's or the queryset's own, else every one of them.

    Raises:
        LookupError: when no installed app has the label.
        TypeError: for anything else.

    Source: cachebot's ``invalidate_object`` (CB-13), cacheme's invalidations.
    """
    if isinstance(target, Model):
        _invalidate_instance(target, using or target._state.db or router.db_for_write(type(target), instance=target))
    elif isinstance(target, QuerySet):
        _invalidate_queryset(target, using or target.db)
    else:
        for alias in [using] if using else list(connections):
            _invalidate_tables(alias, _tables_of(target, connections[alias].vendor))


def invalidate_tags(*names: str, using: str | None = None) -> None:
    """Make everything stale that was computed under any of these tags.

    Inside a transaction on the database *using* (left out: the default one) it takes effect at its COMMIT, and never
    when it is rolled back; outside at once.

    Raises:
        TypeError: for a name that is no string.

    Source: cacheme's ``create_invalidation(invalid_key=…)`` (CE-14) and tags (CE-8).
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"A tag is named by a string, not {name!r}.")
    if names:
        # The tag without a name moves with every other one.
        moved = tag_names(named(name).name for name in ("", *names))
        with journal_of(connections[using or DEFAULT_DB_ALIAS]).writing(moved):
            pass


async def ainvalidate_tags(*names: str, using: str | None = None) -> None:
    """See `invalidate_tags`."""
    await sync_to_async(invalidate_tags)(*names, using=using)


async def ainvalidate(target: Target, *, using: str | None = None) -> None:
    """See `invalidate`."""
    await sync_to_async(invalidate)(target, using=using)


def _invalidate_instance(instance: Model, using: str) -> None:
    for model in [type(instance), *type(instance)._meta.all_parents]:
        facts = table_of(model, connections[using].vendor)
        if facts is None or facts.excluded:
            continue
        place = table(using, facts.name)
        by_column = {field.column: field.attname for field in model._meta.concrete_fields}
        try:
            image = {
                column: canonical(facts.fields[column], instance.__dict__[by_column[column]])
                for column in facts.tagged()
            }
        except (KeyError, Uncertain):
            # Deferred, or not as the database holds it.
            _publish(using, facts.name, whole_table(place))
        else:
            _publish(using, facts.name, _every_change(place, facts, [image]))


def _invalidate_queryset(queryset: QuerySet[Model], using: str) -> None:
    for model in [queryset.model, *queryset.model._meta.all_parents]:
        facts = table_of(model, connections[using].vendor)
        if facts is None or facts.excluded:
            continue
        place = table(using, facts.name)
        images = None
        if model._meta.concrete_model is queryset.model._meta.concrete_model and not queryset.query.is_sliced:
            try:
                images = select_images(connections[using], queryset.query, facts, facts.tagged(), lock=None)
            except Uncertain:
                images = None
        moved = whole_table(place) if images is None else _every_change(place, facts, images.values())
        _publish(using, facts.name, moved)


def _every_change(place: Table, facts: Facts, images: Iterable[Image]) -> set[Tag]:
    """The tags of rows of which anything may have changed."""
    images = list(images)
    if not images:
        return set()
    changed = updated(place, facts, images, facts.fields)
    return inserted(place, facts, images) | changed | deleted(place, facts, images)


def _tables_of(target: object, vendor: str) -> Iterator[Facts]:
    if target is None:
        yield from every_table(vendor)
        return
    if isinstance(target, str):
        models = list(apps.get_app_config(target).get_models(include_auto_created=True))
    elif isinstance(target, type) and issubclass(target, Model):
        models = [target, *target._meta.all_parents]
    else:
        raise TypeError(
            f"invalidate() takes an instance, a queryset, a model class, an app label or None, not {target!r}."
        )
    for model in models:
        facts = table_of(model, vendor)
        if facts is not None and not facts.excluded:
            yield facts


def _invalidate_tables(using: str, tables: Iterable[Facts]) -> None:
    moved = [announce(connections[using], facts.name, whole_table(table(using, facts.name))) for facts in tables]
    with journal_of(connections[using]).writing(chain.from_iterable(moved)):
        pass


def _publish(using: str, name: str, moved: Iterable[Tag]) -> None:
    with journal_of(connections[using]).writing(announce(connections[using], name, moved)):
        pass
