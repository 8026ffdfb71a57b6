"""The workers of one run, all forked from one process: ``python -m provers.processes.worker``.

So they start in no time, also in the place of those that were killed. The first line it prints says that the tables
are made. After that it takes a line "reader 3" or "writer 0" for each worker to be started, and says "started reader 3
4711" and "ended 4711 -9".
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import django
from django.conf import settings

from provers.processes.board import Board, Tally
from provers.processes.driver import disturb_commits

SWITCH_SECONDS = 1e-5
"""Threads take turns a thousand times as often as they would."""


def main() -> None:
    """Fork whoever is asked for, until there is nobody left to ask."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
    django.setup()
    from provers.processes.prepare import prepare

    prepare()
    _say("prepared")

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                children.discard(ended[0])
                _say(f"ended {ended[0]} {os.waitstatus_to_exitcode(ended[1])}")

    children: set[int] = set()
    signal.signal(signal.SIGCHLD, reap)
    # Line by line as they come; the iterator of a file would read ahead.
    while line := sys.stdin.readline():
        role, number = line.split()
        # A child that ends before it is known here would never be reaped.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            _work_and_exit(role, int(number))
        children.add(child)
        _say(f"started {role} {number} {child}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    for child in children:
        os.kill(child, signal.SIGKILL)


def _say(words: str) -> None:
    os.write(1, f"{words}\n".encode())


def _work_and_exit(role: str, number: int) -> None:
    with Path(settings.GIVEN["board"]).with_name(f"{role}-{number}.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    random.seed()
    code = 1
    try:
        work(role, number)
        code = 0
    except BaseException as error:  # noqa: BLE001  nothing may get back into the loop of the parent
        print(f"{role} {number} ends: {error!r}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def work(role: str, number: int) -> None:
    """Work until told to stop; a reader in as many threads as are given, each with a number of its own."""
    given = settings.GIVEN
    if role == "writer":
        disturb_commits(given["suicides"], given["dawdle"])
    stopping: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    others = range(number + 1, number + given["threads"]) if role == "reader" else ()
    if others:
        sys.setswitchinterval(SWITCH_SECONDS)
    threads = [threading.Thread(target=_work_alone, args=(role, other, stopping)) for other in others]
    for thread in threads:
        thread.start()
    _work_alone(role, number, stopping)
    for thread in threads:
        thread.join()


def _work_alone(role: str, number: int, stopping: list[bool]) -> None:
    from provers.processes.reader import Reader
    from provers.processes.writer import Writer

    given = settings.GIVEN
    board = Board(Path(given["board"]), given["workers"], given["counters"])
    worker = {"reader": Reader, "writer": Writer}[role](board, number, given)
    while not stopping:
        try:
            worker.step()
        except Exception as error:  # noqa: BLE001  servers are killed under its feet: the next step tries again
            board.count(number, Tally.ERRORS)
            if os.environ.get("EVERFRESH_PROCESSES_LOUD"):
                print(f"{role} {number}: {error!r}", file=sys.stderr)
            worker.recover()


if __name__ == "__main__":
    main()
