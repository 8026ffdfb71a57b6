"""The combination of database and store that the environment names is the one tests get."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connections

from tests.conftest import Configure

VENDORS = {"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"}


@pytest.mark.django_db(databases=["default", "other"])
def test_both_databases_are_of_the_kind(db_kind: str) -> None:
    """`default` and `other` have the same vendor and different rows."""
    Group.objects.create(name="here")
    Group.objects.using("other").create(name="there")

    assert {VENDORS[db_kind]} == {connection.vendor for connection in connections.all()}
    assert ["here"] == [group.name for group in Group.objects.all()]
    assert ["there"] == [group.name for group in Group.objects.using("other")]


@pytest.mark.django_db(transaction=True)
def test_threads_meet_in_the_database() -> None:
    """What one thread has committed another thread reads through its own connection."""
    Group.objects.create(name="committed")

    def names() -> list[str]:
        try:
            return list(Group.objects.values_list("name", flat=True))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        assert ["committed"] == pool.submit(names).result()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_started_processes_meet_in_the_database_and_the_store(store_kind: str) -> None:
    """A process that a test starts finds the test's rows, and the test's cache unless that is in memory."""
    Group.objects.create(name="committed")
    cache.set("left-by-the-test", "here", 60)
    program = """
import django
django.setup()
from django.contrib.auth.models import Group
from django.core.cache import cache
print(*Group.objects.values_list("name", flat=True), cache.get("left-by-the-test"))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert f"committed {'None' if store_kind == 'locmem' else 'here'}\n" == done.stdout


def test_namespace_is_the_tests_own(namespace: str) -> None:
    """Every test runs under a PREFIX that no other test has."""
    assert namespace == settings.EVERFRESH["PREFIX"]


def test_configure_keeps_the_namespace(configure: Configure, namespace: str) -> None:
    """`configure` changes the named keys only."""
    configure(CACHE_ALL=True)

    assert {"PREFIX": namespace, "CACHE_ALL": True} == settings.EVERFRESH
