"""The worker processes of a run."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

__all__ = ["ROOT", "Crew"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


class Crew:
    """They are started, killed, replaced and dismissed here, each by its own process id.

    A parent process forks them; see `provers.processes.worker`.
    """

    def __init__(self, environment: dict[str, str], scratch: Path) -> None:
        self.scratch = scratch
        self.members: dict[int, tuple[str, str]] = {}
        self.deaths = 0
        self.failures: list[str] = []
        self._ended: list[tuple[str, str, int]] = []
        self._prepared = False
        self._heard = b""
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "provers.processes.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._stdin, self._stdout = self._parent.stdin, self._parent.stdout

    def __enter__(self) -> Self:
        self._listen_until(lambda: self._prepared)
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.members:
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self.members and time.monotonic() < deadline and self._parent.poll() is None:
            self._listen(0.1)
        self._stdin.close()  # those that are left are killed by their parent
        self._parent.wait()
        self._stdout.close()

    def start(self, role: str, number: int | str) -> None:
        """Start a worker."""
        self._stdin.write(f"{role} {number}\n".encode())
        self._stdin.flush()
        self._listen_until(lambda: (role, str(number)) in self.members.values())

    def kill_one(self, role: str) -> None:
        """``kill -9`` one worker of this role, if there is one."""
        if found := [pid for pid, member in self.members.items() if member[0] == role]:
            _signal(random.choice(found), signal.SIGKILL)

    def replace_the_dead(self) -> None:
        """Start another process in the place of each that ended."""
        self._listen(0)
        ended, self._ended = self._ended, []
        for role, number, code in ended:
            if code == -signal.SIGKILL:
                self.deaths += 1
            else:
                words = self._log(role, number).read_text(errors="replace").strip().splitlines()
                self.failures.append(f"{role} {number} ended with {code}: {words[-1] if words else 'in silence'}")
            self.start(role, number)

    def examples(self) -> tuple[str, ...]:
        """What the readers said of answers that were wrong."""
        lines = [
            line for log in self.scratch.glob("reader-*.log") for line in log.read_text(errors="replace").splitlines()
        ]
        return tuple(line for line in lines if line.startswith(("STALE", "WINDOW", "AHEAD")))

    def _log(self, role: str, number: str) -> Path:
        return self.scratch / f"{role}-{number}.log"

    def _listen_until(self, satisfied: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not satisfied():
            if self._parent.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The parent of the workers does not answer; it ended with {self._parent.poll()}.")
            self._listen(0.1)

    def _listen(self, seconds: float) -> None:
        """Take in what the parent says."""
        while select.select([self._stdout], [], [], seconds)[0] and (piece := os.read(self._stdout.fileno(), 65536)):
            self._heard += piece
            *lines, self._heard = self._heard.split(b"\n")
            for line in lines:
                self._note(*line.decode().split())
            seconds = 0

    def _note(self, what: str, *words: str) -> None:
        if what == "prepared":
            self._prepared = True
        elif what == "started":
            self.members[int(words[2])] = words[0], words[1]
        elif what == "ended":
            self._ended.append((*self.members.pop(int(words[0])), int(words[1])))


def _signal(pid: int, number: signal.Signals) -> None:
    # It may have ended, and we are yet to hear of it.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
