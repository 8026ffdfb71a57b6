"""The read path: every cached answer, of whatever face, is read and filled here and nowhere else.

look at the entry and its tags -> not stale: a hit
else take the versions -> compute -> store under the versions that were taken *before*

`read` does so with one entry, `Moment` with several that are to hold at one and the same moment.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from random import random
from struct import Struct
from typing import Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh import ages, codec
from everfresh.clauses import Clauses
from everfresh.conf import settings
from everfresh.events import Outcome, Verified, emit
from everfresh.exceptions import Unencodable
from everfresh.journal import Journal, journal_of
from everfresh.keys import digest
from everfresh.naming import tag_names
from everfresh.recording import Recording, computing, current_recording
from everfresh.signals import stale_answer
from everfresh.stores import NO_KEY, Store, current_store
from everfresh.tags import Table

__all__ = ["Answer", "Body", "Moment", "Moved", "Wanted", "drop", "read"]

T = TypeVar("T")
W = TypeVar("W")

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

    grace: float | None = None
    """Seconds for which it may be served when it is old, while another reader asks the database; ``None``: never."""

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
    stamp: str = field(default="", compare=False)
    """What tells it from what is computed anew, of a recorded computation that is stored."""

    @property
    def from_cache(self) -> bool:
        """Did it come without a query?"""
        return self.outcome in (Outcome.HIT, Outcome.STALE)


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
    store = _store_for(wanted, connection)
    if store is None:
        return Answer(compute(), Outcome.BYPASS, "the transaction is broken")
    old = None
    snapshot = None if fresh else store.read(wanted.key, wanted.names)
    if snapshot is not None and snapshot.entry is not None:
        ending = body if wanted.grace is None else _ending(body)
        value = _valid(snapshot.entry, snapshot.versions, wanted.clauses, ending)
        if not isinstance(value, codec.Miss):
            if wanted.is_to_be_verified:
                _verify(store, wanted, snapshot.versions, value, compute, body)
            _note(wanted, snapshot.versions)
            return Answer(value, Outcome.HIT)
        if wanted.grace is not None:
            old = _old(wanted, wanted.grace, snapshot.entry, snapshot.versions, body)
    return _fill(store, wanted, compute, body, old)


def drop(wanted: Sequence[Wanted], connection: BaseDatabaseWrapper) -> None:
    """Forget what is stored of *wanted*, for everybody, and in the transaction on *connection* as well."""
    keys = [each.key for each in wanted]
    journal = journal_of(connection)
    if journal.in_transaction:
        journal.overlay().drop(keys)
    current_store().drop(keys)


def _note(wanted: Wanted, versions: tuple[bytes | None, ...]) -> None:
    """Tell whoever records what is read."""
    recording = current_recording()
    if recording is not None:
        # The project's own TIMEOUT says nothing of this query: what was computed from it may be kept for longer.
        timeout = None if wanted.timeout == settings().timeout else wanted.timeout
        if len(recording.versions) < settings().limits.recorded_tags or not _note_tables(recording, wanted, timeout):
            recording.note(wanted.clauses.named(wanted.names), zip(wanted.names, versions, strict=True), timeout)


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
    recording.versions.update(zip(unknown, current_store().begin_fill(NO_KEY, unknown, 0).versions, strict=True))
    return False


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
    stamp = digest([version or b"" for version in versions])
    if not ages.may_still_serve(wanted.key, stamp, _end.unpack_from(packed)[0], grace, is_valid=is_valid):
        return None
    value = body.decode(packed[_end.size :])
    return None if isinstance(value, codec.Miss) else Answer(value, Outcome.STALE, "another reader fills it")


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
    _note(wanted, fill.versions)
    if fill.lease is None:
        with computing():
            return Answer(compute(), Outcome.MISS, "another reader fills it, or the store is down")
    stored = False
    try:
        # The proof in one line: the versions were taken above, so whatever commits from here on moves them.
        with computing():
            value = compute()
        reason = _reason_not_to_store(wanted, fill.versions)
        if not reason:
            lifetime = settings().lifetime(wanted.timeout)
            if wanted.grace is not None:
                end = ages.end_of(lifetime)
                body = _ending(body, inf if end is None else end)
                lifetime = None if lifetime is None else lifetime + wanted.grace
            entry, reason = _pack(value, fill.versions, body)
            if entry is not None:
                store.fill(wanted.key, entry, fill.lease, lifetime)
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


# Several entries


class Moved(Exception):
    """What was read a moment ago need no longer be so."""


class Moment:
    """Several entries, read step by step, all of which hold at one moment: that of the last look at the store.

    Each step looks again at the tags of the steps before it. So parts that were read one after the other never show a
    state that the database was in at no time.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        journal = journal_of(connection)
        if connection.needs_rollback:
            raise Moved("the transaction is broken")
        self._store: Store = journal.overlay() if journal.answers_are_private else current_store()
        self._known: list[tuple[Wanted, tuple[bytes | None, ...]]] = []
        self._is_settled = True

    def look(
        self, wanted: Sequence[Wanted], body: Body[T], compute: Callable[[list[int]], Sequence[T]]
    ) -> list[T | codec.Miss]:
        """The answers that the store has, ``MISS`` in place of others, in one round trip.

        Args:
            wanted: the entries.
            body: of all of them.
            compute: asks the database for those at some positions, to verify them.

        Raises:
            Moved: when something read before is no longer so.
        """
        names = self._names(wanted)
        seen = self._store.read_many([each.key for each in wanted], names)
        live = dict(zip(names, seen.versions, strict=True))
        self._check(live)
        self._is_settled = True
        found: list[T | codec.Miss] = []
        for at, (each, entry) in enumerate(zip(wanted, seen.entries, strict=True)):
            versions = tuple([live[name] for name in each.names])
            value: T | codec.Miss = codec.MISS
            if entry is not None:
                value = self._valid(entry, each, versions, body, at, compute)
            found.append(value)
        return found

    def _valid(
        self,
        entry: bytes,
        wanted: Wanted,
        versions: tuple[bytes | None, ...],
        body: Body[T],
        at: int,
        compute: Callable[[list[int]], Sequence[T]],
    ) -> T | codec.Miss:
        value = _valid(entry, versions, wanted.clauses, body)
        if not isinstance(value, codec.Miss):
            self._know(wanted, versions)
            if wanted.is_to_be_verified:
                _verify(self._store, wanted, versions, value, lambda: compute([at])[0], body)
        return value

    def fill(self, wanted: Sequence[Wanted], body: Body[T], compute: Callable[[], Sequence[T]]) -> Sequence[T]:
        """The answers of *compute*, stored. No lease is taken: what two readers store at a time is the same.

        Raises:
            Moved: when something read before is no longer so.
        """
        names = self._names(wanted)
        live = dict(zip(names, self._store.begin_fill(NO_KEY, names, 0).versions, strict=True))
        self._check(live)
        with computing():
            values = compute()
        # One answer, of one query, is of one moment.
        self._is_settled = not self._known and len(wanted) == 1
        self._keep(wanted, values, live, body)
        return values

    def fill_whole(
        self,
        whole: Wanted,
        fences: Sequence[str],
        compute: Callable[[], _Whole[W, T]],
        whole_body: Body[W],
        body: Body[T],
    ) -> bool:
        """Store an answer and, as entries of their own, the parts that came with it. Was the answer stored?

        Which parts there are is known only once the database has answered, and versions count only when they were taken
        before. So the *fences* are: tags that move with every write to any part. Where they have not moved until the
        parts' versions are taken, those are as good as taken before.

        Args:
            whole: the entry of the answer.
            fences: names of tags.
            compute: asks the database; gives the answer, what of it goes into further entries, and the parts.
            whole_body: of the answer.
            body: of what goes into further entries, and of each part.
        """
        limits = settings().limits
        names = list(dict.fromkeys([*whole.names, *fences]))
        begun = self._store.begin_fill(whole.key, names, limits.lease_seconds)
        stored = False
        _note(whole, begun.versions[: len(whole.names)])
        try:
            with computing():
                answer, further, parts = compute()
            before = dict(zip(names, begun.versions, strict=True))
            fenced = [before[name] for name in fences]
            if parts and None not in fenced:
                wanted = [part for part, _ in parts]
                names = list(dict.fromkeys([*self._names(wanted), *fences]))
                after = dict(zip(names, self._store.begin_fill(NO_KEY, names, 0).versions, strict=True))
                if fenced == [after[name] for name in fences]:
                    self._keep(wanted, [value for _, value in parts], after, body)
                    fenced = []
            if parts and fenced and (recording := current_recording()):
                # What the parts depend on is not known to be as it was when they were read.
                recording.moved = True
            versions = tuple([before[name] for name in whole.names])
            if begun.lease is not None and not _reason_not_to_store(whole, versions):
                entry, _ = _pack(answer, versions, whole_body)
                packed = {each.key: _pack(value, versions, body)[0] for each, value in further}
                others = {key: other for key, other in packed.items() if other is not None}
                if entry is not None and len(others) == len(further):
                    if others:
                        # Before the answer itself, which is not to be found without them.
                        self._store.fill_many(others, settings().lifetime(whole.timeout))
                    self._store.fill(whole.key, entry, begun.lease, settings().lifetime(whole.timeout))
                    stored = True
        finally:
            if not stored and begun.lease is not None:
                self._store.release(whole.key, begun.lease)
        return stored

    def settle(self) -> None:
        """See that all of it holds together, where the database was asked since the last look.

        Raises:
            Moved: when it does not.
        """
        if not self._is_settled:
            names = self._names([])
            self._check(dict(zip(names, self._store.read_many([], names).versions, strict=True)))
            self._is_settled = True

    def _know(self, wanted: Wanted, versions: tuple[bytes | None, ...]) -> None:
        self._known.append((wanted, versions))
        _note(wanted, versions)

    def _names(self, wanted: Iterable[Wanted]) -> list[str]:
        each = [*(known for known, _ in self._known), *wanted]
        return list(dict.fromkeys(name for one in each for name in one.names))

    def _check(self, live: Mapping[str, bytes | None]) -> None:
        for wanted, versions in self._known:
            if wanted.clauses.stale_between(versions, [live[name] for name in wanted.names]):
                raise Moved(wanted.key)

    def _keep(
        self, wanted: Sequence[Wanted], values: Sequence[T], live: Mapping[str, bytes | None], body: Body[T]
    ) -> None:
        entries: dict[str, bytes] = {}
        for each, value in zip(wanted, values, strict=True):
            versions = tuple([live[name] for name in each.names])
            self._know(each, versions)
            if not _reason_not_to_store(each, versions):
                entry, _ = _pack(value, versions, body)
                if entry is not None:
                    entries[each.key] = entry
        if entries:
            self._store.fill_many(entries, settings().lifetime(wanted[0].timeout))


_Entries = Sequence[tuple[Wanted, T]]
_Whole = tuple[W, _Entries[T], _Entries[T]]
"""An answer, what of it goes into further entries, and the answers that are parts of it."""
