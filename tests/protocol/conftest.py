"""The schedule of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.schedule import Schedule, scheduled


@pytest.fixture
def schedule(transactional_db: None, monkeypatch: pytest.MonkeyPatch, namespace: str) -> Iterator[Schedule]:
    """Actors on the combination's own store and database."""
    with scheduled(monkeypatch) as schedule:
        yield schedule
