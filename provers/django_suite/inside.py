"""What runs inside the suite's process: outcomes and reads by test, and the two things a cache needs changed.

``python -m provers.django_suite.inside``, in the suite's directory, does what its ``runtests.py`` does.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
import unittest
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from django.test import SimpleTestCase, TestCase
from django.test.runner import DiscoverRunner
from django.test.testcases import _AssertNumQueriesContext

from provers.processes.driver import ExchangeCounter

CHOSEN: dict[str, Any] = json.loads(os.environ["EVERFRESH_DJANGO_SUITE"])


# Namespaces

_namespace = "start"


class _Namespace:
    """The PREFIX of every key now: of the test, or where tests share a transaction of the class."""

    def __call__(self) -> str:
        return _namespace

    def __repr__(self) -> str:
        # Some tests write all settings to a file, for another process.
        return repr("django-suite")


namespace = _Namespace()


def _enter(name: str) -> None:
    global _namespace
    _namespace = name


# Outcomes, one line for each test


class Outcomes(unittest.TextTestResult):
    """Writes down how each test ended, as it goes, so that a crash loses nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._file = Path(CHOSEN["outcomes"]).open("a", encoding="utf-8")  # noqa: SIM115  open as long as the process
        self._worst: tuple[str, str] = ("pass", "")
        self._started = 0.0

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: D102, N802  unittest's
        self._worst = ("pass", "")
        self._started = time.perf_counter()
        counts.label = test.id().partition(".")[0]
        if CHOSEN["committed"] or not isinstance(test, TestCase):
            _enter(test.id())
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: D102, N802  unittest's
        super().stopTest(test)
        self._write(test.id(), *self._worst)

    def _write(self, name: str, status: str, detail: str) -> None:
        seconds = round(time.perf_counter() - self._started, 3)
        self._file.write(json.dumps([name, status, seconds, detail]) + "\n")
        self._file.flush()

    def _note(self, test: Any, status: str, detail: str = "") -> None:
        if not isinstance(test, unittest.TestCase):
            # A class or module that could not be set up.
            self._write(test.id(), status, detail)
        elif self._worst[0] not in ("fail", "error"):
            self._worst = (status, detail)

    def addError(self, test: Any, err: Any) -> None:  # noqa: D102, N802  unittest's
        super().addError(test, err)
        self._note(test, "error", self._text(err))

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: D102, N802  unittest's
        super().addFailure(test, err)
        self._note(test, "fail", self._text(err))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: D102, N802  unittest's
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "fail", f"{subtest}\n{self._text(err)}")

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: D102, N802  unittest's
        super().addSkip(test, reason)
        self._note(test, "skip", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: D102, N802  unittest's
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: D102, N802  unittest's
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")

    @staticmethod
    def _text(err: Any) -> str:
        return "".join(traceback.format_exception(*err))[-6000:]


class Runner(DiscoverRunner):
    """Django's, writing down outcomes."""

    def get_resultclass(self) -> Any:
        """See Django."""
        return Outcomes


# Reads


class Counts:
    """What became of the reads of each label."""

    def __init__(self) -> None:
        self.label = "start"
        self.reads: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.wrong: list[dict[str, str]] = []
        self.is_reading_back = False

    def listen(self, event: Any) -> None:
        """Count one event of Everfresh."""
        from everfresh.events import Read, Verified

        if isinstance(event, Verified) and not self.is_reading_back:
            self.reads[self.label]["verified"] += 1
            if event.stale:
                clauses = "\n".join(event.clauses)
                self.found("stale", f"{event.cached!r}\nbut the database says\n{event.computed!r}\n{clauses}")
        if isinstance(event, Read):
            self.reads[self.label][event.outcome.value] += 1
            if event.reason:
                self.reasons[self.label][f"{event.outcome.value}: {_general(event.reason)}"] += 1

    def found(self, what: str, detail: str) -> None:
        """Note an answer that is not the database's."""
        self.reads[self.label][what] += 1
        self.wrong.append({"label": self.label, "namespace": _namespace, "what": what, "detail": detail[:4000]})

    def write(self) -> None:
        """Write down the whole."""
        Path(CHOSEN["counts"]).write_text(
            json.dumps({"reads": self.reads, "reasons": self.reasons, "wrong": self.wrong}, indent=1)
        )


def _general(reason: str) -> str:
    """The *reason* without the names in it."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\b\d+\b", "…", reason)


counts = Counts()


# Every answer that is stored is read back, and the test is given what came back


def _replace_reads(stand_in: Any) -> None:
    """Call *stand_in* with the read path, and what that is called with, wherever it is called."""
    from everfresh import direct, querysets

    modules: list[Any] = [direct, querysets]
    for module in modules:
        module.read = partial(stand_in, module.read)


def _echo() -> None:
    from everfresh.events import Outcome
    from everfresh.reading import Answer
    from everfresh.rows import Pointing

    exchanges = ExchangeCounter()

    def read_and_read_back(read: Any, wanted: Any, connection: Any, compute: Any, body: Any, **asked: Any) -> Any:
        answer = read(wanted, connection, compute, body, **asked)
        if answer.outcome is not Outcome.FILL:
            return answer
        counts.is_reading_back = True
        try:
            again = read(wanted, connection, lambda: answer.value, body)
            if again.from_cache and wanted.near:
                # The first look left a copy, of which the second is; the test gets what others would get as well.
                exchanged = exchanges.exchanges
                again = read(wanted, connection, lambda: answer.value, body)
                counts.reads[counts.label]["near echo"] += exchanged == exchanges.exchanges
        finally:
            counts.is_reading_back = False
        if not again.from_cache:
            counts.reads[counts.label]["not kept"] += 1
            return answer
        counts.reads[counts.label]["echo"] += 1
        if not _same(answer.value, again.value):
            counts.found("unfaithful", f"{answer.value!r}\ncame back as\n{again.value!r}")
        return Answer(again.value, Outcome.FILL, answer.reason)

    instances = Pointing.instances

    def instances_read_back(self: Any, **asked: Any) -> Any:
        answer = instances(self, **asked)
        if answer.outcome is not Outcome.FILL:
            return answer
        counts.is_reading_back = True
        try:
            again = instances(self)
        finally:
            counts.is_reading_back = False
        counts.reads[counts.label]["echo" if again.from_cache else "not kept"] += 1
        return Answer(again.value, Outcome.FILL, answer.reason) if again.from_cache else answer

    _replace_reads(read_and_read_back)
    Pointing.instances = instances_read_back  # type: ignore[method-assign]


def _same(one: Any, other: Any) -> bool:
    """Are they equal, and of the same types all the way down?"""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    return bool(one == other) or repr(one) == repr(other)


def _verify_out_of_sight() -> None:
    """What VERIFY asks belongs in no test's count of queries."""

    def read_verified(read: Any, wanted: Any, connection: Any, compute: Any, body: Any, **asked: Any) -> Any:
        length = len(connection.queries_log)
        answer = read(wanted, connection, compute, body, **asked)
        if answer.from_cache:
            while len(connection.queries_log) > length:
                connection.queries_log.pop()
        return answer

    _replace_reads(read_verified)


def _catch_stumbles() -> None:
    """Find the queries that Django compiles and we cannot look at: a bypass to the user, a failure here."""
    from everfresh import querysets
    from everfresh.exceptions import Uncacheable
    from everfresh.queries.replay import detached

    plan = querysets.plan

    def plan_or_tell(query: Any, using: str, form: str, *args: Any, **kwargs: Any) -> Any:
        before = detached(query)
        try:
            return plan(query, using, form, *args, **kwargs)
        except Exception as error:
            if isinstance(error, Uncacheable) and "cannot compile" not in error.reason:
                raise
            if form != "aggregate" and _compiles(before, using):
                counts.found("stumble", traceback.format_exc())
            raise

    querysets.plan = plan_or_tell


def _compiles(query: Any, using: str) -> bool:
    try:
        query.get_compiler(using).as_sql()
    except Exception:  # noqa: BLE001  it is wrong in itself
        return False
    return True


# What is relaxed, and what tells tests apart


def _relax_query_counts() -> None:
    exact = _AssertNumQueriesContext.__exit__

    def at_most(self: Any, exc_type: Any, exc_value: Any, trace: Any) -> None:
        from django.test.utils import CaptureQueriesContext

        if exc_type is None:
            CaptureQueriesContext.__exit__(self, exc_type, exc_value, trace)
            if len(self) <= self.num:
                return
        exact(self, exc_type, exc_value, trace)

    _AssertNumQueriesContext.__exit__ = at_most  # type: ignore[method-assign]


def _enter_by_class() -> None:
    set_up_class = SimpleTestCase.setUpClass.__func__  # type: ignore[attr-defined]

    @classmethod  # type: ignore[misc]
    def setUpClass(cls: Any) -> None:
        # The transaction of a TestCase spans its class, and so does its namespace.
        _enter(f"{cls.__module__}.{cls.__qualname__}")
        counts.label = cls.__module__.partition(".")[0]
        set_up_class(cls)

    SimpleTestCase.setUpClass = setUpClass  # type: ignore[assignment]


def _commit_everything() -> None:
    """Run each ``TestCase`` as Django does where a database has no transactions: every write is a COMMIT of its own."""
    TestCase._databases_support_transactions = classmethod(lambda _cls: False)  # type: ignore[assignment]


def main() -> int:
    """Run the suite."""
    import runtests  # type: ignore[import-not-found]  # the suite's

    if CHOSEN["committed"]:
        _commit_everything()

    options = {
        "verbosity": 1, "interactive": False, "failfast": False, "keepdb": False, "reverse": False,
        "test_labels": CHOSEN["labels"], "debug_sql": False, "parallel": 1, "tags": None, "exclude_tags": ["selenium"],
        "test_name_patterns": CHOSEN["patterns"], "start_at": None, "start_after": None, "pdb": False, "buffer": False,
        "timing": False, "shuffle": False,
    }  # fmt: skip
    if not CHOSEN["cached"]:
        return int(bool(runtests.django_tests(**options)))
    runtests.ALWAYS_INSTALLED_APPS.append("everfresh")
    _relax_query_counts()
    _enter_by_class()
    _catch_stumbles()
    if CHOSEN["verify"]:
        _verify_out_of_sight()
    if CHOSEN["echo"]:
        _echo()
    from everfresh.events import listening

    try:
        with listening(counts.listen):
            return int(bool(runtests.django_tests(**options)))
    finally:
        counts.write()


if __name__ == "__main__":
    # Django finds the runner by its path: there must be one module of these globals.
    from provers.django_suite import inside  # noqa: PLW0406

    sys.exit(inside.main())
