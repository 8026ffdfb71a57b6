"""The crowd on PostgreSQL and Redis: ``python -m provers.stampede``.

Three scenes. Nothing is stored: one of all threads asks the database, the others wait for it. What is stored was
invalidated, and may be served in its grace: one asks, nobody else waits. Who computes it is killed: the others go on
when its lease ends.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from provers.processes import given
from provers.processes.scenarios import Scenario
from tests import servers

SLOW_SECONDS = 1.0
AT_ONCE_SECONDS = 0.5
"""Far less than the function takes, on a busy machine too."""


@dataclass(frozen=True)
class Scene:
    """What came of one scene."""

    runs: int
    asked: int
    outcomes: Counter[str]
    values: set[int]
    longest: float
    """Seconds, of whoever did not compute."""

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        return (
            f"the function ran {self.runs} times, with {self.asked} queries; {counts}; "
            f"the others took at most {self.longest:.2f} s"
        )


class Process:
    """One process of the crowd."""

    def __init__(self, threads: int, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "provers.stampede.crowd", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def wait_until_ready(self) -> None:
        """Until its Django is set up."""
        if self._line() != "ready":
            raise RuntimeError("a process of the crowd did not begin")

    def ask(self, at: float, seconds: float) -> None:
        """Have all its threads ask at one time, for something that takes *seconds*."""
        assert self.process.stdin is not None
        print(at, seconds, file=self.process.stdin, flush=True)

    def wait_until_computing(self) -> None:
        """Until the function has begun in one of its threads, which has the lease then."""
        if (line := self._line()) != "computing":
            raise RuntimeError(f"a process of the crowd did not compute, and said {line!r}")

    def answer(self) -> dict[str, Any]:
        """What its threads got."""
        while (line := self._line()) == "computing":
            continue
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self, number: int = signal.SIGTERM) -> None:
        """By a signal."""
        self.process.send_signal(number)
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


class Crowd:
    """All processes."""

    def __init__(self, processes: int, threads: int, environment: dict[str, str]) -> None:
        self.environment = environment
        self.processes = [Process(threads, environment) for _ in range(processes)]
        for process in self.processes:
            process.wait_until_ready()

    def scene(self, seconds: float = SLOW_SECONDS) -> Scene:
        """All ask at one moment."""
        at = time.time() + 1.0
        for process in self.processes:
            process.ask(at, seconds)
        answers = [process.answer() for process in self.processes]
        got = [each for answer in answers for each in answer["answers"]]
        return Scene(
            runs=sum(answer["runs"] for answer in answers),
            asked=sum(answer["asked"] for answer in answers),
            outcomes=Counter(outcome for outcome, _, _ in got),
            values={value for _, value, _ in got},
            longest=max((seconds for outcome, _, seconds in got if outcome not in ("fill", "miss")), default=0.0),
        )

    def holder_that_dies(self, seconds: float) -> None:
        """One more process begins to compute, and is killed."""
        holder = Process(1, self.environment)
        holder.wait_until_ready()
        holder.ask(time.time(), seconds)
        holder.wait_until_computing()
        holder.end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.end()


def elsewhere(environment: dict[str, str], code: str) -> None:
    """Run *code* in a process of its own."""
    subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        env={**environment, "DJANGO_SETTINGS_MODULE": "provers.processes.settings"},
        check=True,
    )


def main() -> int:
    """Play the scenes; the exit status tells whether all went as demanded."""
    parser = argparse.ArgumentParser(prog="provers.stampede", description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--threads", type=int, default=25, help="of each process")
    parser.add_argument("--near", action="store_true", help="with near copies")
    options = parser.parse_args()
    complaints: list[str] = []

    def show(name: str, scene: Scene, demands: dict[str, bool]) -> None:
        failed = [demand for demand, is_met in demands.items() if not is_met]
        complaints.extend(f"{name}: not {demand}" for demand in failed)
        print(f"{name}: {scene}" + "".join(f"\n  NOT {demand}" for demand in failed), flush=True)

    everybody = options.processes * options.threads
    with ExitStack() as stack:
        database = stack.enter_context(servers.postgresql_server())
        store = stack.enter_context(servers.redis_server())
        scenario = Scenario(db="postgresql", store="redis", near=options.near)
        environment = given.environment(
            scenario,
            given.database_of(scenario, database),
            given.cache_of(scenario, store.host, store.port),
            servers.scratch_directory("stampede"),
        )
        elsewhere(environment, "from provers.processes.prepare import prepare; prepare()")
        crowd = stack.enter_context(Crowd(options.processes, options.threads, environment))

        cold = crowd.scene()
        show(
            f"cold, {everybody} threads of {options.processes} processes",
            cold,
            {
                "run once": cold.runs == cold.asked == 1,
                "all got it": cold.outcomes == {"fill": 1, "hit": everybody - 1},
            },
        )
        elsewhere(
            environment,
            "from django.db.models import F; from provers.processes.counting.models import Counter;"
            "Counter.objects.filter(pk=1).update(n=F('n') + 1)",
        )
        old = crowd.scene()
        show(
            "invalidated, with grace",
            old,
            {
                "run once": old.runs == old.asked == 1,
                "the others got the old one": old.outcomes == {"fill": 1, "stale": everybody - 1},
                "nobody else waited": old.longest < AT_ONCE_SECONDS,
            },
        )
        seconds = SLOW_SECONDS * 1.5  # another key: nothing is stored under it
        crowd.holder_that_dies(seconds)
        died = crowd.scene(seconds)
        show(
            f"the holder of a lease of {given.LEASE_SECONDS:g} s was killed",
            died,
            {
                "run once": died.runs == 1,
                "all got it": sum(died.outcomes.values()) == everybody and len(died.values) == 1,
                "within the lease": died.longest < given.LEASE_SECONDS + 2 * seconds,
            },
        )
    mode = ", with near copies" if options.near else ""
    print(f"{3 * everybody} calls in 3 scenes{mode}, {len(complaints)} failures")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
