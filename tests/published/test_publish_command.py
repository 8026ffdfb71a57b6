"""``manage.py everfresh_publish``."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoAssertNumQueries

import everfresh
from tests.published.models import Badge, Category

pytestmark = pytest.mark.django_db(transaction=True)


def publish(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("everfresh_publish", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def badges() -> list[Badge]:
    """Five of them, none of which is in the cache."""
    badges = [Badge.objects.create(name=name) for name in "abcde"]
    everfresh.invalidate(Badge)
    return badges


def test_every_row(badges: list[Badge], django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """They are all there afterwards, and a bar shows the way."""
    shown = publish("published.Badge", "--batch", "2")
    assert "[############..................] 2/5" in shown
    assert "published.Badge: 5 rows published" in shown
    with django_assert_num_queries(0):
        assert [Badge.cached.get(pk=badge.pk).name for badge in badges] == list("abcde")


def test_table() -> None:
    """A table is one entry."""
    Category.objects.create(name="n", slug="n")
    assert "published.Category: 1 rows, as one entry" in publish("published.Category")


def test_resumed(
    badges: list[Badge], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Stopped in the middle, it says how to go on."""
    original = Badge.publish

    def stop_at_d(self: Badge) -> None:
        if self.name == "d":
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(Badge, "publish", stop_at_d)
    with pytest.raises(CommandError, match=rf"everfresh_publish published\.Badge --after {badges[1].pk}$"):
        publish("published.Badge", "--batch", "2")
    monkeypatch.undo()
    assert "5 rows published" in publish("published.Badge", "--after", str(badges[1].pk))
    with django_assert_num_queries(0):
        assert Badge.cached.get(pk=badges[4].pk).name == "e"


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "Name a model as app.Model"), ("library.Book", "neither a CacheModel nor")]
)
def test_wrong_model(name: str, message: str) -> None:
    """The error says what to write."""
    with pytest.raises(CommandError, match=message):
        publish(name)


def test_rows_of_a_batch_by_one_query(badges: list[Badge], django_assert_max_num_queries: Any) -> None:
    """One count, then two statements for each batch and one for its end, not one for each row."""
    with django_assert_max_num_queries(7):
        publish("published.Badge", "--batch", "3")
