"""Reading computations: from the store, or computed by one of all who want it while the others wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import Any, TypeVar

from django.db import connections

from everfresh import ages
from everfresh.conf import settings
from everfresh.events import Outcome, Read, emit
from everfresh.journal import is_in_transaction, journal_of
from everfresh.reading import Answer
from everfresh.recorded.computations import (
    FENCE,
    Computation,
    clauses_of,
    databases,
    label_index,
    member,
    own_tags,
    tag_label,
    tags_by_name,
)
from everfresh.recorded.flights import Landing, board, is_ours, land
from everfresh.recorded.reasons import reason_not_to_store, reason_to_bypass
from everfresh.recorded.steps import Awaiting, Blocking, Steps, run
from everfresh.recorded.stored import Stored, awaited, held, longest, look, pack_body, renew, store
from everfresh.recording import Dependencies, Recording, current_recording, recording
from everfresh.stores import NO_KEY, Fill, current_store
from everfresh.switches import is_disabled

__all__ = ["aread_recorded", "look_recorded", "read_recorded"]

T = TypeVar("T")

_COMPUTING_SECONDS = 3600.0
"""Nothing takes longer to compute."""

_LEASES_WAITED_FOR = 2
"""Of one whose holder may have died, and of the one who takes it then."""

_FRESH_LOOK_SECONDS = 0.02
"""So long a look tells enough for a lease that was got after it: hardly anybody has stored something in between."""

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 0.1
"""Between two looks for what another process computes."""


def read_recorded(
    computation: Computation, compute: Callable[[], T], *, fresh: bool = False, lease: bytes | None = None
) -> Answer[T]:
    """What *compute* returns, from the cache where that is the same as computing it now.

    Args:
        computation: names it.
        compute: called at most once.
        fresh: compute and store it anew, whatever is stored.
        lease: that its ``refresh_later`` was given, to be given back. With *fresh* only.
    """
    answer = run(_Reading(computation, Blocking(compute), lease).answer(fresh=fresh))
    emit(Read(answer.outcome, answer.reason, computation.label))
    return answer


async def aread_recorded(
    computation: Computation, compute: Callable[[], Awaitable[T]], *, fresh: bool = False, lease: bytes | None = None
) -> Answer[T]:
    """See `read_recorded`; *compute* is awaited."""
    answer = None if fresh else await _answered(computation)
    answer = answer or await _Reading(computation, Awaiting(compute), lease).answer(fresh=fresh)
    emit(Read(answer.outcome, answer.reason, computation.label))
    return answer


def look_recorded(computations: Sequence[Computation]) -> list[Answer[Any] | None]:
    """What is stored and current of each of *computations*, in one round trip where this process has seen them."""
    if reason_to_bypass():
        return [None] * len(computations)
    suffix = databases()
    keys = [f"{each.key}{suffix}" for each in computations]
    seen = look(keys, near=all(each.is_near for each in computations))
    answers: list[Answer[Any] | None] = []
    for key, each, stored in zip(keys, computations, seen, strict=True):
        if stored is None or not stored.is_current(each) or (each.unsuited and each.unsuited(stored.value)):
            answers.append(None)
        else:
            renew(key, stored).note(each)
            emit(Read(Outcome.HIT, label=each.label))
            answers.append(Answer(stored.value, Outcome.HIT))
    return answers


class _Reading:
    """One read of one computation."""

    def __init__(self, computation: Computation, steps: Steps[Any], lease: bytes | None) -> None:
        self.computation = computation
        self.steps = steps
        self.key = f"{computation.key}{databases()}"
        self._looked = 0.0
        self._seen: Stored | None = None
        self._is_enrolled = not computation.name
        self._lease = lease
        self._is_given_up = False
        """Was the task cancelled? Whatever its steps still get in their threads, they are to give back."""
        self.unsuited = ""
        """Why what is stored is another caller's. Nobody waits for what is computed for others."""

    @cached_property
    def own(self) -> Dependencies:
        """What it depends on whatever it reads. A hit does not ask: the entry holds it."""
        return Dependencies.of([*self.computation.also, *clauses_of(own_tags(self.computation))])

    async def answer(self, *, fresh: bool) -> Answer[Any]:
        # One step for both: where it is awaited, each is a way to another thread and back.
        first: Callable[[], Any] = self._begin if fresh else self._stored
        try:
            reason, found = await self.steps.ask(lambda: _unless_bypassed(first))
            if reason:
                if self._lease is not None:
                    await self.steps.ask(self._give_back)
                return Answer(await self.steps.compute(), Outcome.BYPASS, reason)
            if fresh:
                return await self._compute(found, whatever=True)
            return await self._served(found) or await self._missing()
        except BaseException:
            self._is_given_up = True
            if self._lease is not None:
                await self.steps.ask(self._give_back)
            raise

    async def _current(self) -> Answer[Any] | None:
        """What is stored now, if it may be served."""
        return await self._served(await self.steps.ask(self._stored))

    async def _served(self, stored: Stored | None) -> Answer[Any] | None:
        """What is *stored*, if it may be served; computed anew by us where that is our turn."""
        if stored is None:
            return None
        is_current = stored.is_current(self.computation)
        if not is_current and not stored.may_still_serve(self.key, self.computation):
            return None
        if not self._suits(stored):
            return None
        if is_current and not ages.is_due(stored.expires, stored.seconds):
            return self._hit(stored)
        if (begun := await self.steps.ask(self._begin_unless_another_does)) is not None:
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
            await self.steps.ask(self._give_back)
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
                body, reason = await self.steps.ask(lambda: pack_body(value, self.key))
                if self.computation.result_tags is not None:
                    await self.steps.ask(lambda: self._note_result_tags(value, begun, recorded))
            if begun.is_down:
                reason = reason or "the store is down"
            elif lease is None and not whatever:
                reason = reason or "another one computes it"
            if body is not None and not reason:
                reason = await self.steps.ask(lambda: self._store(recorded, seconds, body, lease))
            stored = not reason
        finally:
            if lease is not None and not stored:
                await self.steps.ask(self._give_back)
            self._lease = None
        return Answer(value, Outcome.FILL if stored else Outcome.MISS, reason or self.unsuited)

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

    def _hit(self, stored: Stored) -> Answer[Any]:
        stored.note(self.computation)
        return Answer(stored.value, Outcome.HIT)

    def _old(self, stored: Stored) -> Answer[Any]:
        if (outer := current_recording()) is not None:
            # What is computed from something old is nothing to keep.
            outer.moved = True
        return Answer(stored.value, Outcome.STALE, "another one computes it anew")

    def _suits(self, stored: Stored) -> bool:
        """Is it what this caller would compute?"""
        if self.computation.unsuited is not None:
            self.unsuited = self.computation.unsuited(stored.value)
        return not self.unsuited

    # What blocks

    def _stored(self) -> Stored | None:
        self._looked = monotonic()
        [seen] = look([self.key], near=self.computation.is_near)
        self._seen = None if seen is None else renew(self.key, seen)
        return self._seen

    def _begin(self) -> Fill:
        """Take the lease, the versions of what is known to be depended on, and a place in the indexes."""
        begun = self._kept_listed(self._take())
        if self._is_given_up:
            self._give_back()
        return begun

    def _begin_unless_another_does(self) -> Fill | None:
        """As `_begin`, of what may be served as it is; ``None``: whoever computes it anew has the lease."""
        begun = self._take()
        if self._is_given_up:
            self._give_back()
        later = self.computation.refresh_later
        if self._lease is not None and later is not None and later(self._lease):
            self._lease = None
        if self._lease is None:
            return None
        begun = self._kept_listed(begun)
        return None if begun.lease is None else begun

    def _take(self) -> Fill:
        # Listed before versions are taken: who invalidates by a pattern in between would not find it, and what was
        # computed from before would be stored as current.
        if not self._is_listed and not self._enroll():
            # Nobody could find it by its name, so it is not to be stored, and nobody is to be waited for.
            self._give_back()
            return replace(self._versions(), is_down=True)
        begun = current_store().begin_fill(self.key, self._before, settings().limits.lease_seconds)
        if begun.lease is None and not begun.is_down:
            # The one that was handed to us is held still, as a rule by us.
            begun = replace(begun, lease=self._lease)
        self._lease = begun.lease
        return begun

    @property
    def _is_listed(self) -> bool:
        """Is it in the indexes? What was stored under the same names is there for longer than it is stored."""
        if self._is_enrolled:
            return True
        return self._seen is not None and set(self.own.names) <= set(self._seen.dependencies.names)

    def _kept_listed(self, begun: Fill) -> Fill:
        """*begun*, once it is listed for as long as what is stored then: only who computes need see to that."""
        if begun.lease is None or self._is_enrolled or self._enroll():
            return begun
        self._give_back()
        return replace(begun, lease=None, is_down=True)

    def _give_back(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            current_store().release(self.key, lease)

    def _versions(self) -> Fill:
        return current_store().begin_fill(NO_KEY, self._before, 0)

    @property
    def _before(self) -> list[str]:
        fences = [FENCE] if self.computation.result_tags else []
        return [*self.own.names, *tags_by_name(fences)]

    def _enroll(self) -> bool:
        computation = self.computation
        self._is_enrolled = self._enroll_under([computation.label, *map(tag_label, computation.tags)])
        return self._is_enrolled

    def _enroll_under(self, labels: Iterable[str]) -> bool:
        computation = self.computation
        # For longer than the result, which is stored later.
        lasts = longest(computation.timeout) + (computation.grace or 0) + _COMPUTING_SECONDS
        own, pairs = member(computation), []
        for label in labels:
            pairs += [(label_index(), label), (label_index(label), own)]
        return current_store().enroll(pairs, lasts)

    def _note_result_tags(self, value: Any, begun: Fill, recorded: Recording) -> None:
        """Note tags that only the result tells.

        Their versions count only when they were taken before; they are as good as that where no tag given by people has
        moved since.
        """
        assert self.computation.result_tags is not None  # noqa: S101
        tags = list(self.computation.result_tags(value))
        if not tags:
            return
        known = Dependencies.of(clauses_of(tags))
        if self.computation.name and not self._enroll_under(map(tag_label, tags)):
            recorded.moved = True
        *versions, fence = current_store().begin_fill(NO_KEY, [*known.names, *tags_by_name([FENCE])], 0).versions
        if fence is None or fence != begun.versions[-1]:
            recorded.moved = True
        recorded.note(known.clauses(), zip(known.names, versions, strict=True))

    def _store(self, recorded: Recording, seconds: float, body: bytes, lease: bytes | None) -> str:
        """Store it. Returns why that was not possible; empty when it was."""
        reason = reason_not_to_store(recorded, self.computation)
        return reason or store(self.key, self.computation, recorded, seconds, body, lease)


async def _answered(computation: Computation) -> Answer[Any] | None:
    """The result without a thread: of a copy in this process, or by a look at the store, if there is no more to it."""
    if not settings().enabled or is_disabled() or computation.unsuited is not None or is_in_transaction():
        return None
    key = f"{computation.key}{databases()}"
    stored = held(key) if computation.is_near else await awaited(key)
    # While that was waited for, a transaction may have begun.
    if stored is None or not stored.is_noted_at_once or is_in_transaction():
        return None
    if not stored.is_current(computation) or ages.is_due(stored.expires, stored.seconds):
        return None
    stored.note(computation)
    return Answer(stored.value, Outcome.HIT)


def _unless_bypassed(do: Callable[[], Any]) -> tuple[str, Any]:
    """Why it is to be bypassed, or what *do* gives."""
    if reason := reason_to_bypass():
        return reason, None
    return "", do()


def _holds_locks() -> bool:
    """Is a transaction open, whose locks another one may be waiting for while we wait for it?"""
    return any(journal_of(connection).in_transaction for connection in connections.all(initialized_only=True))
