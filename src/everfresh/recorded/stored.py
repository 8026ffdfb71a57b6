"""What is stored of computations: found with what it depends on, and judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings as django_settings
from django.db.models import QuerySet

from everfresh import ages, codec
from everfresh.bounded import Bounded
from everfresh.conf import settings
from everfresh.exceptions import Unencodable
from everfresh.reading import renewed
from everfresh.recorded.computations import Computation
from everfresh.recording import Dependencies, Recording, current_recording
from everfresh.stores import NO_KEY, current_store
from everfresh.stores.base import LIFETIME_SECONDS

__all__ = [
    "Stored",
    "awaited",
    "count_current",
    "current_dependencies",
    "held",
    "longest",
    "look",
    "pack_body",
    "renew",
    "store",
]

_names: Bounded[str, tuple[str, ...]] = Bounded(4_096)
"""The tags of the entries seen last, by key: without them a hit costs a second look at the store."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry, as it was found."""

    value: Any
    is_valid: bool
    """Has nothing moved that it depends on?"""

    dependencies: Dependencies
    was: tuple[bytes | None, ...]
    """The versions under which it was stored, one for each name."""

    versions: tuple[bytes | None, ...]
    """Those of now."""

    seconds: float
    expires: float | None

    def is_current(self, computation: Computation) -> bool:
        """Is it what is to be served?"""
        return self.is_valid and (computation.grace is None or not ages.is_over(self.expires))

    def may_still_serve(self, key: str, computation: Computation) -> bool:
        """May it be served though it is old?"""
        if computation.grace is None:
            return False
        return ages.may_still_serve(key, self.was, self.expires, computation.grace, is_valid=self.is_valid)

    @property
    def is_noted_at_once(self) -> bool:
        """Does it take nobody else to tell whoever records?"""
        return None not in self.versions or current_recording() is None

    def note(self, computation: Computation) -> None:
        """Tell whoever records what is read."""
        if (outer := current_recording()) is not None:
            pairs = zip(self.dependencies.names, self.versions, strict=True)
            limits = (computation.timeout, None if self.expires is None else ages.left_until(self.expires))
            timeout = min((each for each in limits if each is not None), default=None)
            outer.note(self.dependencies.clauses(), pairs, timeout)


def held(key: str) -> Stored | None:
    """What is stored under *key*, if this process holds a copy; without waiting for anybody."""
    names = _names.get(key)
    copy = None if names is None else current_store().peek(key, names)
    return None if names is None or copy is None else _known(key, names, copy.entry, copy.versions)


async def awaited(key: str) -> Stored | None:
    """What is stored under *key*, by one look at the store that is waited for on the running loop.

    ``None`` also where that is not enough, or cannot be, and where it has to be stored anew (see `renew`).
    """
    names = _names.get(key)
    seen = None if names is None else await current_store().aread_many([key], names)
    if names is None or seen is None:
        return None
    stored = _known(key, names, seen.entries[0], seen.versions)
    return stored if stored is not None and stored.was == stored.versions else None


def _known(key: str, names: tuple[str, ...], entry: bytes | None, versions: tuple[bytes | None, ...]) -> Stored | None:
    unpacked = None if entry is None else codec.unpack_computed(entry)
    if unpacked is None or unpacked[0].names != names:
        return None
    return _stored(key, *unpacked, dict(zip(names, versions, strict=True)))


def look(keys: Sequence[str], *, near: bool = False) -> list[Stored | None]:
    """What is stored under *keys*: one look, and a second one for those whose tags are not known here.

    With *near*, the first may be one at copies in this process, and may leave some.
    """
    store = current_store()
    guessed = [_names.get(key, ()) for key in keys]
    names = list(dict.fromkeys(name for each in guessed for name in each))
    snapshots = store.read_many(keys, names, near=near and all(guessed), own=guessed)
    live = dict(zip(names, snapshots.versions, strict=True))
    unpacked = [None if entry is None else codec.unpack_computed(entry) for entry in snapshots.entries]
    unknown = list(dict.fromkeys(name for each in unpacked if each for name in each[0].names if name not in live))
    if unknown:
        live |= zip(unknown, store.read(NO_KEY, unknown).versions, strict=True)
    return [None if each is None else _stored(key, *each, live) for key, each in zip(keys, unpacked, strict=True)]


def renew(key: str, stored: Stored) -> Stored:
    """What is *stored* under *key* and valid, under later versions where tags have moved that did not end it."""
    if not stored.is_valid or stored.was == stored.versions:
        return stored
    names, stale = stored.dependencies.names, stored.dependencies.stale
    versions = renewed(current_store(), key, names, stored.was, stored.versions, stale)
    return replace(stored, versions=versions)


def _stored(
    key: str,
    head: codec.Computed,
    versions: tuple[bytes | None, ...],
    body: bytes,
    live: dict[str, bytes | None],
) -> Stored | None:
    _names[key] = head.names
    value = codec.unpack_any(body, key, _secrets())
    if isinstance(value, codec.Miss):
        return None
    dependencies = Dependencies(head.names, head.positions)
    moved = [was is None or was != live[name] for name, was in zip(head.names, versions, strict=True)]
    return Stored(
        value=value,
        is_valid=not dependencies.stale(moved),
        dependencies=dependencies,
        was=versions,
        versions=tuple([live[name] for name in head.names]),
        seconds=head.seconds,
        expires=head.expires,
    )


def store(
    key: str, computation: Computation, recorded: Recording, seconds: float, body: bytes, lease: bytes | None
) -> str:
    """Store what took *seconds* to compute. Returns why that was not possible; empty when it was."""
    # What is listed by its name has an end, so that the list does not grow for ever; and never after that of its place
    # in the list, which was made for the timeout of its own.
    timeout = recorded.timeout
    if computation.name:
        timeout = min(longest(recorded.timeout), longest(computation.timeout))
    lifetime = settings().lifetime(timeout)
    dependencies = Dependencies.of(recorded.clauses)
    versions = [recorded.versions[name] for name in dependencies.names]
    head = codec.Computed(
        dependencies.names,
        tuple(tuple(map(tuple, clause)) for clause in dependencies.positions),
        seconds,
        # What nothing limits gives no end to what is computed from it.
        None if recorded.timeout is None else ages.end_of(lifetime),
    )
    entry = codec.pack_computed(head, versions, body, compress_above=settings().limits.compress_above)
    if len(entry) > settings().limits.size:
        return f"it has {len(entry)} bytes, more than the limit of {settings().limits.size}"
    if lifetime is not None and computation.grace is not None:
        lifetime += computation.grace
    current_store().fill(key, entry, lease or b"", lifetime)
    _names[key] = dependencies.names
    return ""


def count_current(keys: Sequence[str]) -> int:
    """How many of *keys*, as an index holds them, lead to something that is current."""
    return len(current_dependencies(keys))


def current_dependencies(keys: Sequence[str]) -> dict[str, Dependencies]:
    """What makes stale what *keys*, as an index holds them, lead to: of what is current, by key."""
    found = zip(keys, look(keys), strict=True)
    return {key: stored.dependencies for key, stored in found if stored is not None and stored.is_valid}


def longest(timeout: float | None) -> float:
    """The seconds of *timeout*, those of ``None`` being the longest that anything is kept with a name."""
    return LIFETIME_SECONDS if timeout is None else timeout


def pack_body(value: Any, key: str) -> tuple[bytes | None, str]:
    """The bytes of *value*, or why there are none."""
    if isinstance(value, QuerySet):
        len(value)
    try:
        return codec.pack_any(value, key, django_settings.SECRET_KEY if settings().pickle else None), ""
    except Unencodable as error:
        return None, f"it holds {error}, which has no exact bytes"


def _secrets() -> list[str]:
    return (
        [str(key) for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
        if settings().pickle
        else []
    )
