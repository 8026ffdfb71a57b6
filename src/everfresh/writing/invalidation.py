"""Invalidation by hand, for changes that no Django connection of ours has made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model, QuerySet

from everfresh.journal import journal_of
from everfresh.naming import tag_names
from everfresh.tables import Facts, Uncertain, every_table, table, table_of
from everfresh.tags import Table, named
from everfresh.writing.images import Image, select_images, updated, whole_table
from everfresh.writing.statement import announce, keys_of

__all__ = ["Target", "ainvalidate", "ainvalidate_tags", "invalidate", "invalidate_tags", "moved_by"]

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


def moved_by(target: type[Model] | str | None, using: str | None = None) -> set[str]:
    """What the store calls the tags that `invalidate` moves for a model, an app or everything."""
    names = (
        name
        for alias in ([using] if using else connections)
        for facts in _tables_of(target, connections[alias].vendor)
        for name in whole_table(table(alias, facts.name))
    )
    return set(tag_names(names))


def _invalidate_instance(instance: Model, using: str) -> None:
    for model in [type(instance), *type(instance)._meta.all_parents]:
        facts = table_of(model, connections[using].vendor)
        if facts is None or facts.excluded:
            continue
        by_column = {field.column: field.attname for field in model._meta.concrete_fields}
        try:
            images = [tuple(instance.__dict__[by_column[column]] for column in facts.tagged())]
        except KeyError:
            # Deferred.
            images = None
        _publish(using, facts, images)


def _invalidate_queryset(queryset: QuerySet[Model], using: str) -> None:
    for model in [queryset.model, *queryset.model._meta.all_parents]:
        facts = table_of(model, connections[using].vendor)
        if facts is None or facts.excluded:
            continue
        images = None
        if model._meta.concrete_model is queryset.model._meta.concrete_model and not queryset.query.is_sliced:
            found = select_images(connections[using], queryset.query, facts, facts.tagged(), lock=None)
            images = None if found is None else list(found.values())
        _publish(using, facts, images)


def _every_change(place: Table, facts: Facts, images: Sequence[Image]) -> set[str]:
    """The names of the tags of rows of which anything may have changed."""
    if not images:
        return set()
    columns = facts.tagged()
    changed = updated(place, facts, columns, images, facts.fields)
    return changed | {place.created.name, place.deleted.name}


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


def _publish(using: str, facts: Facts, images: Sequence[Image] | None) -> None:
    """Say that anything in the rows of *images* may have changed; ``None``: in any row."""
    place, keys = table(using, facts.name), None
    try:
        moved = whole_table(place) if images is None else _every_change(place, facts, images)
    except Uncertain:
        # Not as the database holds it.
        moved, images = whole_table(place), None
    if images is not None:
        keys = keys_of(facts, facts.tagged(), images)
    connection = connections[using]
    with journal_of(connection).writing(announce(connection, facts.name, list(moved), keys)):
        pass
