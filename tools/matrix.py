"""Run the tests on each supported corner of Django, Python, database and store, two at a time.

    python3 tools/matrix.py [options for pytest]

Prints what each run printed as soon as it ends, and all closing lines together at the end. Fails when one run failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from envs import choice, make
from machine import ROOT

AT_ONCE = 2
HEARTBEAT = 60  # seconds without news before a line says that the tests still run


@dataclass(frozen=True)
class Corner:
    """One run of the tests."""

    environment: str
    django: str
    database: str
    store: str
    leaves_out: tuple[str, ...]
    """What others run."""

    def __str__(self) -> str:
        return f"Django {self.django}, {self.database} + {self.store}"


TOOLS = (
    "tests/benchmarks",
    "tests/protocol_model",
    "tests/test_docs.py",
    "tests/test_example.py",
    "tests/test_mutants.py",
    "tests/test_packaging.py",
    "tests/test_servers.py",
)
"""They try tools, texts and models, which are the same under any Django: once is enough."""

INDEPENDENT = (
    *TOOLS,
    "tests/audit",
    "tests/fragments",
    "tests/functions/test_given.py",
    "tests/functions/test_memoize.py",
    "tests/functions/test_memoize_async.py",
    "tests/functions/test_memoize_methods.py",
    "tests/functions/test_memoize_nodes.py",
    "tests/functions/test_names.py",
    "tests/functions/test_nodes.py",
    "tests/functions/test_tasks.py",
    "tests/functions/test_views.py",
    "tests/functions/test_views_async.py",
    "tests/functions/test_views_watched.py",
    "tests/pages",
    "tests/queries/test_hydration.py",
    "tests/rows/test_terms.py",
    "tests/seeds/test_cachebot.py",
    "tests/seeds/test_cachebot_defects.py",
    "tests/seeds/test_cachebot_names.py",
    "tests/seeds/test_cachebot_readme.py",
    "tests/seeds/test_cacheme.py",
    "tests/seeds/test_cacheme_models.py",
    "tests/seeds/test_cachesweeper.py",
    "tests/seeds/test_ormcache.py",
    "tests/stores",
    "tests/test_async_store.py",
    "tests/test_awaiting.py",
    "tests/test_checks.py",
    "tests/test_codec.py",
    "tests/test_conf.py",
    "tests/test_keys.py",
    "tests/test_policies.py",
    "tests/writing",
)
"""They need no database, bring servers of their own, or try what is the same on any database and store.

Once for each Django and Python is enough.
"""

ELSEWHERE = (
    "tests/matrix/test_matrix.py",
    "tests/queries/test_direct.py",
    "tests/rows/test_races.py",
    "tests/stores/test_django.py",
)
"""Long ones, which meet SQLite with the other Django, and this Django on PostgreSQL."""

CORNERS = (
    Corner("newest", "6.1", "sqlite", "redis", ELSEWHERE),
    Corner("oldest", "5.2", "sqlite", "locmem", TOOLS),
    Corner("newest", "6.1", "postgresql", "redis", INDEPENDENT),
    Corner("oldest", "5.2", "mariadb", "memcached", INDEPENDENT),
)

children: list[subprocess.Popen[str]] = []


def main(options: list[str]) -> int:
    """Run all corners that this machine can run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    corners = list(CORNERS)
    if choice("newest")[1] != "6.1":
        corners = [corner for corner in CORNERS if corner.django != "6.1"]
        print("No Python 3.12 or newer at hand: Django 6.1 is not tested here, only 5.2.", flush=True)
    for name in sorted({corner.environment for corner in corners}):
        make(name)

    started = time.monotonic()
    endings: list[str] = []
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: set[Future[tuple[Corner, int, str]]] = {pool.submit(run, corner, options) for corner in corners}
        try:
            while running:
                done, running = wait(running, HEARTBEAT, FIRST_COMPLETED)
                if not done:
                    print(f"... {len(running)} test runs to go after {time.monotonic() - started:.0f} s", flush=True)
                for future in done:
                    corner, code, output = future.result()
                    failed = failed or code != 0
                    print(f"\n##### {corner}\n{output}", flush=True)
                    endings.append(f"{closing_line(output)}  {corner}, exit code {code}")
        except BaseException:
            for child in children:
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise
    print(f"\n##### All runs, {time.monotonic() - started:.0f} s")
    print("\n".join(sorted(endings)))
    return 1 if failed else 0


def run(corner: Corner, options: list[str]) -> tuple[Corner, int, str]:
    """Run pytest in the corner's environment."""
    print(f"Testing on {corner}", flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERFRESH_TEST_")}
    environment |= {"EVERFRESH_TEST_DB": corner.database, "EVERFRESH_TEST_STORE": corner.store}
    python = ROOT / ".venvs" / corner.environment / "bin" / "python"
    left_out = [f"--ignore={path}" for path in corner.leaves_out]
    child = subprocess.Popen(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", *left_out, *options],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    children.append(child)
    output, _ = child.communicate()
    return corner, child.returncode, output


def closing_line(output: str) -> str:
    """Pytest's last line, such as `5 passed in 0.7s`."""
    lines = output.rstrip().splitlines() or ["(no output)"]
    return lines[-1].strip("= ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
