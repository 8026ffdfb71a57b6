"""Real places, read and written, once without Everfresh and once with it, and every answer checked.

python example/demo.py                   SQLite, and the cache in this process
python example/demo.py --store redis     the cache in a Redis that is started for it
python example/demo.py --help            the size of the mix
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where `example` and `tests` are found

if TYPE_CHECKING:
    from example.measuring import Measurement

WIDTH = 110
VISITS = 40


def main() -> int:
    """Both runs and the tables; the exit status is 0 when no answer was stale."""
    options = parse_options()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="everfresh-atlas-"))
        if options.store == "redis":
            from tests.servers import redis_server

            os.environ["ATLAS_REDIS"] = f"{stack.enter_context(redis_server()).url}/0"
        plain = in_new_process("example.plain.settings", f"{directory}/plain.sqlite3", options)
        cached = in_new_process("example.settings", f"{directory}/cached.sqlite3", options)

    from rich.console import Console

    from example.report import report

    console = Console()
    console.width = max(console.width, WIDTH)
    return report(console, plain, cached)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=("locmem", "redis"), default="locmem", help="where answers are kept")
    parser.add_argument("--operations", type=int, default=8000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--writes", type=float, default=2, metavar="PERCENT", help="share (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the dice (default: %(default)s)")
    parser.add_argument("--cities", type=int, metavar="N", help="load only so many, the largest (default: all)")
    return parser.parse_args()


def in_new_process(settings: str, database: str, options: argparse.Namespace) -> Measurement:
    """Run with those settings where no other settings were ever set: without Everfresh means without its code."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    os.environ["ATLAS_DATABASE"] = database
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(run, options).result()


def run(options: argparse.Namespace) -> Measurement:
    """Migrate, load, perform all operations."""
    import django
    from django.apps import apps
    from django.core.management import call_command
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    django.setup()

    from example.atlas.loading import load
    from example.measuring import Meter
    from example.workload import Places, visits, workload

    console = Console()
    if apps.is_installed("everfresh"):
        name = f"Everfresh on {options.store}"
    else:
        name = f"Plain Django {django.get_version()} on SQLite, Python {platform.python_version()}"
    console.rule(name, align="left")
    call_command("migrate", verbosity=0)
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    meter = Meter()
    # It is drawn when we say so, between operations: a thread that draws would take time from them.
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        load(progress, options.cities)
        task = progress.add_task(f"{options.operations:,} operations", total=options.operations)
        drawn = time.monotonic()
        with meter.connected():
            for operation in workload(Places(options.seed), options.operations, options.writes / 100):
                meter.perform(operation)
                progress.advance(task)
                if time.monotonic() - drawn > 0.2:
                    progress.refresh()
                    drawn = time.monotonic()
    if apps.is_installed("everfresh"):
        meter.visit(visits(Places(options.seed), VISITS))
    return meter.result


if __name__ == "__main__":
    sys.exit(main())
