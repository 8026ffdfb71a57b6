"""A store on Redis or Valkey: the full protocol, at most one round trip for each operation.

What nobody has to know the outcome of (an entry that is stored, a lease that is given back) is posted: sent, and its
answer left to whoever next uses the connection.

Every key begins with the *incarnation* of the server it is sent to: the first characters of the ``run_id`` that a
server makes up when it starts. A server that comes back from an old snapshot, or a replica that takes over before it
has seen everything, would show old entries together with the old versions that make them look right. Under another
incarnation nobody looks at them.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from everfresh.stores.base import LIFETIME_SECONDS, VERSION_BYTES, Fill, Snapshot, Snapshots, new_versions
from everfresh.stores.connections import Command, Connections, Script, at_once, connected
from everfresh.stores.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Look", "RedisStore"]

TAGS_PER_SCRIPT = 1000  # about a millisecond of the server's time, in which it serves nobody else

BEGIN_FILL, FILL, RELEASE, MARK, DONE, HOLD, LIFT, ENROLL, LIFETIMES, RENEW = tuple(
    map(Script, ("begin_fill", "fill", "release", "mark", "done", "hold", "lift", "enroll", "lifetimes", "renew"))
)


class Look(NamedTuple):
    """A look at a server of which copies may be kept."""

    entries: tuple[bytes | None, ...]
    """One for each key, in order."""

    versions: tuple[bytes | None, ...]
    """One for each tag, in order."""

    lifetimes: Sequence[float]
    """Seconds for which each entry will be there; below 0 when it is gone."""

    incarnation: str
    """Of the server that was asked."""


class RedisStore:
    """Entries and tags on the server behind *pool*, under keys that begin with *prefix*.

    Every key has a lifetime, so that the store also works beside other users of a server with a ``volatile-*`` policy:
    versions, and entries stored for ever, live for *lifetime_seconds*. A version is renewed by fills that meet it in
    its second half; one that expires is a miss. The store may be shared by threads, and a forked child opens its own
    connections.
    """

    counts_marks = True
    renews = True
    holds = True
    posts = True

    def __init__(self, pool: ConnectionPool, prefix: str = "", lifetime_seconds: float = LIFETIME_SECONDS) -> None:
        self._prefix = prefix
        self._lifetime = _milliseconds(lifetime_seconds)
        self.connections = Connections(pool, prefix)
        """Each of them knows the server that it leads to, by ``everfresh_incarnation``."""
        self._lines = Lines(partial(connected, pool))

    @property
    def incarnation(self) -> str:
        """Of the server that was met last."""
        return self.connections.incarnation

    def beginning(self, incarnation: str) -> str:
        """What the names of all keys begin with on the server of this *incarnation*."""
        return self.connections.beginning(incarnation)

    @classmethod
    def from_url(
        cls,
        url: str,
        prefix: str = "",
        *,
        timeout_seconds: float = 0.5,
        lifetime_seconds: float = LIFETIME_SECONDS,
        pool_class: type[ConnectionPool] = ConnectionPool,
        **options: Any,
    ) -> RedisStore:
        """A store on the server at *url*; *options* are redis-py's for a connection."""
        options = connection_options(timeout_seconds) | options | {"decode_responses": False}
        return cls(pool_class.from_url(url, **options), prefix, lifetime_seconds)

    def read(self, key: str, tags: Sequence[str], *, near: bool = False) -> Snapshot:
        """Look at the entry of *key* and the versions of *tags* by one ``MGET``."""
        snapshots = self.read_many([key], tags)
        return Snapshot(entry=snapshots.entries[0], versions=snapshots.versions)

    def read_many(
        self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False, own: Sequence[tuple[str, ...]] = ()
    ) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags* by one ``MGET``."""
        if not keys and not tags:
            return Snapshots(entries=(), versions=())
        [found] = self.connections.ask(lambda at: [("MGET", *_looked_at(at, keys, tags))])
        return _snapshots(found, len(keys))

    def may_await(self) -> bool:
        """Can coroutines of the running loop look without a thread? Those of one that asks often can, in the end."""
        return self._lines.line(self.incarnation) is not None

    async def aread_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """As :meth:`read_many`, waiting on the running loop; ``None`` where that cannot be."""
        line = self._lines.line(self.incarnation)
        if line is None:
            return None
        found = await line.mget(_looked_at(self.beginning(line.incarnation), keys, tags))
        return _snapshots(found, len(keys))

    def look(self, keys: Sequence[str], tags: Sequence[str]) -> Look:
        """As :meth:`read_many`, and what copies of it need: still one round trip."""
        incarnations: list[str] = []

        def commands(at: str) -> list[Command]:
            incarnations.append(at[len(self._prefix) : -1])
            looks: list[Command] = [("MGET", *_looked_at(at, keys, tags))]
            if entries := _looked_at(at, keys, ()):
                looks.append(("PTTL", *entries) if len(entries) == 1 else LIFETIMES.call(entries))
            return looks

        found, *lifetimes = self.connections.ask(commands)
        if len(keys) > 1:
            [lifetimes] = lifetimes
        return Look(
            tuple(found[: len(keys)]),
            tuple(map(_version, found[len(keys) :])),
            [each / 1000 for each in lifetimes],
            incarnations[0],
        )

    def begin_fill(self, key: str, tags: Sequence[str], lease_seconds: float) -> Fill:
        """Create the versions of *tags* that are missing, except of pending ones, and take the lease on *key*."""
        token = secrets.token_bytes(12) if lease_seconds > 0 else b""
        candidates = new_versions(len(tags))

        def commands(at: str) -> list[Command]:
            # Only the first script takes the lease. One script even without tags, for the lease alone.
            return [
                BEGIN_FILL.call(
                    [f"{at}l{{{key}}}", *_records(at, tags[start : start + TAGS_PER_SCRIPT])],
                    b"" if start else token,
                    _milliseconds(lease_seconds),
                    self._lifetime,
                    *candidates[start : start + TAGS_PER_SCRIPT],
                )
                for start in range(0, len(tags) or 1, TAGS_PER_SCRIPT)
            ]

        answers = self.connections.ask(commands)
        return Fill(
            versions=tuple(_version(version) for answer in answers for version in answer[1:]),
            lease=token if answers[0][0] else None,
        )

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds and give the *lease* back."""
        lifetime = self._lifetime if timeout is None else _milliseconds(timeout)
        self.connections.post(lambda at: [FILL.call([f"{at}e{{{key}}}", f"{at}l{{{key}}}"], lease, lifetime, entry)])

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds, in one round trip."""
        lifetime = self._lifetime if timeout is None else _milliseconds(timeout)
        self.connections.post(
            lambda at: [("SET", f"{at}e{{{key}}}", entry, "PX", lifetime) for key, entry in entries.items()]
        )

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before*, which is as long."""
        self.connections.post(lambda at: [RENEW.call([f"{at}e{{{key}}}"], before, after)])

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*."""
        self.connections.ask(lambda at: [("DEL", *[f"{at}e{{{key}}}" for key in keys])])

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours."""
        self.connections.post(lambda at: [RELEASE.call([f"{at}l{{{key}}}"], lease)])

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending: no version until :meth:`done` of the same *writer* or for *seconds*."""
        lasts = _milliseconds(seconds)

        def commands(at: str) -> list[Command]:
            holds = [HOLD.call(_records(at, held), writer, lasts)] if held else []
            return [*holds, *[MARK.call(_records(at, chunk), writer, lasts) for chunk in _chunks(tags)]]

        if tags or held:
            self.connections.ask(commands)

    def done(
        self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None, *, wait: bool = True
    ) -> None:
        """End the *writer*'s marks: drop the versions of *tags*, and those under *held*, which then get theirs back.

        Without *wait*, it was sent when this returns; if nobody hears that it was done, it is sent again.
        """

        def commands(at: str) -> list[Command]:
            asked = [DONE.call(_records(at, chunk), writer) for chunk in _chunks(tags)]
            if held:
                # The last chunk goes with the end of the hold; those before it are dropped before that.
                *others, last = _chunks([tag for under in held.values() for tag in under]) or [()]
                asked += [LIFT.call(_places(at, chunk), writer, 0, self._lifetime) for chunk in others]
                keys = [*_records(at, list(held)), *_places(at, last)]
                asked.append(LIFT.call(keys, writer, len(held), self._lifetime))
            # Of a write whose mark was lost, somebody may have stored what was there before: an answer with a tag in
            # each of two scripts must not be stamped anew between them (docs/design/0009).
            return at_once(asked)

        if not (tags or held):
            return
        if wait:
            self.connections.ask(commands)
        else:
            self.connections.post(commands, insists=True)

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes, for *seconds*, in one round trip."""
        lifetime = self._lifetime if seconds is None else _milliseconds(seconds)
        self.connections.ask(
            lambda at: [ENROLL.call([f"{at}i{{{index}}}"], each.encode(), lifetime) for index, each in members]
        )
        return True

    def enrolled(self, index: str) -> list[str]:
        """The members of *index* whose time is not over: one round trip for each thousand."""
        found: dict[bytes, None] = {}  # a member may come more than once
        cursor: bytes | int = 0
        while True:
            (seconds, microseconds), (cursor, pairs) = self.connections.ask(partial(_scan, index, cursor))
            now = int(seconds) * 1000 + int(microseconds) // 1000
            for member, deadline in zip(pairs[::2], pairs[1::2], strict=True):
                if float(deadline) > now:
                    found[member] = None
            if int(cursor) == 0:
                return [member.decode() for member in found]

    def close(self) -> None:
        """Close the connections that are idle, and each of the others as soon as it is."""
        self._lines.close()
        self.connections.close()

    def after_fork(self) -> None:
        """In a forked child: the lines are the parent's."""
        self._lines.forget()


def connection_options(timeout_seconds: float) -> dict[str, Any]:
    """What a connection of ours has unless the user says otherwise: short timeouts, and no retries behind our back."""
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
    }


def _scan(index: str, cursor: bytes | int, at: str) -> list[Command]:
    return [("TIME",), ("ZSCAN", f"{at}i{{{index}}}", cursor, "COUNT", 1000)]


def _looked_at(at: str, keys: Sequence[str], tags: Sequence[str]) -> list[str]:
    return [*[f"{at}e{{{key}}}" for key in keys], *[f"{at}t{{{tag}}}" for tag in tags]]


def _snapshots(found: list[Any], keys: int) -> Snapshots:
    return Snapshots(entries=tuple(found[:keys]), versions=tuple(map(_version, found[keys:])))


def _records(at: str, tags: Sequence[str]) -> list[str]:
    """The names of the pending record and the version of each tag; the braces put both into one slot of a cluster."""
    return [name for tag in tags for name in (f"{at}p{{{tag}}}", f"{at}t{{{tag}}}")]


def _places(at: str, tags: Sequence[str]) -> list[str]:
    return [f"{at}t{{{tag}}}" for tag in tags]


def _chunks(tags: Sequence[str]) -> list[Sequence[str]]:
    return [tags[start : start + TAGS_PER_SCRIPT] for start in range(0, len(tags), TAGS_PER_SCRIPT)]


def _version(value: bytes | None) -> bytes | None:
    return value if value is not None and len(value) == VERSION_BYTES else None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
