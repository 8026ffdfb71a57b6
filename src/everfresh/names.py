"""Stored results by their names: which there are, and how they are invalidated.

What invalidates is a tag, as everywhere. The index only tells which names there are, for counting and for patterns; an
entry is put into it before the versions are taken that it depends on, so nothing is on its way unlisted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice

from everfresh.recorded import count_current, label_index, tag_label
from everfresh.stores import current_store
from everfresh.writing.invalidation import invalidate_tags

__all__ = [
    "count_label",
    "invalidate_label",
    "invalidate_name",
    "invalidate_pattern",
    "labels",
    "matching",
    "names",
    "tag_label",
]

_CHUNK = 500


def labels() -> list[str]:
    """The labels under which any process has stored something, sorted; ``tag:…`` are the tags that people named.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    return sorted(current_store().enrolled(label_index()))


def names(label: str) -> list[str]:
    """The names of what is stored under *label*, sorted; some of it may be stale.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    return sorted({name for _, name in _members(label)})


def matching(pattern: str) -> list[str]:
    """The names of what is stored, under any label, that match *pattern*: ``*``, ``?`` and ``[…]``, in any case given.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    return sorted({name for label in labels() for name in names(label) if fnmatchcase(name, pattern)})


def count_label(label: str) -> int:
    """How many results are stored under *label* and are current.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    return sum(map(count_current, _chunks([key for key, _ in _members(label)])))


def invalidate_label(label: str, *, using: str | None = None) -> int:
    """Invalidate everything under *label*; returns how much was current until now.

    Inside a transaction on the database *using* (left out: the default one) it takes effect at its COMMIT, else at
    once.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    found = list(_members(label))
    count = sum(map(count_current, _chunks([key for key, _ in found])))
    tag = label.removeprefix(tag_label(""))
    invalidate_tags(tag if tag != label else f"label:{label}", using=using)
    current_store().strike(label_index(label), [f"{key} {name}" for key, name in found])
    return count


def invalidate_name(*names: str, using: str | None = None) -> None:
    """Invalidate what is stored under these *names*, whatever their labels."""
    invalidate_tags(*(f"name:{name}" for name in names), using=using)


def invalidate_pattern(pattern: str, *, using: str | None = None) -> int:
    """Invalidate everything whose name matches *pattern*; returns how many names that were.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    found = matching(pattern)
    for chunk in _chunks(found):
        invalidate_name(*chunk, using=using)
    return len(found)


def _members(label: str) -> Iterator[tuple[str, str]]:
    for member in current_store().enrolled(label_index(label)):
        key, _, name = member.partition(" ")
        yield key, name


def _chunks(items: list[str]) -> Iterator[list[str]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
