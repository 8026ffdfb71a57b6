"""Writers and publishers that overlap, step by step: what is published is never older than what is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from everfresh.events import Outcome
from tests.protocol.schedule import Schedule, observed, scheduled, truth
from tests.published.models import Badge


@pytest.fixture
def schedule(transactional_db: None, monkeypatch: pytest.MonkeyPatch, namespace: str) -> Iterator[Schedule]:
    """Actors on the combination's own store and database."""
    with scheduled(monkeypatch) as schedule:
        yield schedule


@pytest.fixture
def badge(schedule: Schedule) -> Badge:
    """A published row."""
    return Badge.objects.create(id=1, name="b", points=0)


def points() -> int:
    """What everybody reads."""
    return int(Badge.cached.get(pk=1).points)


def saving(number: int) -> Callable[[], Any]:
    """Save, and so publish, the row with so many points."""

    def save() -> None:
        found = Badge.objects.get(pk=1)
        found.points = number
        found.save()

    return save


@pytest.mark.parametrize("point", ["read", "begin_fill", "fill"])
def test_publisher_is_overtaken(point: str, schedule: Schedule, badge: Badge) -> None:
    """Wherever the first publisher stands when a second writer passes it, nobody is served what the first one saw."""
    first = schedule.writer(saving(1), "first").to("done").to(point)
    second = schedule.writer(saving(2), "second")
    second.finish()
    assert points() == 2
    first.finish()

    assert points() == truth(points) == 2
    with observed() as outcomes:
        points()
    assert outcomes == [Outcome.HIT]


@pytest.mark.parametrize("point", ["mark", "commit", "done", "read", "begin_fill", "fill"])
def test_writer_dies(point: str, schedule: Schedule, badge: Badge) -> None:
    """Before the COMMIT nothing happened; after it the first reader finds the new row, published or not."""
    writer = schedule.writer(saving(1))
    if point in ("read", "begin_fill", "fill"):
        writer.to("done")
    writer.to(point).die()
    expected = 0 if point in ("mark", "commit") else 1

    assert points() == truth(points) == expected
    schedule.end_marks()
    assert points() == expected
    saving(2)()
    assert points() == 2


@pytest.mark.parametrize("kind", ["entry", "version", "pending", "lease"])
def test_eviction(kind: str, schedule: Schedule, badge: Badge) -> None:
    """Whatever the store loses, an index is found again, and never an old one."""
    badge.name = "new"
    badge.save()
    schedule.evict(kind)
    with pytest.raises(Badge.DoesNotExist):
        Badge.cached.get(name="b")
    assert Badge.cached.get(name="new").pk == Badge.cached.get(pk=1).pk == 1
    with CaptureQueriesContext(connection) as queries:
        Badge.cached.get(name="new")
    assert len(queries) == 0


def test_publishing_reads_what_is_committed(schedule: Schedule, badge: Badge, db_kind: str) -> None:
    """A publisher that comes while another writer is about to commit stores nothing that this one makes stale."""
    if db_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    writer = schedule.writer(saving(1)).to("commit")
    publisher = schedule.actor(lambda: Badge.objects.get(pk=1).publish(), "publisher")
    publisher.finish()
    assert points() == 0
    writer.to("done")
    assert truth(points) == 1
    if schedule.counts_marks:
        assert points() == 1
    writer.finish()
    assert points() == 1
