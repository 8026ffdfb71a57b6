"""Soundness: whatever is asked, whatever is written, a cached answer is the answer the database would give now."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
from django.core.exceptions import FieldError, ObjectDoesNotExist
from django.db import DatabaseError, IntegrityError, NotSupportedError, models, transaction
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st

from tests.queries.strategies import Asked, asked
from tests.queries.world import World, do, write

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
THOROUGH = settings(QUICK, max_examples=10_000)


@pytest.fixture
def world(transactional_db: None) -> World:
    """The rows all examples start from."""
    return World()


def plain(value: Any, around: tuple[Any, ...] = ()) -> Any:
    """*value* without identity: instances by the columns they hold, and the related rows they brought along."""
    if isinstance(value, models.Model):
        if any(value is each for each in around):
            return "the one around it"
        held = {name: plain(each) for name, each in vars(value).items() if name != "_state"}
        related = {name: plain(each, (*around, value)) for name, each in value._state.fields_cache.items()}
        return type(value).__name__, value._state.db, sorted(held.items()), sorted(related.items(), key=repr)
    if isinstance(value, dict):
        return [(key, plain(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(each) for each in value]
    return type(value).__name__, value


def answer(read: Asked, *, cached: bool) -> Any:
    """What *read* gives, comparable; rows whose order nothing decides are put in one."""
    queryset = read.queryset()
    try:
        found = read.run(queryset.cache() if cached else queryset.nocache())
    except ObjectDoesNotExist as error:
        return type(error)
    if read.form == "rows" and not read.ordered:
        return sorted(repr(plain(each)) for each in found)
    return repr(plain(found))


IMPOSSIBLE = (AttributeError, FieldError, NotSupportedError, TypeError, ValueError, DatabaseError)
"""What Django and the databases say of generated nonsense."""


def is_possible(read: Asked) -> bool:
    """Can the database answer this?"""
    try:
        answer(read, cached=False)
    except IMPOSSIBLE as error:
        event(f"impossible: {type(error).__name__}")
        return False
    return True


def check(reads: list[Asked], when: str) -> None:
    """Each cached answer is the true one, twice: as filled and as hit."""
    for read in reads:
        for time in ("first", "second"):
            truth = answer(read, cached=False)
            assert truth == answer(read, cached=True), f"{when}, {time} time: {read}"


def example(world: World, reads: list[Asked], writes: list[str], *, inside: bool) -> None:
    """Ask, write, ask again."""
    world.reset()
    reads = [read for read in reads if is_possible(read)]
    assume(reads)
    check(reads, "before any write")
    with suppress(IntegrityError), transaction.atomic() if inside else nullcontext():  # deferred constraints
        for code in writes:
            done = do(code)
            note(f"{'did' if done else 'refused'}: {code}")
            check(reads, f"after {code}")
    check(reads, "in the end")


@pytest.mark.slow
@QUICK
@given(
    reads=st.lists(asked(), min_size=3, max_size=3),
    writes=st.lists(write(), min_size=1, max_size=4),
    inside=st.sampled_from([False, False, False, True]),
)
def test_a_cached_answer_is_the_true_one_after_any_writes(
    world: World, reads: list[Asked], writes: list[str], inside: bool
) -> None:
    """Cached == uncached, always."""
    example(world, reads, writes, inside=inside)


@pytest.mark.prove
@pytest.mark.timeout(7200)
@THOROUGH
@given(
    reads=st.lists(asked(), min_size=3, max_size=6),
    writes=st.lists(write(), min_size=1, max_size=6),
    inside=st.sampled_from([False, False, False, True]),
)
def test_a_cached_answer_is_the_true_one_after_any_writes_thoroughly(
    world: World, reads: list[Asked], writes: list[str], inside: bool
) -> None:
    """The same, many more times."""
    example(world, reads, writes, inside=inside)
