"""The processes that run the suite, several labels in each.

A test that commits ends by emptying every table of the process, so few labels at a time are much faster than all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers

__all__ = ["Suite", "run_all"]

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = 19
"""Labels in one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What to run, and on what."""

    tests: Path
    labels: list[str]
    db: str
    store: str
    options: dict[str, Any]
    """More of what `provers.django_suite.inside` is told."""


def run_all(suite: Suite, folders: dict[str, Path], *, at_once: int) -> None:
    """Run the suite for each kind, ``plain`` or ``cached``, and leave what became of it in its folder."""
    count = -(-len(suite.labels) // TOGETHER)
    with ExitStack() as stack:
        databases = _Databases(suite.db, stack)
        pool = stack.enter_context(ThreadPoolExecutor(at_once))
        runs: list[Future[None]] = []
        for kind, folder in folders.items():
            caches = _Caches(suite.store, stack)
            for earlier in folder.glob("*/outcomes.jsonl"):
                earlier.unlink()
            for number in range(count):
                place = {
                    **suite.options,
                    "cached": kind == "cached",
                    "labels": suite.labels[number::count],
                    "databases": databases.named(f"{kind}_{number}"),
                    "caches": caches.numbered(number),
                }
                runs.append(pool.submit(_run, suite.tests, folder / str(number), place))
        for run in runs:
            run.result()


class _Databases:
    """A server where one is needed; each process has databases of its own."""

    def __init__(self, db: str, stack: ExitStack) -> None:
        self._server = stack.enter_context(servers.postgresql_server()) if db == "postgresql" else None

    def named(self, name: str) -> dict[str, Any]:
        """The setting DATABASES; empty for the suite's own."""
        if self._server is None:
            return {}
        engine = {"ENGINE": "django.db.backends.postgresql", "USER": "everfresh"}
        place = {**engine, "HOST": self._server.host, "PORT": self._server.port}
        return {alias: {**place, "NAME": f"django_{name}_{alias}"} for alias in ("default", "other")}


class _Caches:
    """A server where one is needed; each process has a database of its own on it."""

    def __init__(self, store: str, stack: ExitStack) -> None:
        databases = ("--databases", "64")
        self._server = stack.enter_context(servers.redis_server(*databases)) if store == "redis" else None

    def numbered(self, number: int) -> dict[str, Any]:
        """More of the setting CACHES: for Everfresh, and for the tests of the suite that need a Redis."""
        if self._server is None:
            local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "everfresh"}
            return {"everfresh": {**local, "OPTIONS": {"MAX_ENTRIES": 1_000_000}}}
        backend = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}
        # The suite takes the last one, and chooses a database itself where it needs another than the first.
        return {
            "everfresh": {**backend, "LOCATION": f"{self._server.url}/{number + 10}"},
            "redis": {**backend, "LOCATION": self._server.url},
        }


def _run(tests: Path, folder: Path, place: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"outcomes": str(folder / "outcomes.jsonl"), "counts": str(folder / "counts.json")}
    Path(files["counts"]).unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tests), str(ROOT), str(ROOT / "src")]),
        "DJANGO_SETTINGS_MODULE": "provers.django_suite.settings",
        "EVERFRESH_DJANGO_SUITE": json.dumps({**place, **files}),
        "TMPDIR": str(servers.scratch_directory("django-suite-tmp")),
    }
    started = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        command = [sys.executable, "-m", "provers.django_suite.inside"]
        done = subprocess.run(
            command, cwd=tests, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    seconds = time.monotonic() - started
    Path(files["outcomes"]).touch()
    (folder / "run.json").write_text(json.dumps({"seconds": seconds, "returned": done.returncode}))
    print(f"{folder.parent.name} {folder.name}: {seconds:.0f} s … {folder / 'log.txt'}", flush=True)
