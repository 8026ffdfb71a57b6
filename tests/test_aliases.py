"""Several aliases: which of them are one database, and which may not be trusted to be up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connections

from everfresh import databases
from everfresh.databases import logical_database, may_lag
from tests.library.models import Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def replica() -> Iterator[str]:
    """An alias for the same database name as ``default``, on another server."""
    given = connections.settings["default"]
    connections.settings["replica"] = {**given, "HOST": "replica.invalid"}
    yield "replica"
    del connections.settings["replica"]
    del connections["replica"]


def test_two_databases_share_nothing() -> None:
    """Databases of different names have different tags and keys."""
    assert logical_database("default") != logical_database("other")


def test_replica_shares_the_tags(replica: str) -> None:
    """A database of the same name on another server has the same tags: writes to one reach entries of the other."""
    assert logical_database("default") == logical_database(replica)


def test_default_is_no_replica(replica: str) -> None:
    """The default database is the one that is written, also where a replica stands before it."""
    given = dict(connections.settings)
    connections.settings.clear()
    connections.settings.update({replica: given.pop(replica)} | given)
    databases._may_lag.cache_clear()

    assert may_lag(replica)
    assert not may_lag("default")


def test_replica_is_not_cached(replica: str) -> None:
    """What may be a replica is never cached: its rows may be older than the versions a reader takes."""
    explanation = Tag.objects.using(replica).cache().explain_cache()

    assert may_lag(replica)
    assert not may_lag("default")
    assert explanation.reason == "the database 'replica' may be a replica, which lags behind what was written"
