"""The connection on which a Redis server says which keys change: RESP3, ``CLIENT TRACKING`` in broadcast mode.

redis-py's connection does what differs from server to server (address, TLS, login, Sentinel), up to its last answer
before tracking begins. From then on nothing comes but pushes and pongs, and these are read here: redis-py's parsers
differ from version to version in what they do with a push, and none of them reads what has come without waiting for
more.
"""

from __future__ import annotations

import select
from functools import partial
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.connection import ConnectionPool

__all__ = ["Pushes", "Told"]

PIECE_BYTES: Final = 1 << 16

MOST_BYTES: Final = 1 << 25
"""So much is taken at one time; what is longer is sooner forgotten than followed."""

PING: Final = b"*1\r\n$4\r\nPING\r\n"


class Told(NamedTuple):
    """What the server said since one last listened."""

    names: Sequence[bytes] = ()
    """Keys that changed."""

    is_all: bool = False
    """Did all keys change?"""

    pongs: int = 0


class Pushes:
    """A connection to the server that *pool* leads to; :meth:`track` begins. For one thread at a time, but ``ready``.

    Raises:
        RedisError: If the server cannot be reached.
        ResponseError: If it speaks no RESP3.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._connection: Any = pool.connection_class(**{**pool.connection_kwargs, "protocol": 3})
        self._connection.connect()
        self._sock: Any = self._connection._sock
        self._rest = b""
        self._messages: list[Any] = []
        self.ready: Callable[[], object] = _always
        """Is there something to take? For any thread, at the cost of one system call."""

    @property
    def incarnation(self) -> str:
        """The name of the server that it leads to."""
        return str(self._connection.everfresh_incarnation)

    def track(self, beginnings: Sequence[str], channel: str) -> None:
        """Be told of every change of a key whose name begins with one of *beginnings*.

        Raises:
            ResponseError: If the server knows no tracking, or this user may not ask for it.
            OSError, RedisError: If the connection is lost.
        """
        # Servers limit what they keep for a client that subscribes to something (32 MB unless they are told otherwise)
        # and then close its connection. For others they keep all, also for a process that has not listened for hours.
        # A user who may not subscribe goes without the limit.
        prefixes = chain.from_iterable(("PREFIX", beginning) for beginning in beginnings)
        asked = [("CLIENT", "TRACKING", "ON", "BCAST", *prefixes), ("SUBSCRIBE", channel), ("PING",)]
        for piece in self._connection.pack_commands(asked):
            self._sock.sendall(piece)
        answers: list[Any] = []
        while b"PONG" not in answers:
            self._wait()
            answers += [answer for is_push, answer in self._parsed() if not is_push]
        if isinstance(answers[0], ResponseError):
            raise answers[0]

    def wait_for(self, name: bytes) -> None:
        """Wait until the server has said that *name* changed, and from then on never wait.

        Raises:
            OSError, RedisError: If the connection is lost, or that does not come within the connection's time-out.
        """
        seconds = self._sock.gettimeout()
        deadline = None if seconds is None else monotonic() + seconds
        while name not in self._told().names:
            if deadline is not None and monotonic() > deadline:
                raise RedisConnectionError(f"The server does not say that a key changed, within {seconds} seconds.")
            self._wait()
        self._sock.setblocking(False)
        # `poll` objects serve one thread at a time. Where there is no epoll, as on macOS, Windows and under gevent,
        # everybody tries to take.
        if hasattr(select, "epoll"):
            epoll = select.epoll()
            epoll.register(self._sock.fileno(), select.EPOLLIN)
            self.ready = partial(epoll.poll, 0, 1)

    def take(self) -> Told:
        """All that has come, without waiting.

        Raises:
            OSError, RedisError: If the connection is lost, or what came is no RESP3 or more than can be followed.
        """
        pieces, size = [self._rest], 0
        try:
            while piece := self._sock.recv(PIECE_BYTES):
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise RedisConnectionError(f"More than {MOST_BYTES} bytes of changes came at a time.")
        except WOULD_BLOCK:
            if not size:
                return _NOTHING
            self._rest = b"".join(pieces)
            return self._told()
        raise RedisConnectionError("The server closed the connection.")

    def ping(self) -> None:
        """Ask for a pong, without waiting for it.

        Raises:
            OSError: If the connection is lost, or so slow that it does not take these few bytes.
        """
        self._sock.sendall(PING)

    def close(self) -> None:
        """Close the connection; not that of the parent, in a forked child."""
        # The epoll object is closed with the last thread that asks it.
        self.ready = _always
        self._connection.disconnect()

    def _wait(self) -> None:
        piece = self._sock.recv(PIECE_BYTES)
        if not piece:
            raise RedisConnectionError("The server closed the connection.")
        self._rest += piece

    def _told(self) -> Told:
        names: list[bytes] = []
        is_all, pongs = False, 0
        for is_push, message in self._parsed():
            if is_push and message[0] == b"invalidate":
                if message[1] is None:
                    is_all = True
                else:
                    names += message[1]
            elif message == b"PONG":
                pongs += 1
            # Else somebody else's: a message in our channel, what the server announces of its maintenance.
        return Told(names, is_all, pongs)

    def _parsed(self) -> list[tuple[bool, Any]]:
        """The messages that came whole, and whether each is a push; the rest is kept."""
        lines, at = self._rest.split(b"\r\n"), 0
        last = len(lines) - 1  # what follows the last line end is no line yet
        messages = []
        while at < last:
            try:
                message, following = _parse(lines, at, last)
            except IndexError:
                break
            messages.append((lines[at][:1] == b">", message))
            at = following
        self._rest = b"\r\n".join(lines[at:])
        return messages


def _parse(lines: list[bytes], at: int, last: int) -> tuple[Any, int]:
    """The value that begins in line *at*, and the line that follows it.

    By lines: names never hold a line end, for no key of ours does. One that does has another length than it says.

    Raises:
        IndexError: If it goes beyond line *last*, exclusive.
        InvalidResponse: If it is no RESP3, or holds a line end.
    """
    if at >= last:
        raise IndexError
    kind, rest = lines[at][:1], lines[at][1:]
    at += 1
    if kind in b"+:,#(" and kind:
        return rest, at
    if kind == b"-":
        return ResponseError(rest.decode(errors="replace")), at
    if kind == b"_" or rest == b"-1":
        return None, at
    try:
        count = int(rest)
    except ValueError:
        raise InvalidResponse(f"Not RESP3: {lines[at - 1]!r}") from None
    if kind in (b"$", b"=", b"!"):
        if at >= last:
            raise IndexError
        if len(lines[at]) != count:
            raise InvalidResponse(f"A text of {count} bytes has {len(lines[at])}: {lines[at]!r}")
        return lines[at], at + 1
    if kind not in (b"*", b">", b"~", b"%", b"|"):
        raise InvalidResponse(f"Not RESP3: {lines[at - 1]!r}")
    end = at + 2 * count
    if end <= last and lines[at:end:2] == [b"$%d" % len(text) for text in lines[at + 1 : end : 2]]:
        # Many names at once, by an eighth of the time.
        return lines[at + 1 : end : 2], end
    values = []
    for _ in range(2 * count if kind in (b"%", b"|") else count):
        value, at = _parse(lines, at, last)
        values.append(value)
    return values, at


def _always() -> bool:
    return True


def _would_block() -> tuple[type[Exception], ...]:
    try:
        import ssl
    except ImportError:
        return (BlockingIOError,)
    return (BlockingIOError, ssl.SSLWantReadError)


WOULD_BLOCK: Final = _would_block()

_NOTHING: Final = Told()
