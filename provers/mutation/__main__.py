"""Break each rule on purpose and see that a test notices: ``python -m provers.mutation``.

Each mutant is a copy of the library with one edit, put before the installed one on the path. All their tests run on a
copy without any edit too: a test that fails there would notice nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provers.mutation.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]

TEST_SECONDS = 60
"""After which a single test of a mutant has failed: it waits for what will never come."""

RUN_SECONDS = 120
"""After which all tests of a mutant are ended. Then it is noticed only if one of them had failed before."""

UNBROKEN_SECONDS = 900
"""After which all tests together are ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests said of one mutant."""

    noticed: bool
    by: str
    seconds: float


def main() -> int:
    """Run every mutant, show which survived; the exit status tells whether one did."""
    parser = argparse.ArgumentParser(prog="python -m provers.mutation", description=__doc__)
    parser.add_argument("--only", help="mutants whose rule or file holds this text")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="mutants that run at a time")
    options = parser.parse_args()
    chosen = [each for each in MUTANTS if not options.only or options.only in f"{each.rule} {each.file}"]
    begun = time.monotonic()
    survivors = []
    with ThreadPoolExecutor(options.jobs) as pool:
        unbroken = [pool.submit(_run_unbroken, *both, chosen) for both in {(each.db, each.store) for each in chosen}]
        for mutant, outcome in zip(chosen, pool.map(_run, chosen), strict=True):
            if not outcome.noticed:
                survivors.append(mutant)
            _tell("noticed" if outcome.noticed else "SURVIVED", outcome, mutant.rule)
        for future in unbroken:
            _tell("FAILED" if future.result().noticed else "passed", future.result(), "no rule is broken")
    failed = any(future.result().noticed for future in unbroken)
    print(
        f"{len(chosen)} mutants, {len(chosen) - len(survivors)} noticed, {len(survivors)} survived;"
        f" the unbroken library {'FAILED' if failed else 'passed'}; {time.monotonic() - begun:.0f} s"
    )
    return 1 if survivors or failed or not chosen else 0


def _tell(verdict: str, outcome: Outcome, rule: str) -> None:
    print(f"{verdict:8} {outcome.seconds:5.0f} s  {rule}: {outcome.by}", flush=True)


def _run_unbroken(db: str, store: str, mutants: list[Mutant]) -> Outcome:
    """Noticed is any failure, of the tests or of us."""
    begun = time.monotonic()
    tests = {test: None for each in mutants if (each.db, each.store) == (db, store) for test in each.tests.split()}
    with tempfile.TemporaryDirectory(prefix="everfresh-unbroken-") as scratch:
        shutil.copytree(ROOT / "src" / "everfresh", Path(scratch) / "everfresh")
        status, lines = _pytest(Path(scratch), list(tests), db, store, UNBROKEN_SECONDS)
    said = (_failed(lines) or lines or ["no output"])[-1][:140]
    return Outcome(status != 0, f"{db} + {store}: {said}", time.monotonic() - begun)


def _run(mutant: Mutant) -> Outcome:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everfresh-mutant-") as scratch:
        package = Path(scratch) / "everfresh"
        # What is compiled already comes along, but for what is edited.
        shutil.copytree(ROOT / "src" / "everfresh", package)
        file = package / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            return Outcome(False, f"its edit fits {text.count(mutant.old)} places in {mutant.file}", 0)
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()
        file.write_text(text.replace(mutant.old, mutant.new))
        status, lines = _pytest(Path(scratch), mutant.tests.split(), mutant.db, mutant.store, RUN_SECONDS)
    failed = _failed(lines)
    said = (failed or lines or ["no output"])[-1][:140]
    # Exit status 1 is "tests failed", and none is "did not end"; any other is our own mistake, and proves nothing.
    noticed = status == 1 or (status is None and bool(failed))
    if status is None:
        said += f" (ended after {RUN_SECONDS} s)"
    return Outcome(noticed, said, time.monotonic() - begun)


def _pytest(scratch: Path, tests: list[str], db: str, store: str, seconds: float) -> tuple[int | None, list[str]]:
    """The exit status, or ``None`` where it did not end, and what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERFRESH_TEST_")}
    environment |= {
        "PYTHONPATH": str(scratch),
        "EVERFRESH_TEST_DB": db,
        "EVERFRESH_TEST_STORE": store,
        # What is found with a broken library is no example for later runs.
        "HYPOTHESIS_STORAGE_DIRECTORY": str(scratch / "hypothesis"),
    }
    options = ["-x", "-v", "--no-header", "--tb=no", f"--timeout={TEST_SECONDS}"]
    # Hypothesis' plugin takes a second, and few of the tests are its own.
    without = [f"-pno:{plugin}" for plugin in ("randomly", "cacheprovider", "hypothesispytest")]
    command = [sys.executable, "-m", "pytest", *options, *without, *tests]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | None = process.wait(seconds)
        except BaseException as error:
            # With it all that it started: a process that hangs does not stop its servers.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            status = None
        output.seek(0)
        return status, output.read().decode(errors="replace").splitlines()


def _failed(lines: list[str]) -> list[str]:
    named = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    # Without a summary, where it was ended: as each test was said to have failed.
    return named or [line for line in lines if " FAILED" in line or " ERROR" in line]


if __name__ == "__main__":
    sys.exit(main())
