"""The cache backends of cachebot, and their log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.core.signals import request_finished

from everfresh.compat.cachebot.logger import operations
from tests.seeds.photos.models import First
from tests.seeds.reads import DB_THEN_CACHE, asked, past_django

pytestmark = pytest.mark.django_db(transaction=True)


BACKENDS = ["locmem.LocMemCache", "dummy.DummyCache", "db.DatabaseCache", "memcached.MemcachedCache"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, settings: Any, store_kind: str) -> Any:
    """Each of cachebot's backends."""
    module, _, name = request.param.partition(".")
    if module == "memcached" and store_kind != "memcached":
        pytest.skip("no Memcached in this combination")
    location = settings.CACHES["default"].get("LOCATION", "") if module == "memcached" else "cachebot_cache"
    found = {"BACKEND": f"everfresh.compat.cachebot.backends.{module}.{name}", "LOCATION": location}
    settings.CACHES = {**settings.CACHES, "old": found}
    if module == "db":
        call_command("createcachetable", "cachebot_cache")
    yield caches["old"]
    caches["old"].clear()
    if module == "db":
        past_django("DROP TABLE cachebot_cache")


@pytest.mark.seeds("CB-21")
def test_backend_methods(backend: Any) -> None:
    """append, prepend, replace; counters that make themselves, count by delta, and count down."""
    stores = "Dummy" not in type(backend).__name__
    assert not backend.append("text", "c")
    assert not backend.replace("text", "c")
    backend.set("text", "b")
    assert [backend.append("text", "c"), backend.prepend("text", "a")] == [stores] * 2
    assert backend.get("text") == ("abc" if stores else None)
    assert backend.replace("text", 1) is stores

    assert backend.smart_incr("up", 2, 10) == 12
    assert backend.smart_decr("down", delta=2, default=10) == 8
    assert backend.smart_incr("up", 3) == (15 if stores else 3)
    assert backend.smart_decr("down", 3) == (5 if stores else -3)


@pytest.mark.seeds("CB-21")
def test_everfresh_on_their_backends(backend: Any, configure: Any) -> None:
    """They hold Everfresh's entries like any other."""
    configure(CACHE="old")
    expected = ["database"] * 2 if "Dummy" in type(backend).__name__ else DB_THEN_CACHE

    assert asked(lambda: list(First.objects.cache())) == expected


@pytest.mark.seeds("CB-S8", "CB-22")
def test_log(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With the logger at DEBUG each operation is noted, until the request ends."""
    name = "everfresh.compat.cachebot.backends.locmem.LocMemCache"
    settings.CACHES = {**settings.CACHES, "old": {"BACKEND": name}}
    old = caches["old"]
    operations.reset()
    old.set("a", 1)
    assert old._logger.log == []

    with caplog.at_level(logging.DEBUG, "cachebot.logger"):
        old.get("a")
        old.get("b")
        old.get_many(iter(["a", "b"]))
        old.set_many({"c": 1})
    assert [(entry.name, entry.key, entry.hit) for entry in old._logger.log] == [
        ("get", "a", True),
        ("get", "b", False),
        ("get_many", "a,b", False),
        ("set_many", "c", None),
    ]
    assert all(entry.time >= 0 for entry in old._logger.log)
    assert "get b" in caplog.text
    request_finished.send(sender=None)
    assert old._logger.log == []
