"""A slow network on one machine: a TCP proxy that delays, stalls and cuts what passes through it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from typing import Self

__all__ = ["SlowNetwork"]


class SlowNetwork:
    """Listens on *port* of the loopback and passes everything on to the server at *host* and *server_port*.

    Each piece of a conversation, in either direction, may be delayed a little, be stalled for longer than anybody
    waits and still arrive then, or be the last one: the connection is cut before or after it.
    """

    delayed, delay_seconds = 0.1, 0.02
    stalled, stall_seconds = 0.002, 0.5
    cut = 0.002

    def __init__(self, host: str, server_port: int) -> None:
        self.host = host
        self.port = 0
        self.evidence: Counter[str] = Counter()
        self._server_port = server_port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._meet, self.host, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            their_reader, their_writer = await asyncio.open_connection(self.host, self._server_port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(
            self._pass_on(reader, their_writer, writer), self._pass_on(their_reader, writer, their_writer)
        )

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        try:
            while piece := await source.read(65536):
                chance = random.random()
                if chance < self.cut:
                    self.evidence["cut"] += 1
                    if random.random() < 0.5:
                        target.write(piece)
                        await target.drain()
                    break
                if chance < self.cut + self.stalled:
                    self.evidence["stalled"] += 1
                    await asyncio.sleep(self.stall_seconds)
                elif chance < self.cut + self.stalled + self.delayed:
                    self.evidence["delayed"] += 1
                    await asyncio.sleep(random.random() * self.delay_seconds)
                target.write(piece)
                await target.drain()
        except OSError:
            pass
        finally:
            # What was written already is still sent; what the other side has yet to say is not heard.
            target.close()
            back.close()
