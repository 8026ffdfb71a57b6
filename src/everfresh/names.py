"""Stored results by their names: which there are, and how they are invalidated.

What invalidates is a tag, as everywhere. The index only tells which names there are, for counting and for patterns; an
entry is put into it before the versions are taken that it depends on, so nothing is on its way unlisted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice

from everfresh.recorded import count_current, current_dependencies, label_index, tag_label
from everfresh.recording import Dependencies
from everfresh.stores import current_store
from everfresh.writing.invalidation import invalidate_tags

__all__ = [
    "count_label",
    "current",
    "invalidate_label",
    "invalidate_name",
    "invalidate_pattern",
    "is_tag",
    "labels",
    "listed",
    "matching",
    "names",
    "tag_label",
    "tag_of",
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
    return sorted({name for _, name in listed(label)})


def matching(pattern: str) -> list[str]:
    """The names of what is stored, under any label, that match *pattern*: ``*``, ``?`` and ``[…]``, in any case given.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    # What is listed under a tag of people's is listed under its own label too.
    own = [label for label in labels() if not is_tag(label)]
    return sorted({name for label in own for name in names(label) if fnmatchcase(name, pattern)})


def listed(label: str) -> list[tuple[str, str]]:
    """The key and the name of each result stored under *label*; some of them may be stale.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    members = (member.partition(" ") for member in current_store().enrolled(label_index(label)))
    return [(key, name) for key, _, name in members]


def current(keys: Iterable[str]) -> dict[str, Dependencies]:
    """What makes stale what is stored under *keys*: of what is current, by key."""
    found: dict[str, Dependencies] = {}
    for chunk in _chunks(keys):
        found |= current_dependencies(chunk)
    return found


def is_tag(label: str) -> bool:
    """Is *label* that of a tag that people named, and not what computes its results?"""
    return label.startswith(tag_label(""))


def tag_of(label: str) -> str:
    """The tag that everything under *label* depends on."""
    return label.removeprefix(tag_label("")) if is_tag(label) else f"label:{label}"


def count_label(label: str) -> int:
    """How many results are stored under *label* and are current.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    return sum(map(count_current, _chunks(key for key, _ in listed(label))))


def invalidate_label(label: str, *, using: str | None = None) -> int:
    """Invalidate everything under *label*; returns how much was current until now.

    Inside a transaction on the database *using* (left out: the default one) it takes effect at its COMMIT, else at
    once.

    Raises:
        StoreUnreachable: when the store does not answer.
    """
    count = count_label(label)
    invalidate_tags(tag_of(label), using=using)
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


def _chunks(items: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
