"""VERIFY: hits computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from everfresh.events import Verified, listening
from everfresh.exceptions import StaleAnswer
from everfresh.testing import raising_stale_answers
from tests.library.models import Tag

if TYPE_CHECKING:
    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


def behind_our_back() -> None:
    """A write that no Django cursor sees."""
    Tag.objects.count()
    with connection.connection.cursor() if connection.vendor != "sqlite" else connection.connection as cursor:
        cursor.execute("UPDATE library_tag SET name = 'b'")


def test_stale_answer_is_found(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    """A hit that differs from the database though no tag moved is reported, logged, and raised where asked."""
    configure(VERIFY=1)
    Tag.objects.create(name="a")
    list(Tag.objects.cache())
    behind_our_back()
    seen: list[Verified] = []

    with (
        listening(lambda event: seen.append(event) if isinstance(event, Verified) else None),
        raising_stale_answers(),
        pytest.raises(StaleAnswer, match=r"'a'.*'b'"),
    ):
        list(Tag.objects.cache())
    assert [event.stale for event in seen] == [True]
    assert "A stale answer under" in caplog.text


def test_fresh_answers_pass(configure: Configure) -> None:
    """Hits that agree are counted as verified; without VERIFY nothing is computed again."""
    Tag.objects.create(name="a")
    seen: list[Verified] = []
    with listening(lambda event: seen.append(event) if isinstance(event, Verified) else None):
        for _ in range(2):
            list(Tag.objects.cache())
        assert seen == []
        configure(VERIFY=1)
        for _ in range(2):
            list(Tag.objects.cache())

    assert [event.stale for event in seen] == [False] * len(seen)
    assert seen
