"""``cacheme.tags``: what was decorated, by its tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import DEFAULT_DB_ALIAS, transaction

from everfresh import names
from everfresh.nodes import node_classes
from everfresh.stores import current_store

__all__ = ["Tag", "Tags", "drop_when_committed"]


class Tag:
    """Everything that was computed under one tag (CE-8)."""

    def __init__(self, labels: set[str]) -> None:
        self._labels = labels

    @property
    def objects(self) -> Tag:
        """What can be done with it: `invalid`."""
        return self

    @property
    def keys(self) -> set[str]:
        """The keys of what is stored, with their prefix; some of it may be invalid (CE-22)."""
        return {name for label in self._labels for name in names.names(label)}

    def invalid(self, stale: bool = True, using: str | None = None) -> int:
        """Invalidate it all; returns how much was current until now.

        Args:
            stale: may the old results be served while new ones are computed, where the functions allow it?
            using: the database whose transaction it is part of.
        """
        if not stale:
            drop_when_committed([key for label in self._labels for key, _ in names.listed(label)], using)
        return sum(names.invalidate_label(label, using=using) for label in self._labels)

    def invalid_all(self) -> None:
        """Invalidate it all, as cacheme 0.0.9 called it (CE-22)."""
        self.invalid()


class Tags(Mapping[str, Tag]):
    """The tags of this process: those given to the decorator, the names of functions, and of classes of nodes."""

    def __init__(self) -> None:
        self._labels: dict[str, set[str]] = {}

    def add(self, tag: str, label: str) -> None:
        """What is computed under *label* has this *tag*."""
        self._labels.setdefault(tag, set()).add(label)

    def __getitem__(self, tag: str) -> Tag:
        labels = {*self._labels.get(tag, ()), *self._nodes().get(tag, ())}
        if not labels:
            raise KeyError(f"{tag}: nothing that this process has imported has this tag.")
        return Tag(labels)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._labels, **self._nodes()})

    def __len__(self) -> int:
        return len({**self._labels, **self._nodes()})

    def _nodes(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for label, node in node_classes().items():
            found.setdefault(node.__name__, set()).add(label)
        return found


def drop_when_committed(keys: list[str], using: str | None) -> None:
    """Have nothing old to serve of *keys*, once what invalidates them is committed."""
    transaction.on_commit(lambda: current_store().drop(keys), using=using or DEFAULT_DB_ALIAS)
