"""The command: two runs of the suite, one comparison, one verdict."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django

from provers.django_suite.comparing import MINIMUM, Comparison, Run, compare
from provers.django_suite.labels import ORM
from provers.django_suite.report import show
from provers.django_suite.source import suite
from tests import servers

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run, compare, show."""
    options = _options()
    tests = suite()
    labels = [label for label in options.labels or ORM if (tests / label.partition(".")[0]).is_dir()]
    work = Path(options.work or servers.scratch_directory("django-suite"))
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        place = {
            "databases": _databases(options.db, stack),
            "cache": _cache(options.store, stack),
            "labels": labels,
            "patterns": options.k,
            "echo": not options.no_echo,
            "verify": float(options.verify),
            "committed": options.committed,
        }
        plain = (
            Run.of(Path(options.plain), labels) if options.plain else _run(tests, work / "plain", place, cached=False)
        )
        cached = _run(tests, work / "cached", place, cached=True)
    found = compare(plain, cached, whole=not (options.k or any("." in label for label in labels)))
    found.about = {"django": django.get_version(), "db": options.db, "store": options.store, "python": sys.version}
    if options.record:
        _record(found)
    show(found, details=options.details)
    if options.json:
        Path(options.json).write_text(json.dumps(found.as_json(), indent=1) + "\n")
    return 0 if found.is_proved else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m provers.django_suite", description=__doc__)
    parser.add_argument("--db", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--store", choices=["locmem", "redis"], default="locmem")
    parser.add_argument("--labels", nargs="*", help="of the suite; default: all that touch the ORM")
    parser.add_argument("-k", action="append", help="only tests of this name pattern")
    parser.add_argument("--verify", action="store_true", help="ask the database again after every hit, and compare")
    parser.add_argument("--committed", action="store_true", help="no transaction around each test: all writes commit")
    parser.add_argument("--no-echo", action="store_true", help="do not read back each answer that was stored")
    parser.add_argument("--details", action="store_true", help="print the tracebacks of new failures")
    parser.add_argument("--json", help="write the outcome to this file")
    parser.add_argument("--plain", help="take the plain run from this directory, where an earlier --work left it")
    parser.add_argument("--work", help="keep outcomes and logs in this directory")
    parser.add_argument("--record", action="store_true", help="take this run's hits as the minimum, less a margin")
    return parser.parse_args()


def _databases(db: str, stack: ExitStack) -> dict[str, Any]:
    if db == "sqlite":
        return {}  # the suite's own
    server = stack.enter_context(servers.postgresql_server())
    common = {"ENGINE": "django.db.backends.postgresql", "USER": "everfresh", "HOST": server.host, "PORT": server.port}
    # Django's settings for it need the database "postgres" only, to create those of the tests.
    return {alias: {**common, "NAME": f"django_{alias}"} for alias in ("default", "other")}


def _cache(store: str, stack: ExitStack) -> dict[str, Any]:
    if store == "locmem":
        return {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "everfresh",
            "OPTIONS": {"MAX_ENTRIES": 1_000_000},
        }
    server = stack.enter_context(servers.redis_server())
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{server.url}/0"}


def _run(tests: Path, folder: Path, place: dict[str, Any], *, cached: bool) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"outcomes": str(folder / "outcomes.jsonl"), "counts": str(folder / "counts.json")}
    for name in files.values():
        Path(name).unlink(missing_ok=True)
    path = os.pathsep.join([str(tests), str(ROOT), str(ROOT / "src")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "provers.django_suite.settings",
        "EVERFRESH_DJANGO_SUITE": json.dumps({**place, **files, "cached": cached}),
        "TMPDIR": str(servers.scratch_directory("django-suite-tmp")),
    }
    print(f"{'with Everfresh' if cached else 'plain'} … {folder / 'log.txt'}", flush=True)
    started = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        command = [sys.executable, "-m", "provers.django_suite.inside"]
        done = subprocess.run(
            command, cwd=tests, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    seconds = time.monotonic() - started
    (folder / "run.json").write_text(json.dumps({"seconds": seconds, "returned": done.returncode}))
    return Run.of(folder)


def _record(found: Comparison) -> None:
    """Three quarters of the hits of this run; of several combinations, the least."""
    known = json.loads(MINIMUM.read_text()) if MINIMUM.exists() else {}
    for label, row in found.labels.items():
        hits = (row.hits + row.echoes) * 3 // 4
        known[label] = min(hits, known.get(label, hits))
    MINIMUM.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
