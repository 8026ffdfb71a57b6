"""A store on Redis or Valkey: the full protocol, one round trip for each operation.

Every key begins with the *incarnation* of the server it is sent to: the first characters of the ``run_id`` that a
server makes up when it starts. A server that comes back from an old snapshot, or a replica that takes over before it
has seen everything, would show old entries together with the old versions that make them look right. Under another
incarnation nobody looks at them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import weakref
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.retry import Retry

from everfresh.stores.base import LIFETIME_SECONDS, VERSION_BYTES, Fill, Snapshot, Snapshots, new_versions
from everfresh.stores.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Look", "RedisStore"]

TAGS_PER_SCRIPT = 1000  # about a millisecond of the server's time, in which it serves nobody else

Command = tuple[bytes | str | int, ...]


class Script:
    """A Lua script by its source and by the digest under which the server keeps it."""

    def __init__(self, name: str) -> None:
        self.source = files(__package__).joinpath("lua", f"{name}.lua").read_bytes()
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: bytes | str | int) -> Command:
        """The command that runs the script, by digest: the source travels only to a server that does not know it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


BEGIN_FILL, FILL, RELEASE, MARK, DONE, HOLD, LIFT, ENROLL, LIFETIMES, RENEW = SCRIPTS = tuple(
    map(Script, ("begin_fill", "fill", "release", "mark", "done", "hold", "lift", "enroll", "lifetimes", "renew"))
)
SOURCES: dict[object, bytes] = {script.digest: script.source for script in SCRIPTS}


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

    def __init__(self, pool: ConnectionPool, prefix: str = "", lifetime_seconds: float = LIFETIME_SECONDS) -> None:
        self._pool = pool
        self._prefix = prefix
        self._lifetime = _milliseconds(lifetime_seconds)
        self._incarnation = ""
        self._greet: Callable[[Any], None] | None = pool.connection_kwargs.get("redis_connect_func")
        # Weakly, so that the store is part of no cycle, and its end closes the connections. The garbage collector may
        # come to a socket before it comes to the connection that would close it: redis-py makes cycles of its own.
        pool.connection_kwargs["redis_connect_func"] = partial(type(self)._meet, weakref.proxy(self))
        weakref.finalize(self, _disconnect, pool)
        self._lines = Lines(partial(_connected, pool))
        self._is_closed = False

    @property
    def pool(self) -> ConnectionPool:
        """The connections that it uses; each knows the server that it leads to, by ``everfresh_incarnation``."""
        return self._pool

    @property
    def incarnation(self) -> str:
        """Of the server that was met last."""
        return self._incarnation

    def beginning(self, incarnation: str) -> str:
        """What the names of all keys begin with on the server of this *incarnation*."""
        return f"{self._prefix}{incarnation}:"

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
        [found] = self._ask(lambda at: [("MGET", *_looked_at(at, keys, tags))])
        return _snapshots(found, len(keys))

    def may_await(self) -> bool:
        """Can coroutines of the running loop look without a thread? Those of one that asks often can, in the end."""
        return self._lines.line(self._incarnation) is not None

    async def aread_many(self, keys: Sequence[str], tags: Sequence[str]) -> Snapshots | None:
        """As :meth:`read_many`, waiting on the running loop; ``None`` where that cannot be."""
        line = self._lines.line(self._incarnation)
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

        found, *lifetimes = self._ask(commands)
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

        answers = self._ask(commands)
        return Fill(
            versions=tuple(_version(version) for answer in answers for version in answer[1:]),
            lease=token if answers[0][0] else None,
        )

    def fill(self, key: str, entry: bytes, lease: bytes, timeout: float | None) -> None:
        """Store *entry* under *key* for *timeout* seconds and give the *lease* back."""
        lifetime = self._lifetime if timeout is None else _milliseconds(timeout)
        self._ask(lambda at: [FILL.call([f"{at}e{{{key}}}", f"{at}l{{{key}}}"], lease, lifetime, entry)])

    def fill_many(self, entries: Mapping[str, bytes], timeout: float | None) -> None:
        """Store *entries* by their keys for *timeout* seconds, in one round trip."""
        lifetime = self._lifetime if timeout is None else _milliseconds(timeout)
        self._ask(lambda at: [("SET", f"{at}e{{{key}}}", entry, "PX", lifetime) for key, entry in entries.items()])

    def renew(self, key: str, before: bytes, after: bytes) -> None:
        """Let the entry of *key* begin with *after*, if it begins with *before*, which is as long."""
        self._ask(lambda at: [RENEW.call([f"{at}e{{{key}}}"], before, after)])

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*."""
        self._ask(lambda at: [("DEL", *[f"{at}e{{{key}}}" for key in keys])])

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours."""
        self._ask(lambda at: [RELEASE.call([f"{at}l{{{key}}}"], lease)])

    def mark(self, tags: Sequence[str], writer: str, seconds: float, held: Sequence[str] = ()) -> None:
        """Make *tags* and *held* pending: no version until :meth:`done` of the same *writer* or for *seconds*."""
        lasts = _milliseconds(seconds)

        def commands(at: str) -> list[Command]:
            holds = [HOLD.call(_records(at, held), writer, lasts)] if held else []
            return [*holds, *[MARK.call(_records(at, chunk), writer, lasts) for chunk in _chunks(tags)]]

        if tags or held:
            self._ask(commands)

    def done(self, tags: Sequence[str], writer: str, held: Mapping[str, Sequence[str]] | None = None) -> None:
        """End the *writer*'s marks: drop the versions of *tags*, and those under *held*, which then get theirs back."""

        def commands(at: str) -> list[Command]:
            asked = [DONE.call(_records(at, chunk), writer) for chunk in _chunks(tags)]
            if held:
                # The last chunk goes with the end of the hold; those before it are dropped before that.
                *others, last = _chunks([tag for under in held.values() for tag in under]) or [()]
                asked += [LIFT.call(_places(at, chunk), writer, 0, self._lifetime) for chunk in others]
                keys = [*_records(at, list(held)), *_places(at, last)]
                asked.append(LIFT.call(keys, writer, len(held), self._lifetime))
            return asked

        if tags or held:
            self._ask(commands)

    def enroll(self, members: Sequence[tuple[str, str]], seconds: float | None) -> bool:
        """Put *members* into their indexes, for *seconds*, in one round trip."""
        lifetime = self._lifetime if seconds is None else _milliseconds(seconds)
        self._ask(lambda at: [ENROLL.call([f"{at}i{{{index}}}"], each.encode(), lifetime) for index, each in members])
        return True

    def enrolled(self, index: str) -> list[str]:
        """The members of *index* whose time is not over: one round trip for each thousand."""
        found: dict[bytes, None] = {}  # a member may come more than once
        cursor: bytes | int = 0
        while True:
            (seconds, microseconds), (cursor, pairs) = self._ask(partial(_scan, index, cursor))
            now = int(seconds) * 1000 + int(microseconds) // 1000
            for member, deadline in zip(pairs[::2], pairs[1::2], strict=True):
                if float(deadline) > now:
                    found[member] = None
            if int(cursor) == 0:
                return [member.decode() for member in found]

    def close(self) -> None:
        """Close the connections that are idle, and each of the others as soon as it is."""
        self._is_closed = True
        self._lines.close()
        _disconnect(self._pool)

    def after_fork(self) -> None:
        """In a forked child: redis-py sees by itself that its connections are the parent's."""
        self._lines.forget()

    def _ask(self, commands: Callable[[str], list[Command]]) -> list[Any]:
        """The answers to *commands*, which are built for the beginning of this server's keys, in one round trip.

        No retries here: who waits for a read can ask the database, and who sends an invalidation retries by a plan.
        """
        connection: Any = self._pool.get_connection()
        try:
            # A connection that is older than the newest server we met may still lead to the server before it.
            if _incarnation(connection) != self._incarnation:
                connection.disconnect()
                connection.connect()
            incarnation = _incarnation(connection)
            asked = commands(self.beginning(incarnation))
            answers = _converse(connection, asked)
            # A server loses its scripts when it restarts, and by SCRIPT FLUSH.
            unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = _converse(connection, [("EVAL", SOURCES[asked[at][1]], *asked[at][2:]) for at in unknown])
                for at, answer in zip(unknown, again, strict=True):
                    answers[at] = answer
            # The client reconnects by itself when it finds the socket closed: these answers are about keys of another
            # server.
            if _incarnation(connection) != incarnation:
                raise RedisConnectionError("The server was replaced by another one in the middle of a command.")
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers
        except ReadOnlyError:
            # Once a primary, now a replica. Ask again who is the primary before anything is believed or told.
            connection.disconnect()
            self._pool.disconnect(inuse_connections=False)
            raise
        except BaseException:
            # Also KeyboardInterrupt or a greenlet killed: the next user must not read the rest of our answers.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
            # Looked at after the release: what close() has not seen among the idle ones, it was closed before.
            if self._is_closed:
                _disconnect(self._pool)

    def _meet(self, connection: Any) -> None:
        """Ask a server that we just connected to who it is. Runs on each new connection, before its first command."""
        if self._greet is None:
            connection.on_connect()
        else:
            self._greet(connection)
        [answer] = _converse(connection, [("INFO", "server")])
        # A server that keeps INFO to itself (some hosted ones) always has the same name: there a restart from an old
        # snapshot goes unnoticed, as the documentation says.
        found = None if isinstance(answer, Exception) else re.search(rb"run_id:(\w{8})", answer)
        connection.everfresh_incarnation = found[1].decode() if found else "0"
        self._incarnation = connection.everfresh_incarnation


def connection_options(timeout_seconds: float) -> dict[str, Any]:
    """What a connection of ours has unless the user says otherwise: short timeouts, and no retries behind our back."""
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
    }


def _connected(pool: ConnectionPool) -> Any:
    """A connection of its own to where *pool* leads, which has met the server."""
    connection: Any = pool.connection_class(**pool.connection_kwargs)
    connection.connect()
    return connection


def _disconnect(pool: Any) -> None:
    """Close the idle connections of *pool*, and those to the sentinels that it asks who the primary is."""
    pool.disconnect(inuse_connections=False)
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        sentinel.connection_pool.disconnect(inuse_connections=False)


def _converse(connection: Any, commands: list[Command]) -> list[Any]:
    """Send all *commands* at once, then read the answers; one that is an error stands in its place."""
    connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except ResponseError as error:
            answers.append(error)
    return answers


def _scan(index: str, cursor: bytes | int, at: str) -> list[Command]:
    return [("TIME",), ("ZSCAN", f"{at}i{{{index}}}", cursor, "COUNT", 1000)]


def _incarnation(connection: Any) -> str:
    return str(getattr(connection, "everfresh_incarnation", ""))


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
