"""A pytest plugin, inside the application's process: Everfresh in its settings, outcomes and reads by test.

Everything that is not pytest's is `provers.django_suite.inside`'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.test import SimpleTestCase, TestCase

from provers.django_suite import inside as suite

CHOSEN = suite.CHOSEN


# Settings: whichever way an application chooses them, it calls django.setup()


def _choose_settings() -> None:
    for name, value in CHOSEN["settings"].items():
        setattr(settings, name, value)
    if not CHOSEN["cached"] or "everfresh" in settings.INSTALLED_APPS:
        return
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "everfresh"]
    # An alias of its own: tests may clear "default", or put something else in its place.
    settings.CACHES = {**settings.CACHES, "everfresh": CHOSEN["cache"]}
    settings.EVERFRESH = {
        "CACHE": "everfresh",
        "CACHE_ALL": True,
        "EXCLUDE": [],
        "PREFIX": suite.namespace,
        "VERIFY": CHOSEN["verify"],
    }


def _configure() -> None:
    """Where the application has a function for its settings and no module, pytest-django finds them configured."""
    if CHOSEN["configured_by"]:
        module, _, name = CHOSEN["configured_by"].partition(":")
        settings.configure(**getattr(import_module(module), name)())


def _wrap_setup() -> None:
    setup = django.setup

    def chosen_setup(*args: Any, **kwargs: Any) -> None:
        _choose_settings()
        setup(*args, **kwargs)
        if CHOSEN["cached"]:
            _watch()

    django.setup = chosen_setup


_is_watching = False


def _watch() -> None:
    """What needs the application's models to be there."""
    global _is_watching
    if _is_watching:
        return
    _is_watching = True
    suite._catch_stumbles()
    if CHOSEN["verify"]:
        suite._verify_out_of_sight()
    if CHOSEN["echo"]:
        suite._echo()


# Namespaces: of the test, or of the class whose tests share a transaction


def _share_one() -> None:
    """Let every test read what the tests before it stored, under keys that are the same where its queries are."""
    suite._enter = lambda _name: None


def _has_class_transaction(case: Any) -> bool:
    return isinstance(case, type) and issubclass(case, TestCase) and not CHOSEN["committed"]


def _enter_by_class() -> None:
    set_up_class = SimpleTestCase.setUpClass.__func__  # type: ignore[attr-defined]

    @classmethod  # type: ignore[misc]
    def setUpClass(cls: Any) -> None:
        # That of pytest-django is there for one test, which has been entered.
        if not cls.__module__.startswith("pytest_django"):
            suite._enter(f"{cls.__module__}.{cls.__qualname__}")
        set_up_class(cls)

    SimpleTestCase.setUpClass = setUpClass  # type: ignore[assignment]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test reads and writes under a prefix of its own."""
    case = getattr(item, "cls", None)
    if _has_class_transaction(case):
        suite._enter(f"{case.__module__}.{case.__qualname__}")
    else:
        suite._enter(item.nodeid)


# Outcomes


_RANKS = ("expected failure", "skip", "pass", "unexpected success", "fail", "error")
_worst: dict[str, tuple[str, str]] = {}
_started: dict[str, float] = {}


def _write(name: str, status: str, seconds: float, detail: str) -> None:
    with Path(CHOSEN["outcomes"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, status, round(seconds, 3), detail[-6000:]]) + "\n")


def _status(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "unexpected success" if report.passed else "expected failure"
    if report.failed:
        return "fail" if report.when == "call" else "error"
    return "skip" if report.skipped else "pass"


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test begins; a test that the process does not survive has failed."""
    _worst.pop(nodeid, None)
    _started[nodeid] = time.perf_counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One of the parts of a test: setting up, the call and its subtests, tearing down."""
    status = _status(report)
    if report.when != "call" and status == "pass":
        return
    before = _worst.get(report.nodeid)
    if before is None or _RANKS.index(status) > _RANKS.index(before[0]):
        _worst[report.nodeid] = (status, report.longreprtext)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """The test is over."""
    status, detail = _worst.pop(nodeid, ("error", "it was started, and no outcome was reported"))
    _write(nodeid, status, time.perf_counter() - _started.pop(nodeid), detail)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A module that cannot be imported."""
    if report.failed:
        _write(report.nodeid, "error", 0, report.longreprtext)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """All tests; what became of their reads."""
    suite.counts.label = CHOSEN["label"]
    if not CHOSEN["cached"]:
        return (yield)
    from everfresh.events import listening

    try:
        with listening(suite.counts.listen):
            return (yield)
    finally:
        suite.counts.write()


_configure()
_wrap_setup()
if CHOSEN["shared"]:
    _share_one()
if CHOSEN["committed"]:
    suite._commit_everything()
if CHOSEN["cached"]:
    suite._relax_query_counts()
    _enter_by_class()
