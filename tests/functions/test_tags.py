"""Tags that people name: by hand, with a transaction, and from the result."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

import everfresh
from everfresh.events import Outcome
from tests.conftest import Elsewhere
from tests.functions.computing import ask
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)


def is_kept(**options: Any) -> bool:
    """Is something stored under these options, which it is from now on?"""
    return ask(lambda: 1, **options).outcome is Outcome.HIT


@pytest.mark.seeds("CE-4", "CE-14")
def test_tag_drops_what_is_under_it() -> None:
    """And nothing else."""
    is_kept(tags=("a", "b"))
    is_kept(key="other", tags=("b",))

    everfresh.invalidate_tags("a")

    assert not is_kept(tags=("a", "b"))
    assert is_kept(key="other", tags=("b",))
    everfresh.invalidate_tags("b", "a")
    assert not is_kept(tags=("a", "b"))
    assert not is_kept(key="other", tags=("b",))


def test_at_commit(elsewhere: Elsewhere) -> None:
    """In a transaction others lose it when it commits, and not when it is rolled back."""
    is_kept(tags=("a",))
    with transaction.atomic():
        everfresh.invalidate_tags("a")
        assert elsewhere(lambda: is_kept(tags=("a",)))
        assert not is_kept(tags=("a",))
        transaction.set_rollback(True)
    assert is_kept(tags=("a",))
    with transaction.atomic():
        everfresh.invalidate_tags("a")
    assert not is_kept(tags=("a",))


def test_rolled_back_savepoint() -> None:
    """What was said within a savepoint goes with it."""
    is_kept(tags=("a",))
    with transaction.atomic():
        with transaction.atomic():
            everfresh.invalidate_tags("a")
            transaction.set_rollback(True)
        Author.objects.create(name="A")
    assert is_kept(tags=("a",))


def test_while_it_is_computed(elsewhere: Elsewhere) -> None:
    """What was computed from before is stored as from before."""

    def compute() -> int:
        elsewhere(lambda: everfresh.invalidate_tags("a"))
        return 1

    ask(compute, tags=("a",))

    assert not is_kept(tags=("a",))


@pytest.mark.seeds("CE-4")
def test_tags_of_the_result() -> None:
    """Tags may be told by the result."""

    def tags(result: list[int]) -> list[str]:
        return [f"author {key}" for key in result]

    ask(lambda: [1, 2], result_tags=tags)
    everfresh.invalidate_tags("author 3")
    assert ask(list, result_tags=tags).value == [1, 2]
    everfresh.invalidate_tags("author 2")
    assert ask(list, result_tags=tags).value == []
    assert ask(lambda: [1], result_tags=tags).value == []


def test_tags_of_the_result_while_it_is_computed(elsewhere: Elsewhere) -> None:
    """The tag may have moved between the begin and the result, and its version could not tell: nothing is kept."""

    def compute() -> int:
        elsewhere(lambda: everfresh.invalidate_tags("a"))
        return 1

    assert ask(compute, result_tags=lambda _: ["a"]).outcome is Outcome.MISS


def test_name_that_is_none() -> None:
    """A tag is a string."""
    with pytest.raises(TypeError, match="named by a string, not 5"):
        everfresh.invalidate_tags("a", 5)  # type: ignore[arg-type]


def test_async() -> None:
    """Its twin does the same."""
    is_kept(tags=("a",))
    async_to_sync(everfresh.ainvalidate_tags)("a")
    assert not is_kept(tags=("a",))
