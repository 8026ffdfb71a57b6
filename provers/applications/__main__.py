"""The command: two runs of each application's tests, one comparison, one verdict."""

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

from provers.applications.catalogue import APPLICATIONS, Application
from provers.applications.comparing import Comparison, compare
from provers.applications.place import copy_of_ours, installed_django, python_of, source_of
from provers.applications.report import show, tell
from provers.django_suite.comparing import Run
from tests import servers


def main() -> int:
    """Run, compare, show."""
    options = _options()
    ours = copy_of_ours(servers.scratch_directory("applications-ours"))
    chosen = [each for each in APPLICATIONS if (options.only in each.name if options.only else each.by_default)]
    work = Path(options.work or servers.scratch_directory("applications"))
    found = []
    with ExitStack() as stack:
        cache = _cache(options.store, stack)
        for application in chosen:
            found.append(_prove(application, work / application.name, ours, cache, options))
            tell(found[-1], details=options.details)
    mode = ", every write committed" if options.committed else ""
    mode += ", one namespace" if options.shared else ""
    show(found, f"Other people's tests on {options.django} and SQLite, everything cached in {options.store}{mode}")
    if options.json:
        Path(options.json).write_text(json.dumps([each.as_json() for each in found], indent=1) + "\n")
    return 0 if found and all(each.is_proved for each in found) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m provers.applications", description=__doc__)
    parser.add_argument("--only", help="applications whose name holds this text; default: all that take few minutes")
    parser.add_argument("--store", choices=["locmem", "redis"], default="locmem")
    parser.add_argument("--django", default=installed_django(), help="a requirement; default: that of this interpreter")
    parser.add_argument("--committed", action="store_true", help="no transaction around each test: all writes commit")
    parser.add_argument("--shared", action="store_true", help="one namespace for all tests, not one for each")
    parser.add_argument("--verify", action="store_true", help="ask the database again after every hit, and compare")
    parser.add_argument("--no-echo", action="store_true", help="do not read back each answer that was stored")
    parser.add_argument("-k", help="only tests that this expression of pytest's names; asks for no minimum of hits")
    parser.add_argument("--details", action="store_true", help="print the tracebacks of new failures")
    parser.add_argument("--json", help="write the outcome to this file")
    parser.add_argument("--work", help="keep outcomes and logs in this directory")
    return parser.parse_args()


def _cache(store: str, stack: ExitStack) -> dict[str, Any]:
    if store == "locmem":
        return {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": "everfresh",
            "OPTIONS": {"MAX_ENTRIES": 1_000_000},
        }
    server = stack.enter_context(servers.redis_server())
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{server.url}/0"}


def _prove(
    application: Application, work: Path, ours: Path, cache: dict[str, Any], options: argparse.Namespace
) -> Comparison:
    python = python_of(application, options.django)
    source = source_of(application, python)
    place = {
        "label": application.name,
        "settings": application.settings,
        "configured_by": application.configured_by,
        "cache": cache,
        "verify": float(options.verify),
        "echo": not options.no_echo,
        "committed": options.committed,
        "shared": options.shared,
    }
    command = _command(application, python, source, options.k)
    plain, cached = (
        _run(application, command, [source, ours], work / kind, {**place, "cached": kind == "cached"})
        for kind in ("plain", "cached")
    )
    minimum = 0 if options.k else application.minimum_hits
    return compare(application, plain, cached, minimum=minimum)


def _command(application: Application, python: Path, source: Path, expression: str | None) -> list[str]:
    options = ["-p", "provers.applications.inside", "-p", "no:cacheprovider", "-q", "--tb=short", "--color=no"]
    folder = (source / application.folder).resolve()
    options += ["-c", str((folder / application.configuration).resolve()), "--rootdir", str(folder)]
    if expression:
        options += ["-k", expression]
    return [str(python), "-m", "pytest", *options, *application.arguments]


def _run(application: Application, command: list[str], paths: list[Path], work: Path, place: dict[str, Any]) -> Run:
    work.mkdir(parents=True, exist_ok=True)
    files = {"outcomes": str(work / "outcomes.jsonl"), "counts": str(work / "counts.json")}
    for name in files.values():
        Path(name).unlink(missing_ok=True)
    folder = paths[0] / application.folder
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [folder, *paths])),
        "PYTHONHASHSEED": "0",
        "EVERFRESH_DJANGO_SUITE": json.dumps({**place, **files}),
        "TMPDIR": str(servers.scratch_directory("applications-tmp")),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    kind = "with Everfresh" if place["cached"] else "plain"
    print(f"{application.name} {application.version} {kind} … {work / 'log.txt'}", flush=True)
    started = time.monotonic()
    with (work / "log.txt").open("wb") as log:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    seconds = time.monotonic() - started
    (work / "run.json").write_text(json.dumps({"seconds": seconds, "returned": done.returncode}))
    Path(files["outcomes"]).touch()
    return Run.of(work)


if __name__ == "__main__":
    sys.exit(main())
