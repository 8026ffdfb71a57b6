"""The model's schedules on real stores: step by step, the store goes where the model goes."""

# ruff: noqa: T201  `-m prove -s` shows how much was run

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis as client
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import PyMemcacheCache

from everfresh.stores.redis import RedisStore
from provers.protocol.model import Faults, Scheme
from provers.protocol.schedules import (
    Difference,
    Schedule,
    Stage,
    all_schedules,
    cache_stage,
    covering_schedules,
    random_schedules,
    redis_stage,
)
from provers.protocol.schemes import (
    FULL,
    FULL_WHOLE_TWO_GROUPS,
    HOLD,
    HOLD_AND_EPOCH,
    HOLD_AND_MARK,
    HOLD_APART,
    PLAIN_WHOLE,
    REJECTED,
    STAMPED,
)
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EVICTION = Faults(evictions=1)
BOTH = Faults(evictions=1, crashes=1)


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.RedisServer]:
    """A Redis of our own."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def on_redis(redis: servers.RedisServer) -> Iterator[Callable[[Scheme], Stage]]:
    """A stage on Redis."""
    with ExitStack() as opened:
        yield lambda scheme: opened.enter_context(redis_stage(scheme, redis.url))


@pytest.fixture(params=["locmem", "memcached"])
def on_a_cache(request: pytest.FixtureRequest) -> Iterator[Callable[[Scheme], Stage]]:
    """A stage on a cache without counted marks."""
    if request.param == "locmem":
        cache = LocMemCache("schedules", {"max_entries": 1_000_000})
        yield lambda scheme: cache_stage(scheme, cache)
        cache.clear()
        return
    with servers.memcached_server() as server:
        found: Any = PyMemcacheCache(f"{server.host}:{server.port}", {})
        yield lambda scheme: cache_stage(scheme, found)
        found.close()


def run(stage: Stage, schedules: Iterable[Schedule]) -> None:
    """Take them all, and say how many they were."""
    count = steps = 0
    began = time.perf_counter()
    for schedule in schedules:
        stage.run(schedule)
        count += 1
        steps += len(schedule)
    print(f"{count:,} schedules of {steps:,} steps in {time.perf_counter() - began:.0f} s")


def test_redis(on_redis: Callable[[Scheme], Stage]) -> None:
    """Two readers and two writers, with an eviction and a crash anywhere: a sample."""
    run(on_redis(FULL), random_schedules(FULL, FULL.start(BOTH), 300, seed=1))


def test_redis_two_groups(on_redis: Callable[[Scheme], Stage]) -> None:
    """The same with a clause of two groups, of which the writers touch both or one."""
    scheme = FULL_WHOLE_TWO_GROUPS
    run(on_redis(scheme), random_schedules(scheme, scheme.start(BOTH), 150, seed=2))


def test_redis_stamped(on_redis: Callable[[Scheme], Stage]) -> None:
    """The same where hits of which a tag has moved are stamped anew."""
    run(on_redis(STAMPED), random_schedules(STAMPED, STAMPED.start(BOTH, (3, 2)), 200, seed=6))


@pytest.mark.parametrize("scheme", [HOLD, HOLD_AND_MARK, HOLD_AND_EPOCH, HOLD_APART], ids=lambda scheme: scheme.name)
def test_redis_hold(on_redis: Callable[[Scheme], Stage], scheme: Scheme) -> None:
    """The same with writers that hold the epoch in the place of their other tags."""
    run(on_redis(scheme), random_schedules(scheme, scheme.start(BOTH), 150, seed=5))


def test_plain(on_a_cache: Callable[[Scheme], Stage]) -> None:
    """The same on stores where the last mark wins."""
    run(on_a_cache(PLAIN_WHOLE), random_schedules(PLAIN_WHOLE, PLAIN_WHOLE.start(BOTH), 400, seed=3))


def test_a_difference_is_found(on_redis: Callable[[Scheme], Stage]) -> None:
    """A model that leaves the marker out is told from the real store."""
    scheme = next(scheme for scheme in REJECTED if scheme.name.startswith("pending record alone"))

    with pytest.raises(Difference, match=r"in the model"):
        run(on_redis(scheme), random_schedules(scheme, scheme.start(EVICTION), 300, seed=4))


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_every_step_on_redis(on_redis: Callable[[Scheme], Stage]) -> None:
    """Two readers, two writers, one eviction: every step out of every state that can be reached."""
    run(on_redis(FULL), covering_schedules(FULL, FULL.start(EVICTION, (1, 1))))


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scheme", [HOLD, HOLD_AND_MARK, HOLD_AND_EPOCH], ids=lambda scheme: scheme.name)
def test_every_step_of_a_hold_on_redis(on_redis: Callable[[Scheme], Stage], scheme: Scheme) -> None:
    """One reader, two writers of which one at least holds, one eviction and one crash: every step."""
    run(on_redis(scheme), covering_schedules(scheme, scheme.start(BOTH, (1,))))


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_every_step_on_a_cache(on_a_cache: Callable[[Scheme], Stage]) -> None:
    """The same where the last mark wins."""
    run(on_a_cache(PLAIN_WHOLE), covering_schedules(PLAIN_WHOLE, PLAIN_WHOLE.start(EVICTION, (1, 1))))


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_every_order_on_redis(on_redis: Callable[[Scheme], Stage]) -> None:
    """One reader that reads twice and two writers: every order of their steps, from the first to the last."""
    run(on_redis(FULL), all_schedules(FULL, FULL.start(reads=(2,))))


@pytest.mark.prove
@pytest.mark.parametrize("lost", ["nothing", "t", "p"])
def test_marks_end_by_themselves(redis: servers.RedisServer, lost: str) -> None:
    """The real clock: a dead writer's mark ends in time, whichever of its two keys was lost."""
    store = RedisStore.from_url(redis.url, f"lapse:{lost}:", timeout_seconds=5.0)
    before = store.begin_fill("key", ["tag"], 0).versions
    store.mark(["tag"], "dead", 0.5)
    with client.Redis.from_url(redis.url) as direct:
        direct.delete(f"lapse:{lost}:{store.incarnation}:{lost}{{tag}}")
    assert store.begin_fill("key", ["tag"], 0).versions == (None,)
    store.mark(["tag"], "alive", 0.3)
    store.done(["tag"], "alive")
    assert store.begin_fill("key", ["tag"], 0).versions == (None,)
    time.sleep(0.6)

    assert store.begin_fill("key", ["tag"], 0).versions not in {before, (None,)}
    store.close()
