"""What the driver does to whoever uses it, the same for all contenders: counts queries, dawdles, and dies at COMMIT."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["ExchangeCounter", "QueryCounter", "die", "disturb_commits"]

DAWDLE_SECONDS = 0.02


class QueryCounter:
    """An execute wrapper: a read that asked the database nothing was a hit, whatever cache it was."""

    def __init__(self, dawdle: float = 0.0) -> None:
        self.queries = 0
        self._dawdle = dawdle

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Count, ask, and now and then wait with the answer in hand: what is stored next is older than it looks."""
        self.queries += 1
        result = execute(sql, params, many, context)
        if random.random() < self._dawdle:
            time.sleep(random.random() * DAWDLE_SECONDS)
        return result


class ExchangeCounter:
    """Counts what each thread asks of Redis: a hit for which it asked nothing was a near one. One for a process."""

    def __init__(self) -> None:
        from everfresh.stores.connections import Connections

        self._own = threading.local()
        ask = Connections.ask

        def counted(connections: Connections, commands: Any) -> Any:
            self._own.exchanges = self.exchanges + 1
            return ask(connections, commands)

        Connections.ask = counted  # type: ignore[method-assign]

    @property
    def exchanges(self) -> int:
        """Of this thread."""
        number: int = getattr(self._own, "exchanges", 0)
        return number


def disturb_commits(suicides: float, dawdle: float) -> None:
    """Let COMMITs of this process end in death, before or after, or take their time to return.

    To be called before a cache puts itself around COMMIT, so that it happens as close to the server as can be.
    """
    original = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]

    def _commit(self: BaseDatabaseWrapper) -> Any:
        if random.random() < suicides:
            die()
        result = original(self)
        if random.random() < suicides:
            die()
        if random.random() < dawdle:
            time.sleep(random.random() * DAWDLE_SECONDS)
        return result

    BaseDatabaseWrapper._commit = _commit  # type: ignore[attr-defined]


def die() -> None:
    """As by ``kill -9``: nothing is cleaned up, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
