"""What reading a computation costs: round trips to the store, and ways to another thread and back."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from everfresh import names
from everfresh.events import Outcome
from everfresh.recorded import Computation, label_index, member, reading, tag_label
from everfresh.recorded.steps import Awaiting
from everfresh.stores import GuardedStore, current_store
from everfresh.stores.base import LIFETIME_SECONDS
from tests.conftest import Configure
from tests.counting import Counts, counting
from tests.functions.computing import aask, ask, computation
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)

NAMED: dict[str, Any] = {"label": "f", "name": "f()"}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Counts:
    """Nothing counted yet."""
    return counting(monkeypatch)


def key_of(of: Computation) -> str:
    """Under which it is stored."""
    return member(of).partition(" ")[0]


def lease(**options: Any) -> bytes:
    """The lease on what *options* are said of, which nobody else gets for a while."""
    taken = current_store().begin_fill(key_of(computation(**options)), (), 5).lease
    assert taken is not None
    return taken


def after(method: str, do: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have *do* called once, right after a store's *method* that is asked for a lease, or takes one."""
    original = getattr(GuardedStore, method)
    left = [do]

    def wrapped(store: GuardedStore, *args: Any) -> Any:
        answer = original(store, *args)
        if left and args[-1]:
            left.pop()()
        return answer

    monkeypatch.setattr(GuardedStore, method, wrapped)


# Round trips


def test_a_fill_enrolls_once(counts: Counts) -> None:
    """Four trips with a name, whatever its number of tags, and three without."""
    ask(lambda: 1, "named", tags=("a", "b"), **NAMED)
    # 1 the entry, 2 its place in the indexes, 3 versions and lease, 4 the entry and the lease back
    assert counts.trips == ["read_many", "enroll", "begin_fill", "fill"]
    counts.clear()
    ask(lambda: 1, "unnamed")
    assert counts.trips == ["read_many", "begin_fill", "fill"]


def test_a_hit_is_one_trip(counts: Counts) -> None:
    """The entry, with its tags."""
    ask(lambda: 1, **NAMED)
    counts.clear()
    assert ask(lambda: 1, **NAMED).outcome is Outcome.HIT
    assert counts.trips == ["read_many"]


def test_an_old_result_is_two_trips(counts: Counts) -> None:
    """The look, and that another one has the lease: only who computes sees that it is listed for longer."""
    ask(lambda: 1, grace=60, **NAMED)
    names.invalidate_name("f()")
    taken = lease()
    counts.clear()
    assert ask(lambda: 2, grace=60, **NAMED).outcome is Outcome.STALE
    assert counts.trips == ["read_many", "begin_fill"]
    current_store().release(key_of(computation()), taken)
    counts.clear()
    assert ask(lambda: 2, grace=60, **NAMED).outcome is Outcome.FILL
    assert counts.trips == ["read_many", "begin_fill", "enroll", "fill"]


def test_an_early_refresh_of_another_one_is_two_trips(
    counts: Counts, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for what is current and is about to end."""
    configure(JITTER=0)
    ask(lambda: 1, timeout=60, **NAMED)
    monkeypatch.setattr("everfresh.ages.is_due", lambda *_: True)
    lease()
    counts.clear()
    assert ask(lambda: 2, timeout=60, **NAMED).outcome is Outcome.HIT
    assert counts.trips == ["read_many", "begin_fill"]


def test_who_waits_enrolls_once(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the lease is asked for."""
    taken = lease()
    asked: list[int] = []

    async def wait(*_: Any) -> None:
        asked.append(1)
        if len(asked) == 3:
            current_store().release(key_of(computation()), taken)

    monkeypatch.setattr("everfresh.recorded.steps.Blocking.wait", wait)
    counts.clear()
    assert ask(lambda: 1, **NAMED).outcome is Outcome.FILL
    assert counts.trips.count("enroll") == 1
    assert counts.trips.count("begin_fill") == 4


def test_what_is_passed_on_is_listed_by_who_computes(counts: Counts) -> None:
    """Who hands the lease to a task need not enroll."""
    ask(lambda: 1, grace=60, **NAMED)
    names.invalidate_name("f()")
    counts.clear()
    assert ask(lambda: 2, grace=60, refresh_later=lambda _: True, **NAMED).outcome is Outcome.STALE
    assert counts.trips == ["read_many", "begin_fill"]


# Enrolled in time


@pytest.mark.parametrize("fresh", [False, True])
def test_a_pattern_in_the_middle_of_a_fill(fresh: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed before versions are taken: who invalidates by a pattern after that finds it."""
    after("begin_fill", lambda: names.invalidate_pattern("f*"), monkeypatch)
    ask(lambda: "old", fresh=fresh, **NAMED)
    assert ask(lambda: "new", **NAMED).value == "new"


def test_a_pattern_in_the_middle_of_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is listed since it was, and that is found until it is listed for longer."""
    ask(lambda: "old", grace=60, **NAMED)
    names.invalidate_name("f()")
    after("begin_fill", lambda: names.invalidate_pattern("f*"), monkeypatch)
    ask(lambda: "older", grace=60, **NAMED)
    assert ask(lambda: "new", grace=60, **NAMED).value == "new"


def test_a_pattern_where_it_is_stored_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its own name is not listed yet, and is before versions are taken."""
    ask(lambda: "old", grace=60, label="f", name="other()")
    names.invalidate_name("other()")
    after("begin_fill", lambda: names.invalidate_pattern("f*"), monkeypatch)
    ask(lambda: "older", grace=60, **NAMED)
    assert ask(lambda: "new", grace=60, **NAMED).value == "new"


def test_a_refresh_lists_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored anew is listed anew: under its label, and under its tags."""
    ask(lambda: 1, grace=60, tags=("a",), **NAMED)
    names.invalidate_name("f()")
    enrolled: list[str] = []
    enroll = GuardedStore.enroll

    def noted(store: GuardedStore, members: Any, seconds: float) -> bool:
        assert seconds > LIFETIME_SECONDS + 60
        enrolled.extend(index for index, _ in members)
        return enroll(store, members, seconds)

    monkeypatch.setattr(GuardedStore, "enroll", noted)
    ask(lambda: 2, grace=60, tags=("a",), **NAMED)
    assert {label_index("f"), label_index(tag_label("a"))} < set(enrolled)


def test_a_refresh_that_no_index_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not stored, and its lease is free again; the old one is served."""
    ask(lambda: 1, grace=60, **NAMED)
    names.invalidate_name("f()")
    with monkeypatch.context() as patch:
        patch.setattr(GuardedStore, "enroll", lambda *_: False)
        assert ask(lambda: 2, grace=60, **NAMED).outcome is Outcome.STALE
    assert ask(lambda: 2, grace=60, **NAMED).outcome is Outcome.FILL


def test_what_is_listed_outlives_what_is_stored(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what is read inside may be kept for longer than the list."""
    configure(JITTER=0)
    kept: list[float] = []
    monkeypatch.setattr(GuardedStore, "fill", lambda *args: kept.append(args[-1]))
    ask(lambda: len(Author.objects.cache(timeout=10 * LIFETIME_SECONDS)), **NAMED)
    assert kept[-1] == LIFETIME_SECONDS


# Ways to another thread


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked for in another thread."""
    asked: list[str] = []
    ask_there = Awaiting.ask

    async def noted(steps: Awaiting[Any], do: Callable[[], Any]) -> Any:
        asked.append(do.__qualname__)
        return await ask_there(steps, do)

    monkeypatch.setattr(Awaiting, "ask", noted)
    # On a busy machine the lease may come so long after the look that there is another one.
    monkeypatch.setattr(reading, "_FRESH_LOOK_SECONDS", inf)
    return asked


def test_hops(hops: list[str]) -> None:
    """One for a hit, two for an old result, and for a fill one more for what it holds, and for storing it."""

    async def compute() -> int:
        return 1

    def read() -> tuple[Outcome, int]:
        hops.clear()
        return async_to_sync(aask)(compute, grace=60, **NAMED).outcome, len(hops)

    # The look, whether locks are held, the lease, the bytes, the entry
    assert read() == (Outcome.FILL, 5)
    assert read() == (Outcome.HIT, 1)
    names.invalidate_name("f()")
    taken = lease()
    assert read() == (Outcome.STALE, 2)
    current_store().release(key_of(computation()), taken)
    # The look, the lease, the bytes, the entry
    assert read() == (Outcome.FILL, 4)
