"""The contenders, each in a process of its own, and what is said to them over pipes.

The driver (:class:`Contender`) sends one JSON line for each request and reads lines until the reply. The process
answers in `main` below; while it plays a scenario it may ask back for the truth, which plain Django knows.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

__all__ = ["CACHES", "CONTENDERS", "OURS", "Contender", "ContenderFailed", "Servers", "versions"]

CONTENDERS = ("plain", "cacheops", "cachalot", "everfresh", "near")
CACHES = CONTENDERS[1:]
OURS = ("everfresh", "near")
PATIENCE = 120.0  # seconds without an answer, after which a process counts as hung


class ContenderFailed(RuntimeError):
    """The process died, hung or raised; the message says which."""


@dataclass(frozen=True)
class Servers:
    """Where a contender finds its database and Redis."""

    postgresql_port: int
    redis: str
    """The server's address, without the number of a database."""

    name: str
    """Of the database in PostgreSQL, or of the file of SQLite."""

    database: str = "postgresql"
    twin: bool = False
    """Has it another database in Redis than a process of the same contender?"""

    def environment(self, contender: str) -> dict[str, str]:
        """What a contender's process has to be told."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCHMARK_CONTENDER": contender,
            "BENCHMARK_DATABASE": self.database,
            "BENCHMARK_NAME": self.name,
            "BENCHMARK_POSTGRESQL_PORT": str(self.postgresql_port),
            "BENCHMARK_REDIS": self.redis,
            "BENCHMARK_REDIS_DATABASE": str(self.redis_database(contender)),
            "PYTHONHASHSEED": "0",
        }

    def redis_database(self, contender: str) -> int:
        """The number of the contender's database in Redis."""
        return CONTENDERS.index(contender) + (len(CONTENDERS) if self.twin else 0)


@dataclass
class Contender:
    """A running process."""

    name: str
    servers: Servers
    truth: Callable[[list[Any]], Any] | None = None
    """Answers what the process asks back."""

    _process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.contenders"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.servers.environment(self.name),
        )

    def ask(self, what: str, *arguments: Any) -> Any:
        """Send a request and wait for the reply.

        Raises:
            ContenderFailed: when there is none; the process is a new one after that.
        """
        self._say([what, *arguments])
        while True:
            kind, value = self._hear()
            if kind == "reply":
                return value
            if kind == "failed":
                raise ContenderFailed(value)
            self._say(self.truth(value) if self.truth else None)

    def close(self) -> None:
        """End the process, and let its database go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _say(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        # Each side says one line and listens: nothing is left in the buffer that select() would not see.
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.close()
        self._process = self._start()
        raise ContenderFailed("died" if ready else f"gave no answer for {PATIENCE:.0f} s")


def versions() -> str:
    """What was compared, in one line."""
    names = {
        "Django": "Django",
        "cacheops": "django-cacheops",
        "cachalot": "django-cachalot",
        "Everfresh": "django-everfresh",
        "psycopg": "psycopg",
        "redis-py": "redis",
        "hiredis": "hiredis",
    }
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([f"Python {python}", *(f"{word} {version(name)}" for word, name in names.items())])


# In the process


def main() -> None:
    """Answer requests until there are no more."""
    import django

    hears, says = sys.stdin, os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # what a library prints is no answer
    django.setup()

    def say(kind: str, value: Any) -> None:
        says.write(json.dumps([kind, value]) + "\n")
        says.flush()

    def ask_back(*question: Any) -> Any:
        say("question", question)
        return json.loads(hears.readline())

    requests = _requests(ask_back)
    for line in hears:
        what, *arguments = json.loads(line)
        try:
            reply = requests[what](*arguments)
        except Exception as error:  # noqa: BLE001  the driver decides what it means
            say("failed", f"{type(error).__name__}: {error}"[:300])
        else:
            say("reply", reply)


def _requests(ask_back: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    from benchmarks import entries, operations, replay, scenarios
    from benchmarks.shop import data

    return {
        "tables": data.make_tables,
        "few": data.few,
        "many": data.many,
        "scenarios": scenarios.listed,
        "operations": operations.listed,
        "play": lambda number: scenarios.play(number, ask_back),
        "truth": scenarios.truth,
        "time": operations.timed,
        "statements": operations.statements,
        "restore": replay.restore,
        "replay": replay.timed,
        "replay and tell": replay.told,
        "contents": replay.contents,
        "fill": entries.fill,
        "saves": entries.saves,
        "load": entries.load,
    }


if __name__ == "__main__":
    main()
