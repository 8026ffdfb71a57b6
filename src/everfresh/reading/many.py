"""Reading several entries that hold at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh import codec
from everfresh.conf import settings
from everfresh.journal import is_in_transaction, journal_of
from everfresh.peeking import NotHeld, handed, is_peeking
from everfresh.reading.entries import (
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
from everfresh.stores import NO_KEY, Snapshots, Store, current_store

__all__ = ["Moment", "Moved"]

T = TypeVar("T")
W = TypeVar("W")


class Moved(Exception):
    """What was read a moment ago need no longer be so."""


class Moment:
    """Several entries, read step by step, all of which hold at one moment: that of the last look at the store.

    Each step looks again at the tags of the steps before it. So parts that were read one after the other never show a
    state that the database was in at no time.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._is_peeking = is_peeking()
        if self._is_peeking and is_in_transaction(connection.alias):
            raise NotHeld
        journal = journal_of(connection)
        if connection.needs_rollback:
            raise Moved("the transaction is broken")
        is_private = not self._is_peeking and journal.answers_are_private
        self._store: Store = journal.overlay() if is_private else current_store()
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
        seen = self._peeked(wanted, names) if self._is_peeking else self._read(wanted, names)
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

    def _read(self, wanted: Sequence[Wanted], names: list[str]) -> Snapshots:
        near = all(each.near for each in wanted)
        keys, own = [each.key for each in wanted], [each.names for each in wanted]
        return self._store.read_many(keys, names, near=near, own=own)

    def _peeked(self, wanted: Sequence[Wanted], names: list[str]) -> Snapshots:
        if settings().verify:
            raise NotHeld
        keys = [each.key for each in wanted]
        if not all(each.near for each in wanted):
            return handed(keys, names)
        seen = current_store().peek_many(keys, names)
        if seen is None:
            raise NotHeld
        return seen

    def _valid(
        self,
        entry: bytes,
        wanted: Wanted,
        versions: tuple[bytes | None, ...],
        body: Body[T],
        at: int,
        compute: Callable[[list[int]], Sequence[T]],
    ) -> T | codec.Miss:
        seen = valid(entry, versions, wanted.clauses, body)
        value, has_moved = seen
        if not isinstance(value, codec.Miss):
            if has_moved and not self._is_peeking:
                versions = renewed_hit(self._store, wanted, entry, versions)
            self._known.append((wanted, versions))
            if wanted.is_to_be_verified:
                verify(self._store, wanted, versions, value, lambda: compute([at])[0], body)
            if self._is_peeking:
                note_peeked(wanted, versions, has_moved=has_moved)
            else:
                note(wanted, versions)
        return value

    def fill(self, wanted: Sequence[Wanted], body: Body[T], compute: Callable[[], Sequence[T]]) -> Sequence[T]:
        """The answers of *compute*, stored. No lease is taken: what two readers store at a time is the same.

        Raises:
            Moved: when something read before is no longer so.
        """
        self._refuse_to_wait()
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
        self._refuse_to_wait()
        limits = settings().limits
        names = list(dict.fromkeys([*whole.names, *fences]))
        begun = self._store.begin_fill(whole.key, names, limits.lease_seconds)
        stored = False
        note(whole, begun.versions[: len(whole.names)])
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
            if begun.lease is not None and not reason_not_to_store(whole, versions):
                entry, _ = pack(answer, versions, whole_body)
                packed = {each.key: pack(value, versions, body)[0] for each, value in further}
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
            self._refuse_to_wait()
            names = self._names([])
            self._check(dict(zip(names, self._store.read_many([], names).versions, strict=True)))
            self._is_settled = True

    def _refuse_to_wait(self) -> None:
        if self._is_peeking:
            raise NotHeld

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
            self._known.append((each, versions))
            note(each, versions)
            if not reason_not_to_store(each, versions):
                entry, _ = pack(value, versions, body)
                if entry is not None:
                    entries[each.key] = entry
        if entries:
            self._store.fill_many(entries, settings().lifetime(wanted[0].timeout))


_Entries = Sequence[tuple[Wanted, T]]
_Whole = tuple[W, _Entries[T], _Entries[T]]
"""An answer, what of it goes into further entries, and the answers that are parts of it."""
