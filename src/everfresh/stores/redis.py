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
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.retry import Retry

from everfresh.stores.base import LIFETIME_SECONDS, VERSION_BYTES, Fill, Snapshot, Snapshots, new_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Look", "RedisStore", "entry_name", "tag_name"]

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


BEGIN_FILL, FILL, RELEASE, MARK, DONE, ENROLL = SCRIPTS = tuple(
    map(Script, ("begin_fill", "fill", "release", "mark", "done", "enroll"))
)
SOURCES: dict[object, bytes] = {script.digest: script.source for script in SCRIPTS}


class Look(NamedTuple):
    """A look at a server of which a copy may be kept."""

    entry: bytes | None
    versions: tuple[bytes | None, ...]

    lifetime: float
    """Seconds for which the entry will be there; below 0 when it is gone."""

    beginning: str
    """Of the server's names of all keys, the incarnation included."""


class RedisStore:
    """Entries and tags on the server behind *pool*, under keys that begin with *prefix*.

    Every key has a lifetime, so that the store also works beside other users of a server with a ``volatile-*`` policy:
    versions, and entries stored for ever, live for *lifetime_seconds*. A version is renewed by fills that meet it in
    its second half; one that expires is a miss. The store may be shared by threads, and a forked child opens its own
    connections.
    """

    counts_marks = True

    def __init__(self, pool: ConnectionPool, prefix: str = "", lifetime_seconds: float = LIFETIME_SECONDS) -> None:
        self._pool = pool
        self._prefix = prefix
        self._lifetime = _milliseconds(lifetime_seconds)
        self._incarnation = ""
        self._greet: Callable[[Any], None] | None = pool.connection_kwargs.get("redis_connect_func")
        pool.connection_kwargs["redis_connect_func"] = self._meet

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

    def read_many(self, keys: Sequence[str], tags: Sequence[str], *, near: bool = False) -> Snapshots:
        """Look at the entries of *keys* and the versions of *tags* by one ``MGET``."""
        if not keys and not tags:
            return Snapshots(entries=(), versions=())
        [found] = self._ask(
            lambda at: [("MGET", *[f"{at}e{{{key}}}" for key in keys], *[f"{at}t{{{tag}}}" for tag in tags])],
        )
        return Snapshots(entries=tuple(found[: len(keys)]), versions=tuple(map(_version, found[len(keys) :])))

    def look(self, key: str, tags: Sequence[str]) -> Look:
        """As :meth:`read`, and what a copy of it needs: still one round trip."""
        beginnings: list[str] = []

        def commands(at: str) -> list[Command]:
            beginnings.append(at)
            entry = entry_name(at, key)
            return [("MGET", entry, *[tag_name(at, tag) for tag in tags]), ("PTTL", entry)]

        (entry, *versions), lifetime = self._ask(commands)
        return Look(entry, tuple(map(_version, versions)), lifetime / 1000, beginnings[0])

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

    def drop(self, keys: Sequence[str]) -> None:
        """Forget the entries of *keys*."""
        self._ask(lambda at: [("DEL", *[f"{at}e{{{key}}}" for key in keys])])

    def release(self, key: str, lease: bytes) -> None:
        """Give the *lease* on *key* back, if it is still ours."""
        self._ask(lambda at: [RELEASE.call([f"{at}l{{{key}}}"], lease)])

    def mark(self, tags: Sequence[str], writer: str, seconds: float) -> None:
        """Make *tags* pending: no version until :meth:`done` of the same *writer* or for *seconds*."""
        self._each(MARK, tags, writer, _milliseconds(seconds))

    def done(self, tags: Sequence[str], writer: str) -> None:
        """End the *writer*'s mark on *tags* and drop their versions."""
        self._each(DONE, tags, writer)

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
        """Close the connections that are idle."""
        self._pool.disconnect(inuse_connections=False)

    def _each(self, script: Script, tags: Sequence[str], *arguments: str | int) -> None:
        chunks = [tags[start : start + TAGS_PER_SCRIPT] for start in range(0, len(tags), TAGS_PER_SCRIPT)]
        if chunks:
            self._ask(lambda at: [script.call(_records(at, chunk), *arguments) for chunk in chunks])

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


def entry_name(at: str, key: str) -> str:
    """The server's name of the entry of *key*; *at* is the beginning of all names."""
    return f"{at}e{{{key}}}"


def tag_name(at: str, tag: str) -> str:
    """The server's name of the version of *tag*."""
    return f"{at}t{{{tag}}}"


def _records(at: str, tags: Sequence[str]) -> list[str]:
    """The names of the pending record and the version of each tag; the braces put both into one slot of a cluster."""
    return [name for tag in tags for name in (f"{at}p{{{tag}}}", f"{at}t{{{tag}}}")]


def _version(value: bytes | None) -> bytes | None:
    return value if value is not None and len(value) == VERSION_BYTES else None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
