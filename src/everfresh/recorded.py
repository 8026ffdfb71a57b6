"""Computations whose dependencies record themselves: what a function returned, and everything it read to do so.

The entry of one holds the names of its tags beside their versions, for nothing but running the function tells them. The
rest is as everywhere: versions taken before each query, and an entry is served as long as none of them moved.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from django.conf import settings as django_settings
from django.db import connections
from django.db.models import QuerySet

from everfresh import ages, codec
from everfresh.bounded import Bounded
from everfresh.conf import settings
from everfresh.databases import logical_database, point_of_view
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Unencodable
from everfresh.flights import Landing, board, is_ours, land
from everfresh.journal import journal_of
from everfresh.keys import digest, encode
from everfresh.naming import tag_names
from everfresh.reading import Answer
from everfresh.recording import Dependencies, Named, Recording, current_recording, recording
from everfresh.steps import Awaiting, Blocking, Steps, run
from everfresh.stores import NO_KEY, Fill, GuardedStore, current_store
from everfresh.switches import is_disabled
from everfresh.tags import named

__all__ = [
    "Computation",
    "aread_recorded",
    "count_current",
    "label_index",
    "look_recorded",
    "member",
    "read_recorded",
    "reason_to_bypass",
    "tag_label",
]

T = TypeVar("T")

logger = logging.getLogger("everfresh")

_MOST_NAMES = 10_000
"""Tags of one entry; with more it is not stored."""

_REMEMBERED = 4_096
"""Entries of which one process keeps something at hand."""

_LEASES_WAITED_FOR = 2
"""Of one whose holder may have died, and of the one who takes it then."""

_FRESH_LOOK_SECONDS = 0.02
"""So long a look tells enough for a lease that was got after it: hardly anybody has stored something in between."""

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 0.1
"""Between two looks for what another process computes."""

_warned: set[str] = set()
"""What was warned of: once is enough."""

_names: Bounded[str, tuple[str, ...]] = Bounded(_REMEMBERED)
"""The tags of the entries seen last, by key: without them a hit costs a second look at the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """One computation, by what names it and what is said of it."""

    key: str
    """The store's: short printable ASCII without spaces."""

    label: str = ""
    """What to call it and others of its kind: ``app.module.function``."""

    name: str = ""
    """What people call it, unlike others of its kind; with it, it is listed and can be invalidated by it."""

    timeout: float | None = None
    """Seconds; ``None`` is for ever, 0 stores nothing."""

    grace: float | None = None
    """Seconds for which it may be served when it is old, while another one computes it anew; ``None``: never."""

    tags: tuple[str, ...] = ()
    """Names given by people that it depends on."""

    also: tuple[Named, ...] = ()
    """Clauses of what is read by ways that nobody can follow."""

    is_declared: bool = False
    """Does *also* answer for all that cannot be followed?"""

    result_tags: Callable[[Any], Iterable[str]] | None = None
    """Names given by people that are known only from the result."""

    refresh_later: Callable[[bytes], bool] | None = None
    """Has it computed by somebody else, who gets the lease. Was that arranged?"""

    unsuited: Callable[[Any], str] | None = None
    """Why a stored result is not what this caller would compute; empty where it is. ``None``: it always is."""


def read_recorded(computation: Computation, compute: Callable[[], T], *, fresh: bool = False) -> Answer[T]:
    """What *compute* returns, from the cache where that is the same as computing it now.

    Args:
        computation: names it.
        compute: called at most once.
        fresh: compute and store it anew, whatever is stored.
    """
    answer = run(_Reading(computation, Blocking(compute)).answer(fresh=fresh))
    emit(Read(answer.outcome, answer.reason, computation.label))
    return answer


async def aread_recorded(
    computation: Computation, compute: Callable[[], Awaitable[T]], *, fresh: bool = False
) -> Answer[T]:
    """See `read_recorded`; *compute* is awaited."""
    answer = await _Reading(computation, Awaiting(compute)).answer(fresh=fresh)
    emit(Read(answer.outcome, answer.reason, computation.label))
    return answer


def look_recorded(computations: Sequence[Computation]) -> list[Answer[Any] | None]:
    """What is stored and current of each of *computations*, in one round trip where this process has seen them."""
    if reason_to_bypass():
        return [None] * len(computations)
    databases = _databases()
    seen = _look([f"{each.key}{databases}" for each in computations])
    answers: list[Answer[Any] | None] = []
    for each, stored in zip(computations, seen, strict=True):
        if stored is None or not stored.is_current(each) or (each.unsuited and each.unsuited(stored.value)):
            answers.append(None)
        else:
            stored.note(each)
            emit(Read(Outcome.HIT, label=each.label))
            answers.append(Answer(stored.value, Outcome.HIT, stamp=stored.stamp))
    return answers


def reason_to_bypass() -> str:
    """Why a computation is nobody else's here and now; empty when it is not."""
    if not settings().enabled or is_disabled():
        return "the cache is switched off"
    for connection in connections.all(initialized_only=True):
        if journal_of(connection).answers_are_private:
            return "a transaction has written, or reads a snapshot"
    return ""


def count_current(keys: Sequence[str]) -> int:
    """How many of *keys*, as an index holds them, lead to something that is current."""
    return sum(stored is not None and stored.is_valid for stored in _look(keys))


# The index


def label_index(label: str = "") -> str:
    """The name of the index of what is stored under *label*; without one, of that of all labels."""
    return digest(encode((settings().prefix(), "label", label)))


def tag_label(tag: str) -> str:
    """The label under which everything is listed that depends on a tag named by people."""
    return f"tag:{tag}"


def member(computation: Computation) -> str:
    """What stands for *computation* in an index: its key in the store, and its name."""
    return f"{computation.key}{_databases()} {computation.name}"


# What is stored


@dataclass(frozen=True, slots=True)
class _Stored:
    """An entry, as it was found."""

    value: Any
    is_valid: bool
    """Has nothing moved that it depends on?"""

    dependencies: Dependencies
    versions: tuple[bytes | None, ...]
    seconds: float
    expires: float | None
    stamp: str

    def is_current(self, computation: Computation) -> bool:
        """Is it what is to be served?"""
        return self.is_valid and (computation.grace is None or not ages.is_over(self.expires))

    def may_still_serve(self, key: str, computation: Computation) -> bool:
        """May it be served though it is old?"""
        if computation.grace is None:
            return False
        return ages.may_still_serve(key, self.stamp, self.expires, computation.grace, is_valid=self.is_valid)

    def note(self, computation: Computation) -> None:
        """Tell whoever records what is read."""
        if (outer := current_recording()) is not None:
            pairs = zip(self.dependencies.names, self.versions, strict=True)
            outer.note(self.dependencies.clauses(), pairs, computation.timeout)


def _look(keys: Sequence[str]) -> list[_Stored | None]:
    """What is stored under *keys*: one look, and a second one for those whose tags are not known here."""
    store = current_store()
    guessed = [_names.get(key, ()) for key in keys]
    names = list(dict.fromkeys(name for each in guessed for name in each))
    snapshots = store.read_many(keys, names)
    live = dict(zip(names, snapshots.versions, strict=True))
    unpacked = [None if entry is None else codec.unpack_computed(entry) for entry in snapshots.entries]
    unknown = list(dict.fromkeys(name for each in unpacked if each for name in each[0].names if name not in live))
    if unknown:
        live |= zip(unknown, store.read(NO_KEY, unknown).versions, strict=True)
    return [None if each is None else _stored(key, *each, live) for key, each in zip(keys, unpacked, strict=True)]


def _stored(
    key: str,
    head: codec.Computed,
    versions: tuple[bytes | None, ...],
    body: bytes,
    live: dict[str, bytes | None],
) -> _Stored | None:
    _names[key] = head.names
    value = codec.unpack_any(body, key, _secrets())
    if isinstance(value, codec.Miss):
        return None
    dependencies = Dependencies(head.names, head.positions)
    moved = [was is None or was != live[name] for name, was in zip(head.names, versions, strict=True)]
    return _Stored(
        value=value,
        is_valid=not dependencies.stale(moved),
        dependencies=dependencies,
        versions=tuple([live[name] for name in head.names]),
        seconds=head.seconds,
        expires=head.expires,
        stamp=_stamp(head, versions),
    )


def _stamp(head: codec.Computed, versions: Sequence[bytes | None]) -> str:
    return digest([*(version or b"" for version in versions), encode(head.expires)])


# Reading and filling


class _Reading:
    """One read of one computation."""

    def __init__(self, computation: Computation, steps: Steps[Any]) -> None:
        self.computation = computation
        self.steps = steps
        self.key = f"{computation.key}{_databases()}"
        self._looked = 0.0
        self.unsuited = ""
        """Why what is stored is another caller's. Nobody waits for what is computed for others."""
        self.own = Dependencies.of([*computation.also, *_of_tags(_own_tags(computation))])

    async def answer(self, *, fresh: bool) -> Answer[Any]:
        if reason := await self.steps.ask(reason_to_bypass):
            return Answer(await self.steps.compute(), Outcome.BYPASS, reason)
        if fresh:
            return await self._compute(await self.steps.ask(self._begin), whatever=True)
        return await self._current() or await self._missing()

    async def _current(self) -> Answer[Any] | None:
        """What is stored, if it may be served; computed anew by us where that is our turn."""
        stored = await self.steps.ask(self._stored)
        if stored is None:
            return None
        is_current = stored.is_current(self.computation)
        if not is_current and not stored.may_still_serve(self.key, self.computation):
            return None
        if not self._suits(stored):
            return None
        if is_current and not ages.is_due(stored.expires, stored.seconds):
            return self._hit(stored)
        begun = await self.steps.ask(self._begin)
        if begun.lease is not None and not await self.steps.ask(partial(self._pass_on, begun.lease)):
            return await self._compute(begun)
        return self._hit(stored) if is_current else self._old(stored)

    async def _missing(self) -> Answer[Any]:
        """Compute it, or wait for who does."""
        waits = not self.unsuited and not is_ours(self.key) and not await self.steps.ask(_holds_locks)
        deadline = monotonic() + _LEASES_WAITED_FOR * settings().limits.lease_seconds
        while waits and (flight := board(self.key)) is not None:
            await self.steps.wait(max(0.0, deadline - monotonic()), flight)
            landed = flight.result() if flight.done() else None
            if landed is Landing.STORED and (found := await self._current()) is not None:
                return found
            if landed in (None, Landing.UNSTORED) or self.unsuited:
                return await self._compute(await self.steps.ask(self._versions))
        if not waits:
            return await self._compute(await self.steps.ask(self._begin))
        landing = Landing.FAILED
        try:
            answer = await self._fly(deadline)
            landing = Landing.UNSTORED if answer.outcome is Outcome.MISS else Landing.STORED
        finally:
            land(self.key, landing)
        return answer

    async def _fly(self, deadline: float) -> Answer[Any]:
        """Compute it for this process, or wait for the process that does."""
        pause = _FIRST_WAIT_SECONDS
        while True:
            begun = await self.steps.ask(self._begin)
            may_wait = begun.lease is None and not begun.is_down and not self.unsuited
            if may_wait and monotonic() < deadline:
                await self.steps.wait(pause)
                pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
                if (found := await self._current()) is not None:
                    return found
                continue
            has_waited = pause > _FIRST_WAIT_SECONDS or monotonic() - self._looked > _FRESH_LOOK_SECONDS
            if has_waited and (found := await self._found_meanwhile(begun)) is not None:
                return found
            return await self._compute(begun)

    async def _found_meanwhile(self, begun: Fill) -> Answer[Any] | None:
        """What the last holder of the lease stored between our last look and our getting it."""
        stored = await self.steps.ask(self._stored)
        if stored is None or not stored.is_current(self.computation) or not self._suits(stored):
            return None
        if begun.lease is not None:
            await self.steps.ask(partial(current_store().release, self.key, begun.lease))
        return self._hit(stored)

    async def _compute(self, begun: Fill, *, whatever: bool = False) -> Answer[Any]:
        """Compute it, and store it where we hold the lease, or *whatever* holds it."""
        lease, stored = begun.lease, False
        try:
            with self._recording(begun) as recorded:
                started = monotonic()
                value = await self.steps.compute()
                seconds = monotonic() - started
                # What is lazy asks the database only now.
                body, reason = await self.steps.ask(lambda: _pack_body(value, self.key))
                if self.computation.result_tags is not None:
                    await self.steps.ask(lambda: self._note_result_tags(value, begun, recorded))
            if begun.is_down:
                reason = reason or "the store is down"
            elif lease is None and not whatever:
                reason = reason or "another one computes it"
            stamp = ""
            if body is not None and not reason:
                reason, stamp = await self.steps.ask(lambda: self._store(recorded, seconds, body, lease))
            stored = not reason
        finally:
            if lease is not None and not stored:
                await self.steps.ask(lambda: current_store().release(self.key, lease))
        return Answer(value, Outcome.FILL if stored else Outcome.MISS, reason or self.unsuited, stamp)

    @contextmanager
    def _recording(self, begun: Fill) -> Iterator[Recording]:
        """Record what is read, and tell whoever records around it: also when it raises, for they may catch that."""
        outer = current_recording()
        with recording() as recorded:
            recorded.note(
                self.own.clauses(), zip(self.own.names, begun.versions, strict=False), self.computation.timeout
            )
            try:
                yield recorded
            finally:
                if self.computation.is_declared:
                    recorded.untracked.clear()
                if outer is not None:
                    outer.absorb(recorded)

    def _hit(self, stored: _Stored) -> Answer[Any]:
        stored.note(self.computation)
        return Answer(stored.value, Outcome.HIT, stamp=stored.stamp)

    def _old(self, stored: _Stored) -> Answer[Any]:
        if (outer := current_recording()) is not None:
            # What is computed from something old is nothing to keep.
            outer.moved = True
        return Answer(stored.value, Outcome.STALE, "another one computes it anew", stored.stamp)

    def _suits(self, stored: _Stored) -> bool:
        """Is it what this caller would compute?"""
        if self.computation.unsuited is not None:
            self.unsuited = self.computation.unsuited(stored.value)
        return not self.unsuited

    # What blocks

    def _stored(self) -> _Stored | None:
        self._looked = monotonic()
        return _look([self.key])[0]

    def _begin(self) -> Fill:
        """Take the lease, and the versions of what is known to be depended on."""
        store = current_store()
        if self.computation.name and not self._enroll(store, self.computation.tags):
            # Nobody could find it by its name, so it is not to be stored, and nobody is to be waited for.
            return replace(self._versions(), is_down=True)
        return store.begin_fill(self.key, self._before, settings().limits.lease_seconds)

    def _pass_on(self, lease: bytes) -> bool:
        later = self.computation.refresh_later
        return later is not None and later(lease)

    def _versions(self) -> Fill:
        return current_store().begin_fill(NO_KEY, self._before, 0)

    @property
    def _before(self) -> list[str]:
        fences = [_FENCE] if self.computation.result_tags else []
        return [*self.own.names, *_named(fences)]

    def _enroll(self, store: GuardedStore, tags: Iterable[str]) -> bool:
        computation = self.computation
        lasts = None if computation.timeout is None else computation.timeout + (computation.grace or 0)
        own, pairs = member(computation), []
        for label in (computation.label, *map(tag_label, tags)):
            pairs += [(label_index(), label), (label_index(label), own)]
        return store.enroll(pairs, lasts)

    def _note_result_tags(self, value: Any, begun: Fill, recorded: Recording) -> None:
        """Note tags that only the result tells.

        Their versions count only when they were taken before; they are as good as that where no tag given by people has
        moved since.
        """
        assert self.computation.result_tags is not None  # noqa: S101
        tags = list(self.computation.result_tags(value))
        if not tags:
            return
        known = Dependencies.of(_of_tags(tags))
        if self.computation.name and not self._enroll(current_store(), tags):
            recorded.moved = True
        *versions, fence = current_store().begin_fill(NO_KEY, [*known.names, *_named([_FENCE])], 0).versions
        if fence is None or fence != begun.versions[-1]:
            recorded.moved = True
        recorded.note(known.clauses(), zip(known.names, versions, strict=True))

    def _store(self, recorded: Recording, seconds: float, body: bytes, lease: bytes | None) -> tuple[str, str]:
        """Store it. Returns the reason why not, and else its stamp."""
        computation = self.computation
        if reason := _reason_not_to_store(recorded, computation):
            return reason, ""
        lifetime = settings().lifetime(recorded.timeout)
        dependencies = Dependencies.of(recorded.clauses)
        versions = [recorded.versions[name] for name in dependencies.names]
        head = codec.Computed(
            dependencies.names,
            tuple(tuple(map(tuple, clause)) for clause in dependencies.positions),
            seconds,
            ages.end_of(lifetime),
        )
        entry = codec.pack_computed(head, versions, body, compress_above=settings().limits.compress_above)
        if len(entry) > settings().limits.size:
            return f"it has {len(entry)} bytes, more than the limit of {settings().limits.size}", ""
        if lifetime is not None and computation.grace is not None:
            lifetime += computation.grace
        current_store().fill(self.key, entry, lease or b"", lifetime)
        _names[self.key] = dependencies.names
        return "", _stamp(head, versions)


def _reason_not_to_store(recorded: Recording, computation: Computation) -> str:
    if recorded.timeout == 0:
        return "its timeout is 0, or that of something it read"
    if recorded.untracked:
        label = computation.label or computation.key
        if label not in _warned:
            _warned.add(label)
            logger.warning(
                "%s is not cached: nobody can tell which writes would change what it read by %s. "
                "Declare the tables with depends_on.",
                label,
                recorded.untracked[0],
            )
        return f"it is untracked: {recorded.untracked[0]}"
    if recorded.refused:
        return recorded.refused
    if recorded.moved:
        return "what it read changed while it was computed"
    if len(recorded.versions) > _MOST_NAMES:
        return f"it depends on {len(recorded.versions)} tags, more than the limit of {_MOST_NAMES}"
    if reason := reason_to_bypass():
        return reason
    dependencies = Dependencies.of(recorded.clauses)
    if dependencies.stale([recorded.versions[name] is None for name in dependencies.names]):
        return "a writer is about to commit"
    return ""


def _holds_locks() -> bool:
    """Is a transaction open, whose locks another one may be waiting for while we wait for it?"""
    return any(journal_of(connection).in_transaction for connection in connections.all(initialized_only=True))


def _pack_body(value: Any, key: str) -> tuple[bytes | None, str]:
    """The bytes of *value*, or why there are none."""
    if isinstance(value, QuerySet):
        len(value)
    try:
        return codec.pack_any(value, key, django_settings.SECRET_KEY if settings().pickle else None), ""
    except Unencodable as error:
        return None, f"it holds {error}, which has no exact bytes"


# Names

_FENCE = ""
"""The tag that moves with every tag that people name."""


def _own_tags(computation: Computation) -> Iterable[str]:
    if computation.name:
        yield f"label:{computation.label}"
        yield f"name:{computation.name}"
    yield from computation.tags


def _of_tags(tags: Iterable[str]) -> list[Named]:
    return [frozenset({frozenset({name})}) for name in _named(tags)]


def _named(tags: Iterable[str]) -> list[str]:
    return list(tag_names(named(tag).name for tag in tags))


def _databases() -> str:
    """What tells the databases that a computation may read from those of another project, or of another test run."""
    return digest(encode([(alias, logical_database(alias), point_of_view(alias)) for alias in sorted(connections)]))


def _secrets() -> list[str]:
    return (
        [str(key) for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
        if settings().pickle
        else []
    )
