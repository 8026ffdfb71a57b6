"""What proves a store.

A store's whole test file is a subclass of `StoreContract` with a factory::

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore("localhost")

Each test's docstring is the rule it checks. Tests of what a store does not tell (evictions, odd bytes, round trips) are
skipped until the subclass has the hook for it. Runs under pytest, and needs nothing of it; for detailed messages, say
``pytest.register_assert_rewrite("everfresh.testing")`` in the ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from everfresh.events import Verified
from everfresh.exceptions import StaleAnswer
from everfresh.signals import stale_answer
from everfresh.testing.entries import EntryContract
from everfresh.testing.tags import TagContract

__all__ = ["StoreContract", "raising_stale_answers"]


class StoreContract(TagContract, EntryContract):
    """The rules that every store keeps. Names are fresh for each test, so a shared server need not be emptied."""


@contextmanager
def raising_stale_answers() -> Iterator[None]:
    """Raise `everfresh.exceptions.StaleAnswer` where ``VERIFY`` finds one, while the block runs."""

    def raise_it(event: Verified, **_: Any) -> None:
        raise StaleAnswer(f"{event.key} held {event.cached!r}; the database gives {event.computed!r}.")

    stale_answer.connect(raise_it)
    try:
        yield
    finally:
        stale_answer.disconnect(raise_it)
