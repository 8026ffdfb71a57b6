"""Fixtures for all tests. The servers of the chosen combination start in `tests.settings`."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from django.contrib.contenttypes.management import create_contenttypes
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.models.signals import post_migrate

from tests import servers
from tests import settings as combination

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.management.color import Style
    from django.db.backends.base.base import BaseDatabaseWrapper
    from pytest_django.fixtures import Settings
    from pytest_django.plugin import DjangoDbBlocker


pytest.register_assert_rewrite("everfresh.testing")


Elsewhere = Callable[[Callable[[], Any]], Any]


class Configure(Protocol):
    """Change some keys of the ``EVERFRESH`` setting and keep the others."""

    def __call__(self, **changes: Any) -> None: ...


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of tests and modules that live to the end: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_report_header() -> str:
    """Say which combination this run is."""
    return f"everfresh: {combination.DB} + {combination.STORE}"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The databases, and a faster way to empty them after each test that commits: half of all time went there."""
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)
    for alias in connections:
        ops = connections[alias].ops
        ops.sql_flush = partial(_deletes, connections[alias], ops.sql_flush)  # type: ignore[method-assign]
        if connections[alias].vendor == "postgresql":
            # The second database is not there in a run of which no test asks for it.
            missing = nullcontext() if alias == DEFAULT_DB_ALIAS else suppress(OperationalError)
            with django_db_blocker.unblock(), missing:
                _raise_sequences(connections[alias])


def _raise_sequences(connection: BaseDatabaseWrapper) -> None:
    # Beyond the keys that tests give themselves, which no sequence hears of.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(format('%I', sequencename), 100000) FROM pg_sequences WHERE data_type != 'smallint'::regtype"
        )


def _deletes(
    connection: BaseDatabaseWrapper, flush: Callable[..., list[str]], style: Style, tables: list[str], **options: Any
) -> list[str]:
    # Content types stay: they say which models there are, and making them anew took most of the time.
    tables = [name for name in _filled(connection, tables) if name != "django_content_type"]
    if connection.vendor != "postgresql":
        return flush(style, tables, **options)
    # TRUNCATE makes new files for each table and index. Foreign keys are checked at COMMIT.
    return [f"{style.SQL_KEYWORD('DELETE FROM')} {connection.ops.quote_name(table)};" for table in tables]


def _filled(connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
    """Those of *tables* that hold rows: a few, of a hundred."""
    looks = " UNION ALL ".join(
        f"SELECT {at} WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})"
        for at, table in enumerate(tables)
    )
    with connection.cursor() as cursor:
        cursor.execute(looks)
        return [tables[at] for (at,) in cursor.fetchall()]


@pytest.fixture(scope="session")
def db_kind() -> str:
    """Which database the tests run on: sqlite, postgresql or mariadb."""
    return combination.DB


@pytest.fixture(scope="session")
def store_kind() -> str:
    """Which cache backend the default alias has: locmem, redis, memcached, file or database."""
    return combination.STORE


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis for this run, also where the combination's store is another one: database 1 of its server."""
    port = os.environ.get("EVERFRESH_TEST_REDIS_PORT")
    if port is not None:
        yield f"redis://{servers.HOST}:{port}/1"
    else:
        with servers.redis_server() as server:
            yield f"{server.url}/1"


@pytest.fixture(autouse=True)
def namespace(settings: Settings) -> str:
    """Each test has a namespace of its own, so what one leaves behind can never be another's hit."""
    prefix = f"test-{secrets.token_hex(6)}"
    settings.EVERFRESH = {**settings.EVERFRESH, "PREFIX": prefix}
    return prefix


@pytest.fixture
def configure(settings: Settings, namespace: str) -> Configure:
    """Call it with keys of the ``EVERFRESH`` setting: the others, the test's PREFIX among them, stay."""

    def change(**changes: Any) -> None:
        settings.EVERFRESH = {"PREFIX": namespace, **settings.EVERFRESH, **changes}

    return change


def closing(function: Callable[[], Any]) -> Any:
    """What *function* gives in a thread of its own, which leaves no connection open."""
    try:
        return function()
    finally:
        connections.close_all()
        caches.close_all()


@pytest.fixture
def elsewhere() -> Elsewhere:
    """Call it with a function that is to run in another thread, on connections of its own."""

    def run(function: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(closing, function).result(30)

    return run
