"""Break each rule on purpose and see that a test notices: ``python -m provers.mutation``.

Each mutant is a copy of the library with one edit, put before the installed one on the path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provers.mutation.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run every mutant, show which survived; the exit status tells whether one did."""
    parser = argparse.ArgumentParser(prog="python -m provers.mutation", description=__doc__)
    parser.add_argument("--only", help="mutants whose rule or file holds this text")
    options = parser.parse_args()
    chosen = [each for each in MUTANTS if not options.only or options.only in f"{each.rule} {each.file}"]
    survivors = []
    for mutant in chosen:
        begun = time.monotonic()
        noticed, line = _run(mutant)
        if not noticed:
            survivors.append(mutant)
        print(
            f"{'noticed' if noticed else 'SURVIVED':8} {time.monotonic() - begun:5.0f} s  {mutant.rule}: {line}",
            flush=True,
        )
    print(f"mutants: {len(chosen)}, survived: {len(survivors)}")
    return 1 if survivors else 0


def _run(mutant: Mutant) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(prefix="everfresh-mutant-") as scratch:
        package = Path(scratch) / "everfresh"
        shutil.copytree(ROOT / "src" / "everfresh", package, ignore=shutil.ignore_patterns("__pycache__"))
        file = package / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            return False, f"its edit fits {text.count(mutant.old)} places in {mutant.file}"
        file.write_text(text.replace(mutant.old, mutant.new))
        environment = {
            **os.environ,
            "PYTHONPATH": scratch,
            "EVERFRESH_TEST_DB": mutant.db,
            "EVERFRESH_TEST_STORE": mutant.store,
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *mutant.tests.split()], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    # Exit status 1 is "tests failed"; anything else is our own mistake, and proves nothing.
    return done.returncode == 1, (failed or done.stdout.splitlines() or ["no output"])[-1][:140]


if __name__ == "__main__":
    sys.exit(main())
