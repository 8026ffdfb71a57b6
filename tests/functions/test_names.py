"""Stored results by their names: listed, counted, invalidated."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from everfresh import names
from everfresh.events import Outcome
from everfresh.exceptions import StoreUnreachable
from everfresh.stores import close_stores, current_store
from tests.conftest import Elsewhere
from tests.functions.computing import ask
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)


def is_kept(name: str, label: str = "f", **options: Any) -> bool:
    """Is there a result of this name, which there is from now on?"""
    return ask(lambda: 1, key=f"{label}{name}", name=name, label=label, **options).outcome is Outcome.HIT


def test_listed() -> None:
    """Labels, and the names under each, tags among them."""
    is_kept("f(1)")
    is_kept("f(2)", tags=("a",))
    is_kept("g(1)", label="g")

    assert names.labels() == ["f", "g", "tag:a"]
    assert names.names("f") == ["f(1)", "f(2)"]
    assert names.names("tag:a") == ["f(2)"]
    assert names.names("h") == []


def test_tags_of_the_result_are_listed() -> None:
    """They are known only when it is stored."""
    is_kept("f(1)", result_tags=lambda result: [f"of {result}"])

    assert names.names("tag:of 1") == ["f(1)"]


@pytest.mark.seeds("CE-8", "CE-22")
def test_label_is_invalidated_once() -> None:
    """Everything under a label goes, and the number is that of what was current."""
    is_kept("f(1)")
    is_kept("f(2)")
    is_kept("g(1)", label="g")
    names.invalidate_name("f(2)")
    is_kept("f(3)")

    assert names.count_label("f") == 2
    assert names.invalidate_label("f") == 2
    assert names.invalidate_label("f") == names.count_label("f") == 0
    assert not is_kept("f(1)")
    assert is_kept("g(1)", label="g")


def test_tag_is_a_label() -> None:
    """What people named can be counted and dropped like a label."""
    is_kept("f(1)", tags=("a",))
    is_kept("g(1)", label="g", tags=("a", "b"))

    assert names.invalidate_label("tag:b") == 1
    assert names.invalidate_label("tag:a") == 1
    assert not is_kept("f(1)", tags=("a",))


def test_name() -> None:
    """One result by its name."""
    is_kept("f(1)")
    is_kept("f(2)")

    names.invalidate_name("f(1)")

    assert not is_kept("f(1)")
    assert is_kept("f(2)")


@pytest.mark.seeds("CE-14")
def test_pattern() -> None:
    """All names that match, in whatever label."""
    is_kept("Book:1")
    is_kept("Book:2>owner", label="g")
    is_kept("Author:1")

    assert names.invalidate_pattern("Book:*") == 2
    assert not is_kept("Book:1")
    assert not is_kept("Book:2>owner", label="g")
    assert is_kept("Author:1")
    assert names.invalidate_pattern("nothing*") == 0


def test_pattern_while_it_is_computed(elsewhere: Elsewhere) -> None:
    """A result on its way is found as well: it is listed before it begins."""

    def compute() -> int:
        elsewhere(lambda: names.invalidate_pattern("f*"))
        return 1

    ask(compute, key="f(1)", name="f(1)", label="f")

    assert ask(compute, key="f(1)", name="f(1)", label="f").outcome is not Outcome.HIT


def test_at_commit() -> None:
    """Like every invalidation, with the transaction."""
    is_kept("f(1)")
    with transaction.atomic():
        names.invalidate_label("f")
        transaction.set_rollback(True)
    assert is_kept("f(1)")


def test_rolled_back_it_is_still_listed() -> None:
    """What a transaction drops and takes back is found by its name afterwards."""
    is_kept("f(1)")
    with transaction.atomic():
        names.invalidate_label("f")
        transaction.set_rollback(True)
    assert names.names("f") == ["f(1)"]
    assert names.invalidate_pattern("f*") == 1
    assert not is_kept("f(1)")


def test_what_it_read_makes_it_not_current() -> None:
    """Counted is what would be served."""
    ask(Author.objects.count, name="f()", label="f")
    assert names.count_label("f") == 1
    Author.objects.create(name="A")
    assert names.count_label("f") == 0


def test_store_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the store knows cannot be told without it: an error that says so, and nothing computed is kept."""
    is_kept("f(1)")

    def fails(*_: object) -> None:
        raise ConnectionError("down")

    with monkeypatch.context() as patch:
        for method in ("enroll", "enrolled"):
            patch.setattr(current_store().store, method, fails)
        assert is_kept("f(1)")
        assert not is_kept("f(2)")
        assert not is_kept("f(2)")
        with pytest.raises(StoreUnreachable, match="does not answer"):
            names.labels()
    close_stores()
