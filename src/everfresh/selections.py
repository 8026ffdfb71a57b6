"""What an operator picks to be invalidated, what that touches, and doing it.

The admin's page and the command ask, show and act by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from django.apps import apps
from django.db import connections
from django.db.models import Model

from everfresh.names import current, invalidate_pattern, is_tag, labels, listed, tag_of
from everfresh.naming import tag_names
from everfresh.tables import table_of
from everfresh.tags import named
from everfresh.writing.invalidation import invalidate, invalidate_tags, moved_by

__all__ = ["Preview", "Selection", "invalidate_selection", "preview", "watched_models"]

_COUNTED = 10_000
"""Named results that are looked at to see which of them depend on what; with more of them nobody waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to invalidate. Nothing is picked until somebody does."""

    models: tuple[str, ...] = ()
    """As ``"app.Model"``: every answer that reads one of their tables."""

    labels: tuple[str, ...] = ()
    """As ``everfresh.names.labels()`` has them: every result under one of them."""

    pattern: str = ""
    """Every result whose name matches it; empty: none."""

    everything: bool = False
    """All tables and, unless one database is named, all results under whatever label."""

    using: str | None = None
    """The database whose tables are meant; ``None``: those of every database."""

    def __bool__(self) -> bool:
        """Is anything picked?"""
        return bool(self.models or self.labels or self.pattern or self.everything)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a selection touches, when it was asked."""

    models: Mapping[str, int | None]
    """How many named results go stale by each model; ``None``: too many are stored to find out."""

    labels: Mapping[str, int]
    """How many results are current under each label."""

    names: tuple[str, ...]
    """The names that match the pattern, sorted, whether current or not."""

    unknown: tuple[str, ...]
    """Labels under which nothing is listed."""

    count: int | None
    """How many named results go stale by all of it, each counted once; ``None``: too many are stored to find out."""


def preview(selection: Selection) -> Preview:
    """What *selection* touches now.

    Answers of querysets have no names, so nobody knows their number. A result counts for whatever makes it stale: one
    that was computed from another one goes with that.

    Raises:
        LookupError: for a model that is not installed.
        StoreUnreachable: when the store does not answer.
    """
    known = set(labels())
    by_label = {
        label: dict(listed(label)) for label in {*filter(_is_own, known), *known.intersection(selection.labels)}
    }
    by_key = {key: name for members in by_label.values() for key, name in members.items()}
    names = {name for name in by_key.values() if selection.pattern and fnmatchcase(name, selection.pattern)}
    is_countable = len(by_key) <= _COUNTED
    picked = {key for label in selection.labels for key in by_label.get(label, ())}
    dependencies = current(by_key if is_countable else picked)

    def touched(moved: set[str]) -> int | None:
        if not is_countable:
            return None
        return sum(each.stale([name in moved for name in each.names]) for each in dependencies.values())

    by_model = {label: moved_by(apps.get_model(label), selection.using) for label in selection.models}
    tags = [*map(tag_of, selection.labels), *(f"name:{name}" for name in names)]
    tables = set().union(*by_model.values())
    if selection.everything:
        tags += _every_tag(selection, known)
        tables = moved_by(None, selection.using)
    return Preview(
        models={label: touched(each) for label, each in by_model.items()},
        labels={label: sum(key in dependencies for key in by_label.get(label, ())) for label in selection.labels},
        names=tuple(sorted(names)),
        unknown=tuple(label for label in selection.labels if label not in known),
        count=touched({*tag_names(named(tag).name for tag in tags), *tables}),
    )


def invalidate_selection(selection: Selection, *, within: str | None = None) -> None:
    """Invalidate what *selection* stands for.

    A label under which nothing is listed is invalidated like the others: a store may have dropped its list sooner than
    the results.

    Args:
        selection: what was picked.
        within: the database alias at whose COMMIT it takes effect, if a transaction is open there; left out: the
            default one. Tables of other databases are invalidated as `everfresh.invalidate` does it.

    Raises:
        LookupError: for a model that is not installed.
        StoreUnreachable: when the store does not answer, and is asked for what matches a pattern.
        ValueError: when nothing is picked.
    """
    if not selection:
        raise ValueError("Nothing is picked. Name models, labels or a pattern, or say that everything is meant.")
    models = [apps.get_model(label) for label in selection.models]
    tags = [*map(tag_of, selection.labels)]
    # What asks the store comes first, so that nothing is done when it does not answer.
    if selection.everything:
        tags += _every_tag(selection, labels())
    if selection.pattern:
        invalidate_pattern(selection.pattern, using=within)
    invalidate_tags(*tags, using=within)
    for model in models:
        invalidate(model, using=selection.using)
    if selection.everything:
        invalidate(None, using=selection.using)


def watched_models() -> Iterator[type[Model]]:
    """The models whose tables the cache looks at; of those that share a table, proxies are left out."""
    vendors = {connections[alias].vendor for alias in connections}
    for model in apps.get_models(include_auto_created=True):
        described = [table_of(model, vendor) for vendor in vendors]
        if not model._meta.proxy and any(facts is not None and not facts.excluded for facts in described):
            yield model


def _is_own(label: str) -> bool:
    return not is_tag(label)


def _every_tag(selection: Selection, known: Iterable[str]) -> Iterator[str]:
    """The tags of all results, where those of every database are meant."""
    if selection.using is None:
        yield from map(tag_of, filter(_is_own, known))
