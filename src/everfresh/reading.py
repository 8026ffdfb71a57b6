"""The read path: every cached answer, of whatever face, is read and filled here and nowhere else.

look at the entry and its tags -> not stale: a hit
else take the versions -> compute -> store under the versions that were taken *before*
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh import codec
from everfresh.clauses import Clauses
from everfresh.conf import settings
from everfresh.events import Outcome, Verified, emit
from everfresh.exceptions import Unencodable
from everfresh.journal import Journal, journal_of
from everfresh.signals import stale_answer
from everfresh.stores import Store, current_store

__all__ = ["Answer", "Body", "Wanted", "read"]

T = TypeVar("T")

log = logging.getLogger("everfresh")


@dataclass(frozen=True, slots=True)
class Body(Generic[T]):
    """How the answers of one kind become bytes and come back."""

    encode: Callable[[T], bytes]
    """Raises `Unencodable` where the bytes would not give back exactly the same."""

    decode: Callable[[bytes | memoryview], T | codec.Miss]
    """Gives ``codec.MISS`` for bytes it does not know, never an exception."""

    same: Callable[[T, T], bool] = operator.eq
    """Are two answers the same? Rows may come in any order that the query leaves open."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry, by what names it and what can touch it."""

    key: str
    clauses: Clauses
    names: tuple[str, ...]
    """The store's names of the clauses' tags, in their order."""

    timeout: float | None
    """Seconds; ``None`` is for ever, 0 stores nothing."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was asked for, and where it came from."""

    value: T
    outcome: Outcome
    reason: str = ""

    @property
    def from_cache(self) -> bool:
        """Did it come without a query?"""
        return self.outcome is Outcome.HIT


def read(wanted: Wanted, connection: BaseDatabaseWrapper, compute: Callable[[], T], body: Body[T]) -> Answer[T]:
    """The answer of *compute*, from the cache where that is the same as computing it now.

    Args:
        wanted: the entry.
        connection: the one that *compute* queries; its transaction decides what may be served and stored.
        compute: asks the database. Called at most once, and after the versions were taken.
        body: turns the answer into bytes.
    """
    store = _store_for(wanted, connection)
    if store is None:
        return Answer(compute(), Outcome.BYPASS, "the transaction is broken")
    snapshot = store.read(wanted.key, wanted.names)
    if snapshot.entry is not None:
        value = _valid(snapshot.entry, snapshot.versions, wanted.clauses, body)
        if not isinstance(value, codec.Miss):
            if settings().verify and random() < settings().verify:  # noqa: S311  a share, not a secret
                _verify(store, wanted, snapshot.versions, value, compute, body)
            return Answer(value, Outcome.HIT)
    return _fill(store, wanted, compute, body)


def _store_for(wanted: Wanted, connection: BaseDatabaseWrapper) -> Store | None:
    journal: Journal = journal_of(connection)
    if not journal.in_transaction:
        return current_store()
    if connection.needs_rollback:
        # Django refuses queries here; an answer from the cache would hide that.
        return None
    if journal.reads_snapshot or wanted.clauses.stale(journal.touches(wanted.names)):
        return journal.overlay()
    return current_store()


def _valid(entry: bytes, live: tuple[bytes | None, ...], clauses: Clauses, body: Body[T]) -> T | codec.Miss:
    packed = codec.matches(entry, live)
    if packed is None:
        stored = codec.unpack_versions(entry, len(live))
        if stored is None or clauses.stale_between(stored, live):
            return codec.MISS
        packed = codec.unpack_body(entry, len(live))
    return codec.MISS if packed is None else body.decode(packed)


def _verify(
    store: Store,
    wanted: Wanted,
    versions: tuple[bytes | None, ...],
    cached: T,
    compute: Callable[[], T],
    body: Body[T],
) -> None:
    """Compute a hit again. A difference is a stale answer, unless a tag moved meanwhile."""
    computed = compute()
    differs = not body.same(cached, computed)
    stale = differs and store.read(wanted.key, wanted.names).versions == versions
    words = tuple(wanted.clauses.words())
    event = Verified(stale=stale, key=wanted.key, clauses=words, versions=versions, cached=cached, computed=computed)
    emit(event)
    if stale:
        log.error("A stale answer under %s, which is stale when %s: %r, not %r.", wanted.key, words, cached, computed)
        stale_answer.send(sender=None, event=event)


def _fill(store: Store, wanted: Wanted, compute: Callable[[], T], body: Body[T]) -> Answer[T]:
    limits = settings().limits
    fill = store.begin_fill(wanted.key, wanted.names, limits.lease_seconds)
    if fill.lease is None:
        return Answer(compute(), Outcome.MISS, "another reader fills it, or the store is down")
    stored = False
    try:
        # The proof in one line: the versions were taken above, so whatever commits from here on moves them.
        value = compute()
        reason = _reason_not_to_store(wanted, fill.versions)
        if not reason:
            entry, reason = _pack(value, fill.versions, body)
            if entry is not None:
                store.fill(wanted.key, entry, fill.lease, wanted.timeout)
                stored = True
    finally:
        if not stored:
            store.release(wanted.key, fill.lease)
    return Answer(value, Outcome.FILL if stored else Outcome.MISS, reason)


def _reason_not_to_store(wanted: Wanted, versions: tuple[bytes | None, ...]) -> str:
    if wanted.timeout == 0:
        return "its timeout is 0"
    if wanted.clauses.stale([version is None for version in versions]):
        return "a writer is about to commit"
    return ""


def _pack(value: T, versions: tuple[bytes | None, ...], body: Body[T]) -> tuple[bytes | None, str]:
    limits = settings().limits
    try:
        packed = body.encode(value)
    except Unencodable as error:
        return None, f"it holds {error}, which has no exact bytes"
    entry = codec.pack_entry(versions, packed, compress_above=limits.compress_above)
    if len(entry) > limits.size:
        return None, f"it has {len(entry)} bytes, more than the limit of {limits.size}"
    return entry, ""
