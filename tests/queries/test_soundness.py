"""Soundness: whatever is asked, whatever is written, a cached answer is the answer the database would give now."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from everfresh.events import listening
from tests.queries.answers import IMPOSSIBLE, answer
from tests.queries.strategies import Asked, asked
from tests.queries.world import World, do, write

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
THOROUGH = settings(QUICK, max_examples=2_000)


@pytest.fixture
def world(transactional_db: None) -> World:
    """The rows all examples start from."""
    return World()


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
    check(reads, "before any write")
    with suppress(IntegrityError), transaction.atomic() if inside else nullcontext():  # deferred constraints
        for code in writes:
            do(code)
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
    world.reset()
    reads = [read for read in reads if is_possible(read)]
    assume(reads)
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
    world.reset()
    reads = [read for read in reads if is_possible(read)]
    assume(reads)
    example(world, reads, writes, inside=inside)


# Named cases


def test_a_window_counts_rows_that_an_alternative_beside_it_leaves_out(world: World) -> None:
    """Under OR with a window, conditions are applied after it: every row takes part in the window."""
    read = Asked(
        "Book.objects.annotate(x=Window(Count('*'), partition_by=[F('status')]))"
        ".filter(Q(author=1, x=2) | Q(author=3, x=2)).values('pk')"
    )
    example(world, [read], ["Book.objects.filter(author=2).delete()"], inside=False)


def test_columns_asked_of_a_union_may_be_another_tables(world: World) -> None:
    """values() after union() is for every member."""
    read = Asked("Book.objects.order_by().union(Book.objects.order_by()).values_list('author__name').order_by()")
    example(world, [read], ["Author.objects.filter(pk=1).update(name='c')"], inside=False)


def test_minus_zero_is_zero(world: World) -> None:
    """SQL sees no sign on a zero."""
    read = Asked("Book.objects.filter(price=Decimal('-0.00'))")
    example(world, [read], ["Book.objects.filter(pk=3).update(price=2)"], inside=False)


@pytest.mark.parametrize("form", ["count()", "aggregate(n=Count('pk'))"])
def test_values_are_counted(world: World, form: str) -> None:
    """count() leaves the columns out, in whatever way they were asked for."""
    read = Asked("Book.objects.values_list('author__name', flat=True)", form)
    example(world, [read], ["Book.objects.filter(pk=3).delete()"], inside=False)
    seen: list[Any] = []
    with listening(seen.append):
        answer(read, cached=True)
    assert "compile" not in seen[0].reason


def test_decimals_that_sqlite_does_not_tell_apart(world: World) -> None:
    """It keeps 15 digits: beyond, equal in SQL is not equal in Python."""
    one, other = "Decimal('1234567890123456.7890')", "Decimal('1234567890123456.7891')"
    read = Asked(f"Everything.objects.filter(decimal={one})")
    example(world, [read], [f"Everything.objects.create(pk=3, decimal={other})"], inside=False)
