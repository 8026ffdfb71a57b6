"""Looks at Redis that a coroutine waits for: one connection for each event loop, on which many ask at once.

redis-py's own connection, made in a thread, does what differs from server to server (address, TLS, login, Sentinel).
Then its socket is the loop's. Commands go out as they come, and answers come back in the same order: nobody waits for a
connection, and a task that is cancelled leaves its answer behind, to be passed over by whoever reads the next one.
`redis.asyncio` lends a connection to one task at a time, and takes more than twice as long for each look.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections import deque
from contextlib import suppress
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Line", "Lines"]

FIRST_READS: Final = 8
"""So many reads of a loop go through a thread. `async_to_sync` makes a loop for each call, which is to open nothing."""

PIECE_BYTES: Final = 1 << 18
"""Taken at a time. No less than a record of TLS, of which the rest would lie where no loop looks."""

WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Values = list[bytes | None]


class Line:
    """A *connection* to Redis, used by the coroutines of one loop: everything but making it happens there."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._sock: Any = connection._sock
        self._sock.setblocking(False)
        self._timeout: float | None = connection.socket_timeout
        self._unsent = b""
        self._rest = b""
        self._waiting: deque[tuple[asyncio.Future[Values], float]] = deque()
        self._has_alarm = False
        self.incarnation = str(connection.everfresh_incarnation)
        """Of the server that it leads to."""
        self.is_open = True
        # A loop may end without a word to us. Then nobody holds this any more, and the socket is closed, whoever still
        # holds the connection, and before the garbage collector comes to it.
        weakref.finalize(self, connection.disconnect)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take answers on *loop* from now on.

        Raises:
            NotImplementedError: where loops watch no sockets, as Windows' own.
        """
        # Not in the context of whoever came first, which would live as long as the line.
        Context().run(loop.add_reader, self._sock.fileno(), self._take)

    async def mget(self, names: list[str]) -> Values:
        """The values under *names*, ``None`` for each that has none.

        Raises:
            RedisError, OSError: If the server does not answer, or not with values.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Values] = loop.create_future()
        self._waiting.append((answer, monotonic()))
        self._send(b"".join(self._connection.pack_command("MGET", *names)))
        if not self._has_alarm and self._timeout is not None:
            self._set_alarm(loop, self._timeout)
        return await answer

    def close(self, error: Exception | None = None) -> None:
        """Close it; who waits for an answer gets *error*."""
        if not self.is_open:
            return
        self.is_open = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._connection.disconnect()
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(error or RedisConnectionError("The connection was closed."))
        self._waiting.clear()

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        self._unsent = data
        self._flush()
        if self._unsent:
            Context().run(asyncio.get_running_loop().add_writer, self._sock.fileno(), self._go_on)

    def _go_on(self) -> None:
        self._flush()
        if not self._unsent and self.is_open:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except WOULD_BLOCK:
            pass
        except OSError as error:
            self._unsent = b""
            self.close(error)

    def _take(self) -> None:
        try:
            piece = self._sock.recv(PIECE_BYTES)
            if not piece:
                raise RedisConnectionError("The server closed the connection.")
            self._rest += piece
            self._answer()
        except WOULD_BLOCK:
            pass
        except Exception as error:  # noqa: BLE001  whatever it is, whoever waits is to know
            self.close(error)

    def _answer(self) -> None:
        data, at = self._rest, 0
        while at < len(data):
            try:
                values, following = _parse(data, at)
            except IndexError:
                break
            if not self._waiting:
                raise InvalidResponse(f"The server said what nobody had asked for: {data[at : at + 100]!r}")
            at = following
            answer, _ = self._waiting.popleft()
            if answer.done():
                continue  # its task was cancelled
            if isinstance(values, Exception):
                answer.set_exception(values)
            else:
                answer.set_result(values)
        self._rest = data[at:]

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._has_alarm = True
        loop.call_later(seconds, self._look_at_clock, loop, context=Context())

    def _look_at_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        """See that nobody waits for longer than an exchange may take. One alarm for all: most are answered by then."""
        self._has_alarm = False
        if not self._waiting or self._timeout is None:
            return
        left = self._waiting[0][1] + self._timeout - monotonic()
        if left > 0:
            self._set_alarm(loop, left)
        else:
            self.close(RedisTimeoutError(f"The server did not answer within {self._timeout} seconds."))


class _Seat:
    """What is known of one loop."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self.reads = 0
        self.is_opening = False


class Lines:
    """The lines of a process, one for each loop that lives on; *connect* makes a connection, and may block."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._is_closed = False
        self.forget()

    def forget(self) -> None:
        """In a forked child: the loops and their connections are the parent's."""
        self._seats: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Seat] = weakref.WeakKeyDictionary()

    def line(self, incarnation: str) -> Line | None:
        """The running loop's to the server of this *incarnation*.

        ``None``: there is none yet. It is on its way if this loop has asked often enough.
        """
        loop = asyncio.get_running_loop()
        seat = self._seats.get(loop)
        if seat is None:
            seat = self._seats[loop] = _Seat()
            # Who still waits for an answer holds the loop, and the loop would never be gone.
            for other in list(self._seats):
                if other.is_closed():
                    self._seats.pop(other, None)
        line = seat.line
        if line is not None:
            if line.is_open and line.incarnation == incarnation:
                return line
            # It may lead to the server before the newest that was met.
            line.close()
            seat.line, seat.reads = None, 0
        seat.reads += 1
        if seat.reads > FIRST_READS and not seat.is_opening and not self._is_closed:
            self._open(loop, seat)
        return None

    def close(self) -> None:
        """Close them all, each on its loop. From any thread."""
        self._is_closed = True
        for loop, seat in list(self._seats.items()):
            if seat.line is not None:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(seat.line.close, context=Context())
        self.forget()

    def _open(self, loop: asyncio.AbstractEventLoop, seat: _Seat) -> None:
        seat.is_opening = True
        opening = loop.run_in_executor(None, self._made)

        def arrived(_: object) -> None:
            seat.is_opening, seat.reads = False, 0
            if opening.cancelled() or opening.exception() is not None or self._is_closed:
                # The next reads go through a thread, and tell of what is wrong.
                return
            line = opening.result()
            try:
                line.listen(loop)
            except NotImplementedError:
                seat.is_opening = True
                return
            seat.line = line

        opening.add_done_callback(arrived)

    def _made(self) -> Line:
        return Line(self._connect())


def _parse(data: bytes, at: int) -> tuple[Values | Exception, int]:
    """The answer to an ``MGET`` that begins at *at*, and where the next one begins.

    Raises:
        IndexError: If it has not all come.
        InvalidResponse: If it is anything else.
    """
    kind, count, at = _head(data, at)
    if kind == b"-":
        return ResponseError(count.decode(errors="replace")), at
    if kind != b"*":
        raise InvalidResponse(f"Not the answer to MGET: {kind + count!r}")
    values: Values = []
    for _ in range(int(count)):
        kind, size, at = _head(data, at)
        if kind == b"_" or size == b"-1":
            values.append(None)
            continue
        if kind != b"$":
            raise InvalidResponse(f"Not a value: {kind + size!r}")
        end = at + int(size)
        if end + 2 > len(data):
            raise IndexError
        values.append(data[at:end])
        at = end + 2
    return values, at


def _head(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    return data[at : at + 1], data[at + 1 : end], end + 2
