"""What a store is: the operations that the read path and the write path meet in.

A store knows nothing of tables or queries. It holds *entries* (bytes by key) and *tags* (random 8-byte
versions by name). Names are short printable ASCII strings without spaces, entries are opaque bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "LIFETIME_SECONDS",
    "NOT_DECODED",
    "NO_KEY",
    "VERSION_BYTES",
    "Fill",
    "Held",
    "Snapshot",
    "Snapshots",
    "Store",
    "new_versions",
    "with_held",
]

VERSION_BYTES = 8

LIFETIME_SECONDS = 7 * 24 * 3600.0
"""How long lives what has no timeout, where nothing may live for ever."""

NO_KEY = "-"
"""Under this key there is never an entry: for who asks about tags only."""


def new_versions(count: int) -> list[bytes]:
    """*count* random versions of 8 bytes each. Random, not counted: no evicted tag can come back as an old one."""
    noise = os.urandom(VERSION_BYTES * count)
    return [noise[at : at + VERSION_BYTES] for at in range(0, len(noise), VERSION_BYTES)]


NOT_DECODED: Final = object()
"""What a :class:`Held` holds at first."""


class Held:
    """A place for what an entry says, beside a copy of it in this process: whoever decodes it first puts it here.

    The value must be one that nobody changes: threads share it.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: object = NOT_DECODED


def with_held(tags: Sequence[str], held: Mapping[str, Sequence[str]] | None) -> Sequence[str]:
    """*tags*, those *held*, and those under them: all that moves where nothing is given back."""
    return [*tags, *held, *(tag for under in held.values() for tag in under)] if held else tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at a store: the entry of a key, and the versions of the tags asked for."""

    entry: bytes | None
    """The stored bytes, or ``None`` when there are none."""

    versions: tuple[bytes | None, ...]
    """One for each tag, in order. ``None``: missing or pending, both of which count as moved."""

    held: Held | None = field(default=None, compare=False)
    """Where a copy in this process keeps what the entry says; lives as long as the copy. ``None``: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """One look at a store: the entries of several keys, and the versions of all their tags."""

    entries: tuple[bytes | None, ...]
    """One for each key, in order."""

    versions: tuple[bytes | None, ...]
    """One for each tag, in order. ``None``: missing or pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What a reader may rely on while it asks the database."""

    versions: tuple[bytes | None, ...]
    """One for each tag, in order, read (or created) before the query runs. ``None``: a writer is pending."""

    lease: bytes | None
    """The right to store under the key. ``None``: another reader holds it, or the store cannot be reached."""

    is_down: bool = False
    """Could the store not be reached, so that nobody holds the lease?"""


class Store(Protocol):
    """Where entries and tag versions live. All lifetimes are in seconds; ``None`` is for ever.

    Indexes are for who looks for entries by name: people, and patterns. No answer's validity hangs on them.
    """

    @property
    def counts_marks(self) -> bool:
        """Do marks of overlapping writers of a tag count, so that the first ``done`` does not undo the second mark?"""
        ...

    @property
    def holds(self) -> bool:
        """Does a tag that was marked in the place of many (*held* of ``mark`` and ``done``) get its version back?"""
        ...

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags* in one round trip.

        With *near*, the look may be one at a copy in this process that is the same, and may leave such a copy. A store
        without copies takes no notice of it.
        """
        ...

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags* in one round trip; *near* as in :meth:`read`.

        Copies are left only with *own*: the tags of each key, all of which stand in *tags*.
        """
        ...

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* that are missing, except of pending ones, and take the lease on *key*.

        With *lease_seconds* ``0`` no lease is taken.
        """
        ...

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds and give the *lease* back.

        Also when the lease was lost in the meantime: the versions inside the entry judge it, not the lease.
        """
        ...

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds; no leases were taken on them."""
        ...

    @property
    def renews(self) -> bool:
        """Can it change how an entry begins, and leave the rest and its end as they are?"""
        ...

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before*, which is as long.

        It ends when it would have ended.
        """
        ...

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*; leases on them stay."""
        ...

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back without storing anything."""
        ...

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* pending: no version until :meth:`done` of the same *writer* or for *seconds*.

        So are the tags *held*, each in the place of others: whoever looks at one of those looks at it, too.
        """
        ...

    def done(self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None) -> None:
        """End the *writer*'s mark on *tags* and drop their versions. Harmless when repeated or never marked.

        *held* has the tags under each tag that was held. Their versions are dropped, and then, where the store `holds`,
        it gets its own back, unless another writer has marked it in the meantime or a hold on it ended by time.
        """
        ...

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members*, pairs of an index and any text, into their indexes, for *seconds*. Was it done?"""
        ...

    def enrolled(self, index: str) -> list[str]:
        """The members of *index* whose time is not over, in any order."""
        ...
