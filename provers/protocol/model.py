"""A small world in which readers, writers and accidents take turns, and the search through all of their turns.

The database is one row. Its value is the set of writers whose change it holds, a bit for each, so that an answer is
stale when it lacks a bit that the row had when the read began. The store is one entry, and for each tag a version and a
pending record. Readers and writers are programs of atomic steps; between any two of them anybody else may take any
number.

Nothing is sampled: `explore` visits every state that can be reached.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "HELD",
    "Entry",
    "Faults",
    "Found",
    "Move",
    "Outcome",
    "Reader",
    "Scheme",
    "State",
    "Violation",
    "Writer",
    "explore",
    "moves",
    "shape_of",
]

Version = int | None
"""What a tag holds: a version, nothing, or (below zero) a marker that says a writer is pending."""


HELD = -100
"""A marker that keeps a version: HELD minus that. The tag is pending, and may get the version back (a hold)."""


class Entry(NamedTuple):
    """A stored answer, and the versions it was filled under."""

    value: int
    versions: tuple[Version, ...]


class Reader(NamedTuple):
    """A reader between two steps of its program."""

    reads: int  # still to do, this one included
    at: int = 0
    needed: int = 0  # what the row held when this read began
    ended: int = 0  # the writes that were over by then
    found: Entry | None = None  # a look that takes several steps has seen this entry
    taken: tuple[Version, ...] = ()
    value: int = 0


class Life(IntEnum):
    """How a writer is."""

    ALIVE = 0
    DEAD = 1
    SENT = 2  # dead, with its COMMIT on the way to the database


class Writer(NamedTuple):
    """A writer between two steps of its program."""

    at: int = 0
    life: Life = Life.ALIVE


class Faults(NamedTuple):
    """How many accidents of each kind may still happen."""

    evictions: int = 0  # one key of the store is lost
    crashes: int = 0  # a writer dies between two steps; its marks end some time later
    flushes: int = 0  # every key is lost at once: FLUSHALL, a restart
    slow: int = 0  # a writer takes longer than its mark lives


NO_FAULTS = Faults()


class State(NamedTuple):
    """Everything there is."""

    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...]
    faults: Faults
    row: int = 0
    entry: Entry | None = None
    tags: tuple[Version, ...] = ()
    pending: tuple[int, ...] = ()  # bits of writers: the pending record of each tag
    promised: tuple[int, ...] = ()  # bits of writers whose mark's time is not over, whatever became of the record
    clock: int = 0  # for schemes that need one


class Move(NamedTuple):
    """One step: who took it, what happened, and the world after it."""

    who: str
    what: str
    state: State
    served: int | None = None  # the value of a hit
    needed: int = 0  # what the row held when the read began
    ended: int = 0  # the writes that were over by then, acknowledged or dead


Step = Callable[["Scheme", State, int], tuple[State, str] | Move]
"""One atomic step of the program of the reader or writer of that number."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A way to keep a cache: what readers and writers do, and how entries are judged.

    Attributes:
        writes: for each writer, the tags of its write; a writer's program does each step named "each" for all of them.
        changing: bits of the writers whose write changes the answer.
        groups: an entry is stale when in each of these at least one of its tags has moved.
        lapse: what may happen by the mere passing of time, beside the end of marks of dead writers.
    """

    name: str
    reader: tuple[Step, ...]
    writer: Callable[[tuple[int, ...]], tuple[Step, ...]]
    writes: tuple[tuple[int, ...], ...] = ((0,), (0,))
    changing: int = 0b11
    groups: tuple[tuple[int, ...], ...] = ((0,),)
    fresh: Callable[[Version, Version], bool] = lambda stored, live: stored is not None and stored == live
    lapse: Callable[[State], Iterator[tuple[str, State]]] = lambda _: iter(())
    symmetric_versions: bool = True  # do versions mean nothing but equal or not?
    time_spoils: bool = True  # does a mark that ends by time take with it what a marker has kept?
    plans: tuple[tuple[Step, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plans", tuple(self.writer(tags) for tags in self.writes))

    @property
    def tag_count(self) -> int:
        """How many tags there are."""
        return 1 + max(tag for tags in (*self.writes, *self.groups) for tag in tags)

    def stale(self, stored: tuple[Version, ...], live: tuple[Version, ...]) -> bool:
        """Is an entry filled under *stored* stale under *live*? By the rule of `everfresh.clauses`, for one clause."""
        return all(any(not self.fresh(stored[tag], live[tag]) for tag in group) for group in self.groups)

    def start(self, faults: Faults = NO_FAULTS, reads: tuple[int, ...] = (2, 2)) -> State:
        """The world before anybody did anything; *reads* has the number of reads of each reader."""
        nothing = (0,) * self.tag_count
        return State(
            readers=tuple(Reader(count) for count in reads),
            writers=tuple(Writer() for _ in self.writes),
            faults=faults,
            tags=(None,) * self.tag_count,
            pending=nothing,
            promised=nothing,
        )


def moves(scheme: Scheme, state: State) -> Iterator[Move]:
    """Everything that can happen next."""
    for number, reader in enumerate(state.readers):
        if reader.reads:
            yield _moved(f"R{number + 1}", scheme.reader[reader.at](scheme, state, number))
    for number, writer in enumerate(state.writers):
        plan = scheme.plans[number]
        if writer.life is Life.ALIVE and writer.at < len(plan):
            yield _moved(f"W{number + 1}", plan[writer.at](scheme, state, number))
        elif writer.life is Life.SENT:
            after, what = plan[writer.at](scheme, state, number)[:2]
            yield Move(f"W{number + 1}", f"{what}, though it is dead", _writer(after, number, life=Life.DEAD))
    yield from _accidents(scheme, state)
    for what, after in scheme.lapse(state):
        yield Move("time", what, after)


def _moved(who: str, result: tuple[State, str] | Move) -> Move:
    return result._replace(who=who) if isinstance(result, Move) else Move(who, result[1], result[0])


def _accidents(scheme: Scheme, state: State) -> Iterator[Move]:
    faults = state.faults
    if faults.evictions:
        fewer = faults._replace(evictions=faults.evictions - 1)
        if state.entry is not None:
            yield Move("evict", "the entry", state._replace(entry=None, faults=fewer))
        for tag, held in enumerate(state.tags):
            if held is not None:
                what = "the version" if held >= 0 else "the marker"
                yield Move(
                    "evict", f"{what} of tag {tag}", state._replace(tags=put(state.tags, tag, None), faults=fewer)
                )
        for tag, record in enumerate(state.pending):
            if record:
                after = state._replace(pending=put(state.pending, tag, 0), faults=fewer)
                yield Move("evict", f"the pending record of tag {tag}", after)
    if faults.flushes:
        nothing = (0,) * len(state.tags)
        yield Move(
            "flush",
            "everything",
            state._replace(
                entry=None,
                tags=(None,) * len(state.tags),
                pending=nothing,
                faults=faults._replace(flushes=faults.flushes - 1),
            ),
        )
    for number, writer in enumerate(state.writers):
        plan = scheme.plans[number]
        if faults.crashes and writer.life is Life.ALIVE and 0 < writer.at < len(plan):
            fewer = state._replace(faults=faults._replace(crashes=faults.crashes - 1))
            yield Move(f"W{number + 1}", "dies", _writer(fewer, number, life=Life.DEAD))
            if plan[writer.at].__name__ == "commit":
                yield Move(f"W{number + 1}", "dies, its COMMIT under way", _writer(fewer, number, life=Life.SENT))
        if any(record >> number & 1 for record in state.promised):
            if writer.life is Life.DEAD:
                yield Move("time", f"ends the mark of W{number + 1}", end_mark(scheme, state, number))
            elif faults.slow:
                late = end_mark(scheme, state, number)._replace(faults=faults._replace(slow=faults.slow - 1))
                yield Move("time", f"ends the mark of W{number + 1}, which is slow", late)


# What steps are made of


def put(values: tuple, at: int, value: object) -> tuple:
    """*values* with another one in one place."""
    return (*values[:at], value, *values[at + 1 :])


def _writer(state: State, number: int, **changes: object) -> State:
    return state._replace(writers=put(state.writers, number, state.writers[number]._replace(**changes)))


def end_mark(scheme: Scheme, state: State, number: int) -> State:
    """The time of a writer's marks is over. Nobody dropped the row tags of its hold, so the version is lost."""
    spoilt = tuple(
        -1 if scheme.time_spoils and held is not None and held <= HELD and record >> number & 1 else held
        for held, record in zip(state.tags, state.pending, strict=True)
    )
    return state._replace(
        tags=spoilt,
        pending=tuple(record & ~(1 << number) for record in state.pending),
        promised=tuple(record & ~(1 << number) for record in state.promised),
    )


def new_version(state: State) -> int:
    """A version that nobody has: random ones never come back, so one that nobody holds any longer is as good as new."""
    used = {*state.tags, *(HELD - held for held in state.tags if held is not None and held <= HELD)}
    if state.entry is not None:
        used.update(state.entry.versions)
    for reader in state.readers:
        used.update(reader.taken)
        if reader.found is not None:
            used.update(reader.found.versions)
    version = 0
    while version in used:
        version += 1
    return version


# The search


class Outcome(IntEnum):
    """The worst that a scheme does, and how bad that is."""

    NEVER = 0
    WINDOW = 1  # between a commit and the end of that write
    LATE = 2  # after that, until another write ends
    FOREVER = 3  # with nobody left who would put it right

    def __str__(self) -> str:
        return ("never stale", "commit..done", "past done", "stale for ever")[self]


class Violation(NamedTuple):
    """A stale answer, and the shortest way to it."""

    outcome: Outcome
    schedule: tuple[Move, ...]

    def lines(self) -> list[str]:
        """The schedule as numbered steps."""
        return [f"{at:>3}. {move.who:<6}{move.what}" for at, move in enumerate(self.schedule, 1)]


@dataclass
class Found:
    """What the search came to."""

    outcome: Outcome = Outcome.NEVER
    violations: dict[Outcome, Violation] = field(default_factory=dict)
    states: int = 0
    steps: int = 0
    seconds: float = 0.0
    complete: bool = True


def at_rest(scheme: Scheme, state: State) -> int:
    """Bits of the writers that are through, dead, or have not begun."""
    bits = 0
    for number, writer in enumerate(state.writers):
        bits |= (writer.life is Life.DEAD or writer.at in {0, len(scheme.plans[number])}) << number
    return bits


def judge(scheme: Scheme, move: Move) -> Outcome:
    """Was the answer that this step served stale, and if so, will it be again?"""
    missing = 0 if move.served is None else move.needed & ~move.served & scheme.changing
    if not missing:
        return Outcome.NEVER
    if not missing & move.ended:
        return Outcome.WINDOW
    everybody = (1 << len(scheme.plans)) - 1
    return Outcome.FOREVER if at_rest(scheme, move.state) == everybody else Outcome.LATE


def explore(scheme: Scheme, start: State, *, stop_at: Outcome | None = None, limit: int | None = None) -> Found:
    """Visit every state that can be reached from *start*, nearest first.

    Args:
        scheme: what is tried.
        start: where to begin.
        stop_at: end as soon as the outcome is this bad; by default only when there is nothing worse to find.
        limit: give up after so many states.
    """
    found = Found()
    began = time.perf_counter()
    worst = Outcome.FOREVER if stop_at is None else stop_at
    came_from: dict[State, tuple[State, Move] | None] = {start: None}
    seen = {shape_of(scheme, start)}
    queue = deque([start])
    while queue and found.outcome < worst:
        if limit is not None and found.states >= limit:
            found.complete = False
            break
        state = queue.popleft()
        found.states += 1
        for move in moves(scheme, state):
            found.steps += 1
            outcome = judge(scheme, move)
            if outcome and outcome not in found.violations:
                found.violations[outcome] = Violation(outcome, (*_way(came_from, state), move))
                found.outcome = max(found.outcome, outcome)
            shape = shape_of(scheme, move.state)
            if shape not in seen:
                seen.add(shape)
                came_from[move.state] = (state, move._replace(state=None))
                queue.append(move.state)
    found.seconds = time.perf_counter() - began
    return found


def _way(came_from: dict[State, tuple[State, Move] | None], state: State) -> list[Move]:
    way = []
    while (step := came_from[state]) is not None:
        state, move = step
        way.append(move)
    return way[::-1]


def shape_of(scheme: Scheme, state: State) -> tuple:
    """The same for states that differ only in which reader is which and in how versions are named."""
    readers = sorted(state.readers, key=hash)  # a collision costs a second visit, nothing else
    if not scheme.symmetric_versions:
        return (*readers, *state[1:])
    names: dict[Version, Version] = {None: None}

    def name(version: Version) -> Version:
        if version is not None and version <= HELD:
            return HELD - names.setdefault(HELD - version, len(names))
        return version if version is None or version < 0 else names.setdefault(version, len(names))

    def named(versions: tuple[Version, ...]) -> tuple[Version, ...]:
        return tuple(map(name, versions))

    def entry(stored: Entry | None) -> tuple | None:
        return None if stored is None else (stored.value, named(stored.versions))

    return (
        state.writers, state.faults, state.row, state.pending, state.promised, state.clock,
        named(state.tags), entry(state.entry),
        *[(r.reads, r.at, r.needed, r.ended, r.value, named(r.taken), entry(r.found)) for r in readers],
    )  # fmt: skip
