"""Old results, where they are asked for: one computes anew, the others need not wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import everfresh
from everfresh.conf import settings
from everfresh.events import Outcome
from tests.conftest import Configure, closing
from tests.functions.computing import ask
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)


class Refreshing:
    """One who computes a result anew, and is not done before it is told."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.future = self.pool.submit(closing, lambda: ask(self.compute, **self.options))
        assert self.begun.wait(5)

    def compute(self) -> str:
        self.begun.set()
        assert self.go_on.wait(10)
        return "new"

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        assert self.future.result(10).value == "new"
        self.pool.shutdown()


def never() -> str:
    """What must not run."""
    raise AssertionError("computed, though there was an old one")


@pytest.mark.seeds("CE-9", "OC-18")
def test_invalidated() -> None:
    """While one computes it anew, the others get the old one; then the new one."""
    ask(lambda: "old", tags=("a",), grace=60)
    everfresh.invalidate_tags("a")

    with Refreshing(tags=("a",), grace=60):
        answer = ask(never, tags=("a",), grace=60)
        assert (answer.value, answer.outcome) == ("old", Outcome.STALE)
        assert answer.from_cache

    assert ask(never, tags=("a",), grace=60).value == "new"


@pytest.mark.seeds("CE-9")
def test_first_one_computes() -> None:
    """Nobody gets the old one for good: who finds it alone computes."""
    ask(lambda: "old", tags=("a",), grace=60)
    everfresh.invalidate_tags("a")

    assert ask(lambda: "new", tags=("a",), grace=60).outcome is Outcome.FILL


@pytest.mark.seeds("CE-9")
def test_without_grace_they_wait() -> None:
    """Left out, an old result is never served."""
    ask(lambda: "old", tags=("a",))
    everfresh.invalidate_tags("a")
    with ThreadPoolExecutor(1) as pool:
        with Refreshing(tags=("a",)):
            waiting = pool.submit(closing, lambda: ask(never, tags=("a",)))
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(10).value == "new"


@pytest.mark.seeds("OC-18")
def test_expired(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its timeout it is served for its grace, while one computes it anew, and no longer."""
    configure(JITTER=0)
    now = time.time()
    monkeypatch.setattr("everfresh.ages.time", lambda: now)
    ask(lambda: "old", timeout=100, grace=60)
    assert ask(never, timeout=100, grace=60).outcome is Outcome.HIT
    now += 120

    with ThreadPoolExecutor(1) as pool:
        with Refreshing(timeout=100, grace=60):
            assert ask(never, timeout=100, grace=60).outcome is Outcome.STALE
            now += 60
            waiting = pool.submit(closing, lambda: ask(never, timeout=100, grace=60))
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(10).value == "new"


def test_grace_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from when this process first found it to be old, however long the other one takes."""
    now = time.monotonic()
    monkeypatch.setattr("everfresh.ages.monotonic", lambda: now)
    ask(lambda: "old", tags=("a",), grace=5)
    everfresh.invalidate_tags("a")

    with ThreadPoolExecutor(1) as pool:
        with Refreshing(tags=("a",), grace=5):
            assert ask(never, tags=("a",), grace=5).outcome is Outcome.STALE
            now += 6
            waiting = pool.submit(closing, lambda: ask(never, tags=("a",), grace=5))
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(10).value == "new"


def test_outer_one_does_not_keep_what_is_old() -> None:
    """What was computed from something old is given once, and not stored."""
    Author.objects.create(id=1, name="old")

    def inner() -> str:
        return Author.objects.get(id=1).name

    def outer(**options: Any) -> Any:
        return ask(lambda: ask(never, "inner", grace=60).value, "outer", **options)

    ask(inner, "inner", grace=60)
    Author.objects.filter(id=1).update(name="new")
    refreshing = Refreshing(key="inner", grace=60)
    with refreshing:
        assert (outer().value, outer().outcome) == ("old", Outcome.MISS)
    assert outer().value == "new"


def test_early(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortly before the end one reader computes it anew; the longer it takes, the earlier."""
    configure(JITTER=0)
    chance = 0.0
    monkeypatch.setattr("everfresh.ages.random", lambda: chance)

    def slow() -> str:
        time.sleep(0.05)
        return "old"

    ask(slow, timeout=1)
    assert ask(never, timeout=1).outcome is Outcome.HIT
    chance = 1 - 2**-53  # as unlikely as it gets: 36 times the time that it takes to compute
    assert ask(lambda: "new", timeout=1).outcome is Outcome.FILL


def test_passed_on() -> None:
    """Where somebody else can be asked to compute it anew, even the first one gets the old one."""
    leases: list[bytes] = []

    def later(lease: bytes) -> bool:
        leases.append(lease)
        return True

    ask(lambda: "old", tags=("a",), grace=60)
    everfresh.invalidate_tags("a")

    for _ in range(3):
        assert ask(never, tags=("a",), grace=60, refresh_later=later).outcome is Outcome.STALE
    assert len(leases) == 1
    ask(lambda: "new", tags=("a",), grace=60, fresh=True)
    assert ask(never, tags=("a",), grace=60, refresh_later=later).value == "new"


def test_jitter(configure: Configure) -> None:
    """What is stored at one moment does not end at one moment, and nothing lives for longer than it was given."""
    configure(JITTER=0.5)
    lifetimes = {settings().lifetime(100) for _ in range(20)}
    assert len(lifetimes) > 10
    assert all(50 <= each <= 100 for each in lifetimes if each is not None)
    assert settings().lifetime(None) is None
