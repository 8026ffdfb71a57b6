"""The model's schedules, taken step by step on real stores.

Whatever the model does, `Stage` does with a real store, real entries and the library's own judgement of them; after
each step both must be in the same state as far as a reader can see: is there an entry, is it valid, which tags have
versions.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from secrets import token_hex
from typing import Any

from everfresh import codec, reading
from everfresh.clauses import Clauses
from everfresh.keys import digest
from everfresh.stores.base import Store
from everfresh.stores.django import DjangoStore
from everfresh.stores.redis import RedisStore
from everfresh.tags import Table
from provers.protocol.model import Move, Scheme, State, moves, shape_of

__all__ = [
    "Difference",
    "Schedule",
    "Stage",
    "all_schedules",
    "cache_stage",
    "covering_schedules",
    "random_schedules",
    "redis_stage",
]

Schedule = list[tuple[State, Move]]
"""Each step with the state before it."""

BODY = reading.Body(encode=lambda value: b"%d" % value, decode=lambda data: int(bytes(data)))
MARK_SECONDS = 600.0  # longer than any run: marks end when a schedule says so


class Difference(AssertionError):
    """The real store went another way than the model."""


class Stage:
    """A real store in the place of the model's, under names that no other schedule uses.

    Args:
        scheme: the model's scheme; its steps must be those of whole store operations.
        store: the real store, without its guard, which would hide errors.
        lose: deletes keys of the backend; see `lose_in_redis` and `lose_in_cache`.
    """

    def __init__(self, scheme: Scheme, store: Store, lose: Callable[[str, str], None]) -> None:
        self._scheme = scheme
        self._store = store
        self._lose = lose
        self._name = token_hex(8)
        self._turn = 0

    def run(self, schedule: Schedule) -> None:
        """Take all steps of *schedule*.

        Raises:
            Difference: after the first step whose outcome is not the model's.
        """
        self._turn += 1
        table = Table("provers", f"{self._name}.{self._turn}")
        tags = [table.column(str(number)) for number in range(self._scheme.tag_count)]
        self._clauses = Clauses([frozenset(frozenset(tags[at] for at in group) for group in self._scheme.groups)])
        self._names = [tag.name for tag in tags]
        self._key = digest(table.name.encode())
        self._row = 0
        self._taken: dict[int, tuple[list[bytes | None], bytes | None]] = {}
        self._values: dict[int, int] = {}
        self._found: dict[int, tuple[bytes | None, ...]] = {}
        for at, (state, move) in enumerate(schedule):
            seen = self._take(state, move)
            expected = {"served": move.served, "row": move.state.row, **_visible(self._scheme, move.state)}
            found = {"served": seen, "row": self._row, **self._visible()}
            if found != expected:
                raise Difference(_report(self._scheme, schedule[: at + 1], expected, found))

    def _take(self, state: State, move: Move) -> int | None:
        kind, number = move.who[0], int(move.who[1:]) - 1 if move.who[1:].isdigit() else 0
        if kind == "R":
            return self._read(self._scheme.reader[state.readers[number].at], number)
        if kind == "W" and not move.what.startswith("dies"):
            self._write(self._scheme.plans[number][state.writers[number].at], f"W{number + 1}")
        elif move.who in {"evict", "time"}:
            self._lose_or_end(move)
        return None

    def _read(self, step: Any, me: int) -> int | None:
        match step.__name__:
            case "look" | "look_to_stamp":
                self._taken.pop(me, None)
                snapshot = self._store.read(self._key, self._names)
                value = self._judge(snapshot.entry, snapshot.versions)
                if isinstance(value, codec.Miss):
                    return None
                self._found[me] = codec.unpack_versions(snapshot.entry or b"", len(self._names)) or ()
                return value
            case "begin":
                names = [self._names[tag] for tag in step.tags] or self._names
                fill = self._store.begin_fill(self._key, names, 60)
                versions, lease = self._taken.get(me, ([], None))
                self._taken[me] = ([*versions, *fill.versions], lease or fill.lease)
            case "stamp_anew":
                was, now = self._found[me], self._in_order(self._taken.pop(me)[0])
                moved = [before is None or before != version for before, version in zip(was, now, strict=True)]
                if None not in now and not self._clauses.stale(moved):
                    self._store.renew(self._key, codec.head(was), codec.head(now))
            case "compute":
                self._values[me] = self._row
            case "fill":
                versions, lease = self._taken[me]
                wanted = reading.Wanted(self._key, self._clauses, tuple(self._names), None)
                ordered = self._in_order(versions)
                if not reading.entries.reason_not_to_store(wanted, ordered):
                    entry = codec.pack_entry(ordered, BODY.encode(self._values[me]))
                    # Also without a lease: the versions inside the entry judge it, so a lost one must do no harm.
                    self._store.fill(self._key, entry, lease or b"lost", None)
                elif lease is not None:
                    self._store.release(self._key, lease)
            case other:
                raise NotImplementedError(other)
        return None

    def _write(self, step: Any, writer: str) -> None:
        match step.__name__:
            case "mark":
                self._store.mark([self._names[tag] for tag in step.tags], writer, MARK_SECONDS)
            case "commit":
                self._row |= 1 << int(writer[1:]) - 1
            case "hold":
                self._store.mark([], writer, MARK_SECONDS, [self._names[tag] for tag in step.tags])
            case "lift":
                held, *under = [self._names[tag] for tag in step.tags]
                self._store.done([], writer, {held: under})
            case "done" | "drop":
                self._store.done([self._names[tag] for tag in step.tags], writer)
            case other:
                raise NotImplementedError(other)

    def _lose_or_end(self, move: Move) -> None:
        what = move.what.removeprefix("ends ")
        if what.startswith("the mark of "):
            for name in self._names:
                self._lose(what, name)
        elif tag := re.fullmatch(r"(.+) o[fn] tag (\d+)", what):
            self._lose(tag[1], self._names[int(tag[2])])
        else:
            self._lose(what, self._key)

    def _in_order(self, versions: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
        """In the order of the clauses, which is that of their names."""
        found = dict(zip(self._names, versions, strict=True))
        return tuple(found[name] for name in self._clauses.names)

    def _judge(self, entry: bytes | None, versions: Sequence[bytes | None]) -> int | codec.Miss:
        if entry is None:
            return codec.MISS
        return reading.entries.valid(entry, self._in_order(versions), self._clauses, BODY)[0]

    def _visible(self) -> dict[str, object]:
        snapshot = self._store.read(self._key, self._names)
        value = self._judge(snapshot.entry, snapshot.versions)
        return {
            "entry": snapshot.entry is not None,
            "valid": None if isinstance(value, codec.Miss) else value,
            "known": [version is not None for version in snapshot.versions],
        }


def _visible(scheme: Scheme, state: State) -> dict[str, object]:
    live = tuple(None if held is None or held < 0 else held for held in state.tags)
    valid = state.entry is not None and not scheme.stale(state.entry.versions, live)
    return {
        "entry": state.entry is not None,
        "valid": state.entry.value if valid else None,
        "known": [version is not None for version in live],
    }


def _report(scheme: Scheme, schedule: Schedule, expected: dict[str, object], found: dict[str, object]) -> str:
    lines = [f"{at:>3}. {move.who:<6}{move.what}" for at, (_, move) in enumerate(schedule, 1)]
    differences = [
        f"{name}: {found[name]!r}, in the model {expected[name]!r}" for name in found if found[name] != expected[name]
    ]
    return "\n".join([scheme.name, *lines, *differences])


# Accidents in real backends


def lose_in_redis(store: RedisStore, direct: Any) -> Callable[[str, str], None]:
    """Deletes a key as eviction does, and ends marks by moving their deadlines into the past; *direct* is a client."""

    def lose(what: str, name: str) -> None:
        at = f"{store._prefix}{store.incarnation}:"
        if what.startswith("the mark of "):
            writer, record = what.removeprefix("the mark of "), f"{at}p{{{name}}}"
            if direct.type(record) == b"zset":
                direct.zadd(record, {writer: 1}, xx=True)
            elif direct.get(record) == writer.encode():
                direct.delete(record)
        elif what == "the stand-in":
            direct.zrem(f"{at}p{{{name}}}", "?")
        else:
            kinds = {"the entry": "e", "the version": "t", "the marker": "t", "the pending record": "p"}
            direct.delete(f"{at}{kinds[what]}{{{name}}}")

    return lose


def lose_in_cache(cache: Any) -> Callable[[str, str], None]:
    """Deletes a key as eviction does. A marker that lapses is the same to Django's caches: it is gone."""

    def lose(what: str, name: str) -> None:
        if what == "the entry":
            cache.delete(f"ef:e:{name}")
        elif what in {"the version", "the marker"}:
            cache.delete(f"ef:t:{name}")

    return lose


@contextmanager
def redis_stage(scheme: Scheme, url: str) -> Iterator[Stage]:
    """A stage on a Redis server, which leaves no connection open."""
    import redis

    store = RedisStore.from_url(url, "schedules:", timeout_seconds=5.0)
    with closing(store), redis.Redis.from_url(url) as direct:
        yield Stage(scheme, store, lose_in_redis(store, direct))


def cache_stage(scheme: Scheme, cache: Any) -> Stage:
    """A stage on one of Django's cache backends."""
    return Stage(scheme, DjangoStore(cache), lose_in_cache(cache))


# Which schedules


def random_schedules(scheme: Scheme, start: State, count: int, seed: int) -> Iterator[Schedule]:
    """*count* schedules, each to its end, every step drawn evenly from what can happen next."""
    draw = random.Random(seed)
    for _ in range(count):
        schedule: Schedule = []
        state = start
        while choice := list(moves(scheme, state)):
            move = draw.choice(choice)
            schedule.append((state, move))
            state = move.state
        yield schedule


def all_schedules(scheme: Scheme, start: State) -> Iterator[Schedule]:
    """Every schedule there is: one for each order of all steps. Only for a small start."""
    open_ends: list[Schedule] = [[(start, move)] for move in moves(scheme, start)]
    while open_ends:
        schedule = open_ends.pop()
        state = schedule[-1][1].state
        further = [[*schedule, (state, move)] for move in moves(scheme, state)]
        if further:
            open_ends += further
        else:
            yield schedule


def covering_schedules(scheme: Scheme, start: State) -> Iterator[Schedule]:
    """Schedules that together take every step out of every state there is, each as long as it meets new ones.

    That is all there is to check: what a store does depends on its state and the step, not on the way to that state.
    """
    ways: dict[tuple, Schedule | None] = {shape_of(scheme, start): []}
    queue = deque([start])
    taken: set[tuple[tuple, tuple]] = set()
    while queue:
        state = queue.popleft()
        for move in moves(scheme, state):
            shape = shape_of(scheme, move.state)
            if shape not in ways:
                ways[shape] = [*ways[shape_of(scheme, state)], (state, move)]
                queue.append(move.state)
    for way in list(ways.values()):
        state = way[-1][1].state if way else start
        while (schedule := _to_new_steps(scheme, state, taken)) is not None:
            yield [*way, *schedule]


def _to_new_steps(scheme: Scheme, state: State, taken: set[tuple[tuple, tuple]]) -> Schedule | None:
    schedule: Schedule = []
    shape = shape_of(scheme, state)
    while True:
        for move in moves(scheme, state):
            step = (shape, shape_of(scheme, move.state))
            if step not in taken:
                taken.add(step)
                schedule.append((state, move))
                state, shape = move.state, step[1]
                break
        else:
            return schedule or None
