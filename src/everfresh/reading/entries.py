"""What is read: one entry by what names it and what can touch it, how its answer is judged, packed and told of."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import random
from typing import Generic, TypeVar

from everfresh import codec
from everfresh.clauses import Clauses
from everfresh.conf import settings
from everfresh.events import Outcome, Verified, emit
from everfresh.exceptions import Unencodable
from everfresh.naming import tag_names
from everfresh.peeking import NotHeld, is_peeking
from everfresh.recording import Recording, computing, current_recording
from everfresh.signals import stale_answer
from everfresh.stores import NO_KEY, Store, current_store
from everfresh.tags import Table

__all__ = [
    "Answer",
    "Body",
    "Wanted",
    "note",
    "note_peeked",
    "pack",
    "reason_not_to_store",
    "renewed",
    "renewed_hit",
    "valid",
    "verify",
]

T = TypeVar("T")

log = logging.getLogger("everfresh")


def _never(_value: object) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Body(Generic[T]):
    """How the answers of one kind become bytes and come back."""

    encode: Callable[[T], bytes]
    """Raises `Unencodable` where the bytes would not give back exactly the same."""

    decode: Callable[[bytes | memoryview], T | codec.Miss]
    """Gives ``codec.MISS`` for bytes it does not know, never an exception."""

    same: Callable[[T, T], bool] = operator.eq
    """Are two answers the same? Rows may come in any order that the query leaves open."""

    is_frozen: Callable[[T], bool] = _never
    """Can nobody change this answer, so that all who ask may be given the same one?"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry, by what names it and what can touch it."""

    key: str
    clauses: Clauses
    names: tuple[str, ...]
    """The store's names of the clauses' tags, in their order."""

    timeout: float | None
    """Seconds; ``None`` is for ever, 0 stores nothing."""

    grace: float | None = None
    """Seconds for which it may be served when it is old, while another reader asks the database; ``None``: never."""

    near: bool = False
    """May this process keep a copy?"""

    is_exact: bool = True
    """Is it to be what the database would answer now? Not where ``expire_on`` lets it be older."""

    @property
    def is_to_be_verified(self) -> bool:
        """Is this hit among the share that is computed again?"""
        share = settings().verify
        return share > 0 and self.is_exact and random() < share  # noqa: S311  a share, not a secret


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was asked for, and where it came from."""

    value: T
    outcome: Outcome
    reason: str = ""

    @property
    def from_cache(self) -> bool:
        """Did it come without a query?"""
        return self.outcome in (Outcome.HIT, Outcome.STALE)


def note(wanted: Wanted, versions: tuple[bytes | None, ...]) -> None:
    """Tell whoever records what is read."""
    recording = current_recording()
    if recording is not None:
        # The project's own TIMEOUT says nothing of this query: what was computed from it may be kept for longer.
        timeout = None if wanted.timeout == settings().timeout else wanted.timeout
        if len(recording.versions) < settings().limits.recorded_tags or not _note_tables(recording, wanted, timeout):
            recording.note(wanted.clauses.named(wanted.names), zip(wanted.names, versions, strict=True), timeout)


def note_peeked(wanted: Wanted, versions: tuple[bytes | None, ...], *, has_moved: bool) -> None:
    """As `note`, of a hit of who must not wait; *has_moved* as `valid` gives it.

    Raises:
        NotHeld: where the store has to be told something, or asked.
    """
    # A copy is renewed by the next one who reads it in a thread.
    if (has_moved and not wanted.near) or (None in versions and current_recording() is not None):
        raise NotHeld
    note(wanted, versions)


def _note_tables(recording: Recording, wanted: Wanted, timeout: float | None) -> bool:
    """Note a read by its tables alone, so that no recording grows without bound. Was that possible?

    Not the first one of a table: its version has to be of before the read, so it is taken now, for those to come.
    """
    tables = {Table(tag.database, tag.table) for tag in wanted.clauses.tags}
    names = tag_names(each.any.name for each in tables)
    unknown = [name for name in names if name not in recording.versions]
    if not unknown:
        recording.note([frozenset({frozenset({name})}) for name in names], (), timeout)
        return True
    if is_peeking():
        raise NotHeld
    recording.versions.update(zip(unknown, current_store().begin_fill(NO_KEY, unknown, 0).versions, strict=True))
    return False


def valid(entry: bytes, live: tuple[bytes | None, ...], clauses: Clauses, body: Body[T]) -> tuple[T | codec.Miss, bool]:
    """The answer in *entry*, unless it is stale under the versions *live*; and has any of them moved all the same?"""
    packed = codec.matches(entry, live)
    has_moved = packed is None
    if has_moved:
        stored = codec.unpack_versions(entry, len(live))
        if stored is None or clauses.stale_between(stored, live):
            return codec.MISS, True
        packed = codec.unpack_body(entry, len(live))
    return codec.MISS if packed is None else body.decode(packed), has_moved


def renewed(
    store: Store,
    key: str,
    names: Sequence[str],
    was: Sequence[bytes | None],
    live: tuple[bytes | None, ...],
    stale: Callable[[Sequence[bool]], bool],
) -> tuple[bytes | None, ...]:
    """The versions of a hit of which a tag has moved without making it stale: new ones, under which it is now stored.

    Else moves by different writes, none of which changed the answer, would add up until each group of a clause has
    moved. What was valid under the versions that are taken now is as good as computed under them.

    A store that cannot change how an entry begins is asked for them only while somebody records: a tag that moved has
    no version, other reads of the recording would give it one, and the recording would have seen two.

    Args:
        store: where it was found.
        key: of the entry.
        names: of its tags.
        was: the versions that it was stored under.
        live: those under which it was found to be valid.
        stale: is it stale, when for each of *names* is told whether it moved?
    """
    if not store.renews and (None not in live or current_recording() is None):
        return live
    now = store.begin_fill(NO_KEY, names, 0).versions
    if stale([before is None or before != version for before, version in zip(was, now, strict=True)]):
        return live
    if store.renews and None not in now:
        store.renew(key, codec.head(was), codec.head(now))
    return now


def renewed_hit(store: Store, wanted: Wanted, entry: bytes, live: tuple[bytes | None, ...]) -> tuple[bytes | None, ...]:
    """As `renewed`, of an *entry* that is valid under *live*."""
    was = codec.unpack_versions(entry, len(live))
    return live if was is None else renewed(store, wanted.key, wanted.names, was, live, wanted.clauses.stale)


def verify(
    store: Store,
    wanted: Wanted,
    versions: tuple[bytes | None, ...],
    cached: T,
    compute: Callable[[], T],
    body: Body[T],
) -> None:
    """Compute a hit again. A difference is a stale answer, unless a tag moved meanwhile."""
    with computing():
        computed = compute()
    differs = not body.same(cached, computed)
    stale = differs and store.read(wanted.key, wanted.names).versions == versions
    words = tuple(wanted.clauses.words())
    event = Verified(stale=stale, key=wanted.key, clauses=words, versions=versions, cached=cached, computed=computed)
    emit(event)
    if stale:
        log.error("A stale answer under %s, which is stale when %s: %r, not %r.", wanted.key, words, cached, computed)
        stale_answer.send(sender=None, event=event)


def reason_not_to_store(wanted: Wanted, versions: tuple[bytes | None, ...]) -> str:
    """Why its answer is not to be kept; empty when it is."""
    if wanted.timeout == 0:
        return "its timeout is 0"
    if wanted.clauses.stale([version is None for version in versions]):
        return "a writer is about to commit"
    return ""


def pack(value: T, versions: tuple[bytes | None, ...], body: Body[T]) -> tuple[bytes | None, str]:
    """The entry that holds *value*, or why there is none."""
    limits = settings().limits
    try:
        packed = body.encode(value)
    except Unencodable as error:
        return None, f"it holds {error}, which has no exact bytes"
    entry = codec.pack_entry(versions, packed, compress_above=limits.compress_above)
    if len(entry) > limits.size:
        return None, f"it has {len(entry)} bytes, more than the limit of {limits.size}"
    return entry, ""
