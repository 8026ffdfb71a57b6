"""Conversations with one Redis server, and what is sent to it without waiting for the answer.

Idle connections lie on a stack of our own: redis-py's pool makes and numbers them, but takes more of a short exchange
than the server does, and closes those of which an answer is still to come.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import weakref
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.connection import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.connection import ConnectionPool

__all__ = ["Command", "Connections", "Script", "at_once", "connected"]

logger = logging.getLogger("everfresh")

Command = tuple[bytes | str | int, ...]

Commands = Callable[[str], list[Command]]
"""Builds commands for a server of which the names of all keys begin with this."""


class Script:
    """A Lua script by its source and by the digest under which the server keeps it."""

    sources: dict[object, bytes] = {}
    """Of all scripts, by digest."""

    def __init__(self, name: str) -> None:
        source = files(__package__).joinpath("lua", f"{name}.lua").read_bytes()
        self.digest = hashlib.sha1(source, usedforsecurity=False).hexdigest()
        self.sources[self.digest] = source

    def call(self, keys: Sequence[str], *arguments: bytes | str | int) -> Command:
        """The command that runs the script, by digest: the source travels only to a server that does not know it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


def at_once(calls: list[Command]) -> list[Command]:
    """*calls* of scripts, in a way that nothing comes between them."""
    if len(calls) < 2:
        return calls
    # By their sources: one that the server does not know would be left out, and the others be done.
    whole = [("EVAL", Script.sources[digest], *rest) for _, digest, *rest in calls]
    return [("MULTI",), *whole, ("EXEC",)]


class _Posted(NamedTuple):
    """What was sent on a connection and not answered yet."""

    commands: Commands
    asked: list[Command]
    insists: bool


class Connections:
    """Connections to the server that *pool* leads to, whose keys all begin with *prefix* and its incarnation.

    They come from *pool*, and lie here when they are idle; those of a pool for whose connections others wait go back.
    May be shared by threads, and a forked child opens its own.
    """

    def __init__(self, pool: ConnectionPool, prefix: str) -> None:
        self.pool = pool
        self.incarnation = ""
        """Of the server that was met last."""

        self._prefix = prefix
        self._idle: list[tuple[Any, _Posted | None]] = []
        self._unheard: list[Commands] = []
        """What has to be sent again, for nobody heard whether it arrived."""
        self._is_closed = False
        # Who finds no connection in such a pool waits until one is given back to it, and not to us.
        self._lends = isinstance(pool, BlockingConnectionPool)
        self._greet: Callable[[Any], None] | None = pool.connection_kwargs.get("redis_connect_func")
        # Weakly, so that this is part of no cycle, and its end closes the connections. The garbage collector may come
        # to a socket before it comes to the connection that would close it: redis-py makes cycles of its own.
        pool.connection_kwargs["redis_connect_func"] = partial(type(self)._meet, weakref.proxy(self))
        weakref.finalize(self, _disconnect, pool, self._idle)

    def beginning(self, incarnation: str) -> str:
        """What the names of all keys begin with on the server of this *incarnation*."""
        return f"{self._prefix}{incarnation}:"

    def ask(self, commands: Commands) -> list[Any]:
        """The answers to *commands*, which are built for the beginning of this server's keys, in one round trip.

        No retries here: who waits for a read can ask the database, and who sends an invalidation retries by a plan.

        Raises:
            RedisError, OSError: If the server does not answer, or answers with an error.
        """
        connection = self._take()
        try:
            self._repeat(connection)
            return self._exchange(connection, commands)
        except BaseException as error:
            self._broken(connection, error)
            raise
        finally:
            self._give_back(connection, None)

    def post(self, commands: Commands, *, insists: bool = False) -> None:
        """Send *commands*, and leave their answers to whoever next uses the connection.

        Args:
            commands: built as for :meth:`ask`. The server executes them before whatever is asked on this connection.
            insists: if nobody hears that they were executed, are they to be sent again before anything else is?

        Raises:
            RedisError, OSError: If they cannot be sent.
        """
        if self._lends:
            self.ask(commands)
            return
        connection, posted = self._take(), None
        try:
            self._repeat(connection)
            asked = commands(self.beginning(self._meets(connection)))
            connection.send_packed_command(connection.pack_commands(asked))
            posted = _Posted(commands, asked, insists)
        except BaseException as error:
            self._broken(connection, error)
            raise
        finally:
            self._give_back(connection, posted)

    def close(self) -> None:
        """Close the connections that are idle, and each of the others as soon as it is."""
        self._is_closed = True
        _disconnect(self.pool, self._idle)

    # One connection at a time

    def _take(self) -> Any:
        """A connection on which all that was posted is answered. It may have to be connected again."""
        try:
            connection, posted = self._idle.pop()
            if connection.pid != os.getpid():
                # We were forked: all of them are the parent's, and so are the answers that are still to come.
                self._idle.clear()
                return self.pool.get_connection()
        except IndexError:
            return self.pool.get_connection()
        try:
            if posted is not None:
                self._hear(connection, posted)
            if connection.can_read():
                # Nobody asked: this is the end of the connection, or the rest of a conversation that was cut short.
                connection.disconnect()
            # What the pool sees to when it is given one back. redis-py has the first of them since version 6.
            if getattr(connection, "should_reconnect", _never)():
                connection.disconnect()
            connection.re_auth()
        except BaseException as error:
            self._broken(connection, error)
            # A server that kept us waiting would do so again. To one that closed the connection there may be another.
            if isinstance(error, RedisTimeoutError) or not isinstance(error, (RedisError, OSError)):
                self._give_back(connection, None)
                raise
        return connection

    def _give_back(self, connection: Any, posted: _Posted | None) -> None:
        # Not its own: we were forked in the meantime, or another server is the primary now.
        if self._lends or not self.pool.owns_connection(connection):
            self.pool.release(connection)
            self._give_up(posted)
        else:
            self._idle.append((connection, posted))
        # Looked at after that: what close() has not seen among the idle ones, it was closed before.
        if self._is_closed:
            _disconnect(self.pool, self._idle)

    def _broken(self, connection: Any, error: BaseException) -> None:
        """Nobody shall read the rest of the answers. Also after KeyboardInterrupt, or in a greenlet that is killed."""
        connection.disconnect()
        if isinstance(error, ReadOnlyError):
            # Once a primary, now a replica. Ask again who is the primary before anything is believed or told.
            for _, posted in self._idle:
                self._give_up(posted)
            _disconnect(self.pool, self._idle)

    def _give_up(self, posted: _Posted | None) -> None:
        """Nobody will hear whether it was done."""
        if posted is not None and posted.insists:
            self._unheard.append(posted.commands)

    def _meets(self, connection: Any) -> str:
        """Connect, if it is not; the name of the server that it leads to."""
        connection.connect()
        # A connection that is older than the newest server we met may still lead to the server before it.
        if _incarnation(connection) != self.incarnation:
            connection.disconnect()
            connection.connect()
        return _incarnation(connection)

    def _exchange(self, connection: Any, commands: Commands) -> list[Any]:
        incarnation = self._meets(connection)
        asked = commands(self.beginning(incarnation))
        answers = _converse(connection, asked)
        # A server loses its scripts when it restarts, and by SCRIPT FLUSH.
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            again = _converse(connection, [("EVAL", Script.sources[asked[at][1]], *asked[at][2:]) for at in unknown])
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

    def _hear(self, connection: Any, posted: _Posted) -> None:
        """Read the answers to what was *posted*.

        Raises:
            RedisError, OSError: If there is none, or the server takes nothing any more.
        """
        heard = False
        try:
            answers = _answers(connection, posted.asked)
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            heard = not errors
            if heard:
                return
            unknown = {
                call[1] for call, each in zip(posted.asked, answers, strict=True) if isinstance(each, NoScriptError)
            }
            if unknown:
                # What is posted next shall find it there.
                _converse(connection, [("SCRIPT", "LOAD", Script.sources[digest]) for digest in unknown])
            else:
                logger.warning("The cache server did not do what it was sent: %r", errors[0])
            for error in errors:
                if isinstance(error, ReadOnlyError):
                    raise error
        finally:
            if not heard:
                self._give_up(posted)

    def _repeat(self, connection: Any) -> None:
        """Send again what nobody has heard of."""
        while self._unheard:
            try:
                commands = self._unheard.pop()
            except IndexError:
                # Another thread was faster.
                return
            try:
                self._exchange(connection, commands)
            except BaseException:
                self._unheard.append(commands)
                raise

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
        if connection.everfresh_incarnation != self.incarnation:
            # What is posted has to find its script there. Where that may not be loaded, the log says so.
            _converse(connection, [("SCRIPT", "LOAD", source) for source in Script.sources.values()])
            self.incarnation = connection.everfresh_incarnation


def connected(pool: ConnectionPool) -> Any:
    """A connection of its own to where *pool* leads, which has met the server."""
    connection: Any = pool.connection_class(**pool.connection_kwargs)
    connection.connect()
    return connection


def _disconnect(pool: Any, idle: list[tuple[Any, _Posted | None]]) -> None:
    """Close the *idle* connections, and those to the sentinels that *pool* asks who the primary is."""
    while idle:
        try:
            connection, _ = idle.pop()
        except IndexError:
            break
        connection.disconnect()
        pool.release(connection)
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        sentinel.connection_pool.disconnect(inuse_connections=False)


def _converse(connection: Any, commands: list[Command]) -> list[Any]:
    """Send all *commands* at once, then read the answers."""
    connection.send_packed_command(connection.pack_commands(commands))
    return _answers(connection, commands)


def _answers(connection: Any, commands: list[Command]) -> list[Any]:
    """The answers to *commands*; one that is an error stands in its place."""
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except ResponseError as error:
            answers.append(error)
    if commands[-1][0] == "EXEC" and isinstance(answers[-1], list):
        # Until then they were only queued.
        answers[1:-1] = answers[-1]
    return answers


def _incarnation(connection: Any) -> str:
    return str(getattr(connection, "everfresh_incarnation", ""))


def _never() -> bool:
    return False
