"""The plain store over every kind of cache backend that Django has."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache.backends import base, filebased, locmem
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.management import call_command
from django.utils.timezone import now

import everfresh.stores.django
from everfresh.exceptions import InvalidationNotSent
from everfresh.stores.django import DjangoStore
from everfresh.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.cache.backends.base import BaseCache

    from tests.servers import MemcachedServer

PLENTY = {"OPTIONS": {"MAX_ENTRIES": 1_000_000}}


class PlainContract(StoreContract):
    """What the tests of all plain backends have in common."""

    short_seconds = 1
    spare_seconds = 1.1

    def make_cache(self) -> BaseCache:
        """Another backend object over the same contents."""
        raise NotImplementedError

    def make_store(self) -> DjangoStore:
        self.cache = self.make_cache()
        return DjangoStore(self.cache)

    def evict(self, tag: str) -> None:
        self.cache.delete(f"ef:t:{tag}")

    def spoil(self, key: str, tag: str) -> None:
        self.cache.set(f"ef:e:{key}", {"not": "bytes"})
        self.cache.set(f"ef:t:{tag}", "not a version")


class PlainOnOurClock(PlainContract):
    """Backends that look at Python's clock, which we can put forward."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        for module in (base, locmem, filebased, everfresh.stores.django):
            ours = SimpleNamespace(time=lambda: time.time() + self.offset, sleep=time.sleep)
            monkeypatch.setattr(module, "time", ours)

    def advance(self, seconds: float) -> None:
        self.offset += seconds


class TestLocMem(PlainOnOurClock):
    def make_cache(self) -> BaseCache:
        return LocMemCache("contract", PLENTY)


class TestFile(PlainOnOurClock):
    add_is_atomic = False  # it looks, then writes
    many_tags = 100  # each write lists the directory
    threads = 2

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.path = tmp_path_factory.getbasetemp() / "contract"

    def make_cache(self) -> BaseCache:
        return FileBasedCache(str(self.path), PLENTY)


@pytest.mark.django_db(transaction=True)
class TestDatabase(PlainOnOurClock):
    threads = 1  # SQLite lets one at a time write

    @pytest.fixture(autouse=True)
    def table(self, db: None, clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
        call_command("createcachetable", "contract", verbosity=0)
        monkeypatch.setattr("django.core.cache.backends.db.tz_now", lambda: now() + timedelta(seconds=self.offset))

    def make_cache(self) -> BaseCache:
        return DatabaseCache("contract", PLENTY)


@pytest.mark.slow
class TestMemcached(PlainContract):
    @pytest.fixture(autouse=True)
    def server(self, memcached: MemcachedServer) -> Iterator[None]:
        self.location = f"{memcached.host}:{memcached.port}"
        self.opened: list[PyMemcacheCache] = []
        yield
        for cache in self.opened:
            cache.close()

    def make_cache(self) -> BaseCache:
        self.opened.append(PyMemcacheCache(self.location, {"KEY_PREFIX": "contract", "OPTIONS": {"use_pooling": True}}))
        return self.opened[-1]


class TestDjangoStore:
    """What is peculiar to the plain store."""

    @pytest.fixture
    def cache(self) -> LocMemCache:
        """A cache of this test's own."""
        cache = LocMemCache("peculiar", PLENTY)
        cache.clear()
        return cache

    def test_mark_during_begin_fill(self, cache: LocMemCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A writer that marks between a reader's look and its add is seen: the tag is pending, and stays so."""
        store = DjangoStore(cache)
        add = cache.add

        def interrupted(key: str, *args: Any) -> bool:
            if key == "ef:t:tag":
                store.mark(["tag"], "writer", 5)
            return bool(add(key, *args))

        monkeypatch.setattr(cache, "add", interrupted)

        assert store.begin_fill("key", ["tag", "other"], 5).versions[0] is None
        assert store.read("key", ["tag"]).versions == (None,)

    def test_refused_mark(self, cache: LocMemCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tag that the backend reports as not written fails the mark."""
        monkeypatch.setattr(cache, "set_many", lambda data, timeout: [*data][:1])

        with pytest.raises(InvalidationNotSent) as caught:
            DjangoStore(cache).mark(["one", "two"], "writer", 5)

        assert str(caught.value) == "The cache did not take the pending markers of 1 of 2 tags."

    def test_silently_refused_mark(self, cache: LocMemCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tag that still has a version after the mark fails it, though the backend did not say a word."""
        store = DjangoStore(cache)
        store.begin_fill("key", ["one"], 5)
        monkeypatch.setattr(cache, "set_many", lambda data, timeout: [])

        with pytest.raises(InvalidationNotSent):
            store.mark(["one", "two"], "writer", 5)

    def test_evicted_markers_do_not_fail_the_mark(self) -> None:
        """More markers than the backend holds are evicted, not refused."""
        store = DjangoStore(LocMemCache("small", {"OPTIONS": {"MAX_ENTRIES": 10}}))

        store.mark([f"tag:{number}" for number in range(50)], "writer", 5)

    @pytest.mark.parametrize(("asked", "set_to"), [(0.2, 1), (1, 1), (1.2, 2), (None, None)])
    def test_whole_seconds(
        self, cache: LocMemCache, monkeypatch: pytest.MonkeyPatch, asked: float | None, set_to: int | None
    ) -> None:
        """Lifetimes are whole seconds, rounded up, as Memcached wants them."""
        timeouts: list[object] = []
        monkeypatch.setattr(cache, "set", lambda key, value, timeout: timeouts.append(timeout))

        DjangoStore(cache).fill("key", b"entry", b"lease", asked)

        assert timeouts == [set_to]
