"""Single rows, as things that people say have changed."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_bytes

from asgiref.sync import sync_to_async
from django.db import router
from django.db.models import Model

from everfresh.conf import settings
from everfresh.databases import logical_database
from everfresh.exceptions import Unencodable
from everfresh.keys import digest, encode
from everfresh.recording import Named
from everfresh.stores import NO_KEY, current_store
from everfresh.tags import named
from everfresh.writing.invalidation import invalidate_tags

__all__ = ["ainvalidate_for", "invalidate_for", "record_clause", "version_of"]


def invalidate_for(record: Model) -> None:
    """Have every fragment rendered anew whose tag names *record*: for what changed besides the database.

    Inside a transaction on the record's database it takes effect at its COMMIT, else at once. What a fragment shows of
    the database, of this row and of others, needs none of this.

    Raises:
        ValueError: for a record that is not saved.

    Source: cache-sweeper's ``invalidate_cache_for`` (CS-4).
    """
    try:
        names = list(_names(record))
    except Unencodable:
        raise _not_saved(record) from None
    invalidate_tags(*names, using=_alias(record))


async def ainvalidate_for(record: Model) -> None:
    """See `invalidate_for`."""
    await sync_to_async(invalidate_for)(record)


def record_clause(record: Model) -> Named:
    """The clause of what `invalidate_for` makes stale, by the store's name of its tag.

    Raises:
        Unencodable: for a record that is not saved.
    """
    return frozenset({frozenset({_stored_name(record)})})


def version_of(record: Model) -> str:
    """What is another one after each `invalidate_for`, and never one that was before; for people's own keys.

    Raises:
        ValueError: for a record that is not saved.
    """
    try:
        [version] = current_store().begin_fill(NO_KEY, [_stored_name(record)], 0).versions
    except Unencodable:
        raise _not_saved(record) from None
    # Nobody knows while it is changing: then it is one that nobody will ever ask for again.
    return (version or token_bytes(8)).hex()


def _stored_name(record: Model) -> str:
    return f"{settings().prefix()}:t:{named(next(_names(record))).name}"


def _not_saved(record: Model) -> ValueError:
    return ValueError(f"{record!r} is not saved, so nothing can be cached for it.")


def _names(record: Model) -> Iterator[str]:
    """The tags of a row: its own first, then those of the rows that it inherits."""
    model = record._meta.concrete_model or type(record)
    for each in [model, *model._meta.all_parents]:
        key = getattr(record, each._meta.pk.attname) if each is not model else record.pk
        if key is None:
            raise Unencodable(f"an unsaved {model._meta.label}")
        yield f"record:{each._meta.label_lower}:{digest(encode(key))}@{logical_database(_alias(record))}"


def _alias(record: Model) -> str:
    return record._state.db or router.db_for_write(type(record), instance=record)
