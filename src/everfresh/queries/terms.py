"""What is said of an answer besides its query: a name, the changes it minds, the models that it depends on as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connections
from django.db.models import Model

from everfresh.clauses import Clause, Clauses, Group
from everfresh.exceptions import Uncacheable
from everfresh.tables import Facts, table, table_of
from everfresh.tags import Kind, Table
from everfresh.typing import CHANGES, Change

__all__ = ["PLAIN", "ModelName", "Terms", "any_write", "changes"]

ModelName = type[Model] | str
"""A model, or its label ``"app.Model"``."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one answer."""

    prefix: str = ""
    name: str = ""
    """With *prefix*, what tells it from other answers to the same query."""

    expire_on: frozenset[Change] = CHANGES
    """Which changes of the model's own rows make it stale."""

    depends_on: tuple[ModelName, ...] = ()
    """Models of which any write makes it stale, though the query reads nothing of them."""

    @property
    def is_exact(self) -> bool:
        """Is it to be what the database would answer now?"""
        return self.expire_on == CHANGES

    def extra(self) -> tuple[object, ...]:
        """What they add to the query's fingerprint: nothing, where nothing special is asked for."""
        if self == PLAIN:
            return ()
        labels = sorted(_model(each)._meta.label for each in self.depends_on)
        return "terms", self.prefix, self.name, tuple(sorted(self.expire_on)), tuple(labels)

    def applied(self, clauses: Clauses, model: type[Model], using: str) -> Clauses:
        """The *clauses* of a query on *model*, on these terms.

        Raises:
            Uncacheable: where it is to depend on a model whose writes are not looked at.
        """
        if self.is_exact and not self.depends_on:
            return clauses
        own = dict(_tables([model], using))
        kept = (self._narrowed(clause, own) for clause in clauses.clauses)
        return Clauses([*filter(None, kept), *map(_epoch, own), *self._besides(using)])

    def _narrowed(self, clause: Clause, own: dict[Table, Facts]) -> Clause:
        """*clause*, stale only where one of the changes was made; empty, where none can make it stale."""
        if self.is_exact:
            return clause
        places = {Table(tag.database, tag.table) for group in clause for tag in group}
        kinds = {tag.kind for group in clause for tag in group}
        if kinds == {Kind.EPOCH} or len(places) != 1 or not places <= own.keys():
            return clause
        [place] = places
        minded = next((group for group in clause if _is_of_changes(group)), None)
        others = {group for group in clause if group not in (minded, {place.any})}
        if minded is None:
            minded = frozenset({place.created, place.deleted, *map(place.column, own[place].fields)})
        minded = frozenset(tag for tag in minded if _CHANGE[tag.kind] in self.expire_on)
        return frozenset({minded, *others}) if minded else frozenset()

    def _besides(self, using: str) -> Iterator[Clause]:
        for place, facts in _tables(map(_model, self.depends_on), using):
            if facts.excluded:
                raise Uncacheable(f"it is to depend on the table {facts.name!r}, which the settings exclude")
            yield _epoch(place)
            yield frozenset({frozenset({place.any})})


PLAIN = Terms()
"""Those of most answers."""


def any_write(models: Iterable[ModelName], using: str) -> Clauses:
    """The clauses of what any write to one of *models* makes stale.

    Raises:
        Uncacheable: where writes to one of them are not looked at.
    """
    return Clauses(Terms(depends_on=tuple(models))._besides(using))


_CHANGE: dict[Kind, Change] = {Kind.CREATED: "create", Kind.DELETED: "delete", Kind.COLUMN: "update"}


def _is_of_changes(group: Group) -> bool:
    return {tag.kind for tag in group} <= _CHANGE.keys()


def _epoch(place: Table) -> Clause:
    return frozenset({frozenset({place.epoch})})


def _model(name: ModelName) -> type[Model]:
    return apps.get_model(name) if isinstance(name, str) else name


def _tables(models: Iterable[type[Model]], using: str) -> Iterator[tuple[Table, Facts]]:
    """The tables that rows of *models* are in: those of inherited models too."""
    for model in models:
        for each in [model, *model._meta.all_parents]:
            facts = table_of(each, connections[using].vendor)
            if facts is not None:
                yield table(using, facts.name), facts


def changes(given: Iterable[str]) -> frozenset[Change]:
    """The changes of *given* names.

    Raises:
        ValueError: for anything else.
    """
    names = [given] if isinstance(given, str) else list(given)
    found = frozenset(each for each in CHANGES if each in names)
    if isinstance(given, str) or len(found) != len(set(names)):
        raise ValueError(f"expire_on takes a list of 'create', 'update' and 'delete', not {given!r}.")
    return found
