"""Reading one entry: the read path of every answer that is stored whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from struct import Struct
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh import ages, codec
from everfresh.conf import settings
from everfresh.events import Outcome
from everfresh.journal import Journal, is_in_transaction, journal_of
from everfresh.peeking import NotHeld, handed, is_peeking
from everfresh.reading.entries import (
    Answer,
    Body,
    Wanted,
    note,
    note_peeked,
    pack,
    reason_not_to_store,
    renewed_hit,
    valid,
    verify,
)
from everfresh.recording import computing, current_recording
from everfresh.stores import NOT_DECODED, Snapshot, Store, current_store

__all__ = ["drop", "read"]

T = TypeVar("T")


def read(
    wanted: Wanted, connection: BaseDatabaseWrapper, compute: Callable[[], T], body: Body[T], *, fresh: bool = False
) -> Answer[T]:
    """The answer of *compute*, from the cache where that is the same as computing it now.

    Args:
        wanted: the entry.
        connection: the one that *compute* queries; its transaction decides what may be served and stored.
        compute: asks the database. Called at most once, and after the versions were taken.
        body: turns the answer into bytes.
        fresh: pass over what is stored, and store what is computed in its place.
    """
    if is_peeking():
        return _peeked(wanted, connection.alias, body, fresh=fresh)
    store = _store_for(wanted, connection)
    if store is None:
        return Answer(compute(), Outcome.BYPASS, "the transaction is broken")
    old = None
    snapshot = None if fresh else store.read(wanted.key, wanted.names, near=wanted.near)
    if snapshot is not None and snapshot.entry is not None:
        seen = _value(wanted, snapshot, snapshot.entry, body)
        value, has_moved = seen
        if not isinstance(value, codec.Miss):
            versions = snapshot.versions
            if has_moved:
                versions = renewed_hit(store, wanted, snapshot.entry, versions)
            if wanted.is_to_be_verified:
                verify(store, wanted, versions, value, compute, body)
            note(wanted, versions)
            return Answer(value, Outcome.HIT)
        if wanted.grace is not None:
            old = _old(wanted, wanted.grace, snapshot.entry, snapshot.versions, body)
    return _fill(store, wanted, compute, body, old)


def _peeked(wanted: Wanted, alias: str, body: Body[T], *, fresh: bool) -> Answer[T]:
    """The answer of a copy in this process, or of what the reader was handed, where that is all there is to it.

    Raises:
        NotHeld: where it is not.
    """
    # Also with what was handed over: a transaction may have begun while that was waited for.
    if fresh or settings().verify or is_in_transaction(alias):
        raise NotHeld
    snapshot = _copy(wanted) if wanted.near else _handed(wanted)
    if snapshot.entry is None:
        raise NotHeld
    seen = _value(wanted, snapshot, snapshot.entry, body)
    value, has_moved = seen
    if isinstance(value, codec.Miss):
        raise NotHeld
    note_peeked(wanted, snapshot.versions, has_moved=has_moved)
    return Answer(value, Outcome.HIT)


def _copy(wanted: Wanted) -> Snapshot:
    copy = current_store().peek(wanted.key, wanted.names)
    if copy is None:
        # Not handed over: it is the look of a thread that leaves a copy.
        raise NotHeld
    return copy


def _handed(wanted: Wanted) -> Snapshot:
    seen = handed([wanted.key], wanted.names)
    return Snapshot(entry=seen.entries[0], versions=seen.versions)


def _value(wanted: Wanted, snapshot: Snapshot, entry: bytes, body: Body[T]) -> tuple[T | codec.Miss, bool]:
    """The answer, as `valid` gives it."""
    if wanted.grace is not None:
        return valid(entry, snapshot.versions, wanted.clauses, _ending(body))
    held = snapshot.held
    if held is None:
        return valid(entry, snapshot.versions, wanted.clauses, body)
    # A copy is found only by its key, which says what kind of answer it is, and under the versions it was valid by.
    known: Any = held.value
    if known is not NOT_DECODED:
        return known, False
    seen = valid(entry, snapshot.versions, wanted.clauses, body)
    value = seen[0]
    if not isinstance(value, codec.Miss) and body.is_frozen(value):
        held.value = value
    return seen


def drop(wanted: Sequence[Wanted], connection: BaseDatabaseWrapper) -> None:
    """Forget what is stored of *wanted*, for everybody, and in the transaction on *connection* as well."""
    keys = [each.key for each in wanted]
    journal = journal_of(connection)
    if journal.in_transaction:
        journal.overlay().drop(keys)
    current_store().drop(keys)


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


def _fill(
    store: Store,
    wanted: Wanted,
    compute: Callable[[], T],
    body: Body[T],
    old: Answer[T] | None,
) -> Answer[T]:
    limits = settings().limits
    fill = store.begin_fill(wanted.key, wanted.names, limits.lease_seconds)
    if fill.lease is None and old is not None and not fill.is_down:
        if (recording := current_recording()) is not None:
            # What is computed from something old is nothing to keep.
            recording.moved = True
        return old
    note(wanted, fill.versions)
    if fill.lease is None:
        with computing():
            return Answer(compute(), Outcome.MISS, "another reader fills it, or the store is down")
    stored = False
    try:
        # The proof in one line: the versions were taken above, so whatever commits from here on moves them.
        with computing():
            value = compute()
        reason = reason_not_to_store(wanted, fill.versions)
        if not reason:
            lifetime = settings().lifetime(wanted.timeout)
            if wanted.grace is not None:
                end = ages.end_of(lifetime)
                body = _ending(body, inf if end is None else end)
                lifetime = None if lifetime is None else lifetime + wanted.grace
            entry, reason = pack(value, fill.versions, body)
            if entry is not None:
                store.fill(wanted.key, entry, fill.lease, lifetime)
                stored = True
    finally:
        if not stored:
            store.release(wanted.key, fill.lease)
    return Answer(value, Outcome.FILL if stored else Outcome.MISS, reason)


_end = Struct(">d")


def _ending(body: Body[T], end: float = inf) -> Body[T]:
    """*body*, with the *end* of its lifetime before it, though it is kept for longer; after that it is a miss."""

    def decode(data: bytes | memoryview) -> T | codec.Miss:
        if len(data) < _end.size or ages.is_over(_end.unpack_from(data)[0]):
            return codec.MISS
        return body.decode(data[_end.size :])

    return Body(lambda value: _end.pack(end) + body.encode(value), decode, body.same)


def _old(wanted: Wanted, grace: float, entry: bytes, live: tuple[bytes | None, ...], body: Body[T]) -> Answer[T] | None:
    """The answer in *entry*, which is not what it should be, if it may be served all the same."""
    versions, packed = codec.unpack_versions(entry, len(live)), codec.unpack_body(entry, len(live))
    if versions is None or packed is None or len(packed) < _end.size:
        return None
    is_valid = not wanted.clauses.stale_between(versions, live)
    if not ages.may_still_serve(wanted.key, versions, _end.unpack_from(packed)[0], grace, is_valid=is_valid):
        return None
    value = body.decode(packed[_end.size :])
    return None if isinstance(value, codec.Miss) else Answer(value, Outcome.STALE, "another reader fills it")
