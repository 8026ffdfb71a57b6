"""A store that fails: the answer comes from the database, the request goes on, and no invalidation is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from everfresh.events import Outcome
from everfresh.exceptions import InvalidationNotSent
from everfresh.journal import journal_of
from everfresh.stores import GuardedStore, close_stores, current_store
from everfresh.stores import guard as guarding
from tests import servers
from tests.conftest import Configure, Elsewhere
from tests.library.models import Author, Book
from tests.protocol.schedule import observed, truth

pytestmark = pytest.mark.django_db(transaction=True)

OPERATIONS = ("read", "begin_fill", "fill", "release", "mark", "done")


def _titles() -> list[str]:
    return list(Book.objects.filter(author_id=1).cache().values_list("title", flat=True))


def _rename(title: str = "new") -> None:
    Book.objects.filter(id=1).update(title=title)


@pytest.fixture(autouse=True)
def book(transactional_db: None) -> Book:
    """A book called "old"."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")


class Outage:
    """Makes operations of the combination's store fail, and moves the guard's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.guard: GuardedStore = current_store()
        self.broken: dict[str, type[Exception]] = {}
        self.asked: list[str] = []
        self._now = 1000.0
        # No background thread and no clock: the test says when something is sent again.
        monkeypatch.setattr(guarding, "monotonic", lambda: self._now)
        monkeypatch.setattr(guarding, "FIRST_DELAY_SECONDS", 3600.0)
        for name in OPERATIONS:
            monkeypatch.setattr(self.guard.store, name, self._breakable(name), raising=False)

    def _breakable(self, name: str) -> Callable[..., Any]:
        original = getattr(self.guard.store, name)

        def method(*args: Any) -> Any:
            self.asked.append(name)
            if name in self.broken:
                raise self.broken[name]("nobody there")
            return original(*args)

        return method

    def begins(self, *operations: str, error: type[Exception] = OSError) -> None:
        """From now on these fail; without names, all."""
        self.broken = dict.fromkeys(operations or OPERATIONS, error)

    def ends(self) -> None:
        """The store is back, and the pause of the guard over."""
        self.broken = {}
        self._now += 60


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """The store can fail."""
    close_stores()
    outage = Outage(monkeypatch)
    yield outage
    outage.ends()
    close_stores()


@pytest.mark.parametrize("error", [OSError, TimeoutError, ValueError])
@pytest.mark.parametrize("operation", ["read", "begin_fill", "fill", "release"])
def test_read_goes_on(outage: Outage, operation: str, error: type[Exception]) -> None:
    """Whichever operation of a read fails, and however, the answer is the database's."""
    outage.begins(operation, error=error)
    for _ in range(2):
        assert ["old"] == _titles()
        assert 1 == Book.objects.cache(timeout=0).count()
    outage.ends()
    _rename()

    assert ["new"] == _titles() == _titles()


@pytest.mark.parametrize("primed", [True, False])
@pytest.mark.parametrize("operations", [["mark"], ["done"], ["mark", "done"], []])
def test_write_goes_on(outage: Outage, operations: list[str], primed: bool) -> None:
    """Under "retry" a write is committed; until the store has heard of it, this process trusts nothing it touched."""
    if primed:
        assert ["old"] == _titles()
    outage.begins(*operations)
    _rename()
    assert ["new"] == _titles() == _titles()
    _rename("newer")
    assert ["newer"] == _titles()
    outage.ends()

    assert ["newer"] == _titles() == _titles()
    assert frozenset() == outage.guard.unsent
    with observed() as outcomes:
        assert ["newer"] == _titles()
    assert [Outcome.HIT] == outcomes


def test_unsent_invalidation_is_sent_before_the_store_is_trusted(outage: Outage) -> None:
    """The first read after an outage pays the debt; only what was written is doubted in the meantime."""
    assert ["old"] == _titles()
    outage.begins()
    _rename()
    assert outage.guard.unsent
    outage.ends()
    outage.asked.clear()

    assert ["new"] == _titles()
    assert "done" == outage.asked[0]


def test_store_that_fails_only_for_invalidations(outage: Outage) -> None:
    """One that still serves, as a full one does: its old entry under a tag in debt is not served by this process."""
    assert ["old"] == _titles()
    outage.begins("mark", "done")
    with transaction.atomic():
        _rename()
        assert ["new"] == _titles()
    for _ in range(3):
        assert ["new"] == _titles()
    assert outage.guard.unsent


def test_store_that_is_back_between_commit_and_done(
    outage: Outage, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    """What was not marked is not trusted by this process, though the store serves it again, until it is done."""
    assert ["old"] == _titles()
    done, between = outage.guard.done, []

    def done_later(*args: Any, **options: Any) -> None:
        outage.ends()
        between.append(elsewhere(_titles))
        done(*args, **options)

    monkeypatch.setattr(outage.guard, "done", done_later)
    outage.begins("mark")
    _rename()

    assert [["new"]] == between
    assert ["new"] == _titles()


def test_rollback_during_an_outage(outage: Outage) -> None:
    """A transaction that is rolled back owes nothing."""
    outage.begins()
    with pytest.raises(LookupError), transaction.atomic():
        _rename()
        raise LookupError

    assert frozenset() == outage.guard.unsent
    assert ["old"] == _titles()


def _by_raw_sql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE library_book SET title = 'new'")


def _in_a_block() -> None:
    with transaction.atomic():
        _rename()
        Author.objects.create(id=2, name="B")


@pytest.mark.parametrize("write", [_rename, _by_raw_sql, _in_a_block])
def test_raise_aborts_the_write(outage: Outage, configure: Configure, write: Callable[[], None]) -> None:
    """Under "raise" a write that cannot be announced is not committed; the connection works on."""
    configure(ON_MARK_FAILURE="raise")
    assert ["old"] == _titles()
    hooks: list[str] = []
    outage.begins("mark")
    with pytest.raises(InvalidationNotSent):
        write()
    with pytest.raises(InvalidationNotSent), transaction.atomic():
        transaction.on_commit(lambda: hooks.append("never"))
        write()

    assert connection.get_autocommit()
    assert not connection.in_atomic_block
    assert journal_of(connection).is_empty
    assert ["old"] == truth(_titles) == _titles()
    assert 1 == Author.objects.count()
    assert [] == hooks
    outage.ends()
    write()
    assert ["new"] == _titles() == truth(_titles)


def test_raise_leaves_nothing_pending(outage: Outage, configure: Configure) -> None:
    """What of the marks arrived before the store failed is taken back."""
    configure(ON_MARK_FAILURE="raise")
    original = outage.guard.store.mark

    def mark(tags: Sequence[str], writer: str, seconds: float) -> None:
        original(tags, writer, seconds)
        raise TimeoutError

    outage.guard.store.mark = mark  # type: ignore[method-assign]
    with pytest.raises(InvalidationNotSent):
        _rename()
    outage.guard.store.mark = original  # type: ignore[method-assign]
    outage.ends()
    _titles()

    with observed() as outcomes:
        assert ["old"] == _titles()
    assert [Outcome.HIT] == outcomes


# A real server


@pytest.fixture
def redis(configure: Configure, settings: Any) -> Iterator[servers.RedisServer]:
    """A Redis of the test's own, as the cache."""
    with servers.redis_server() as server:
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{server.url}/0"}
        }
        configure(LIMITS={"STORE_SECONDS": 0.05})
        assert ["old"] == _titles() == _titles()
        yield server
        server.resume()
        close_stores()


def _recover(expected: list[str]) -> None:
    """Read until the store serves again; every answer on the way is right."""
    with observed() as outcomes:
        while Outcome.HIT not in outcomes:
            assert expected == _titles()
    assert not current_store().unsent


def test_redis_is_killed_and_restarted(redis: servers.RedisServer) -> None:
    """Reads and writes go on without it, and with it again when it is back."""
    redis.kill()
    assert ["old"] == _titles()
    _rename()
    assert ["new"] == _titles()
    redis.restart()

    _recover(["new"])
    _rename("newer")
    _recover(["newer"])


def test_redis_is_restarted_between_read_and_write(redis: servers.RedisServer) -> None:
    """A restart that nobody noticed: connections are renewed, and no old entry comes back."""
    redis.restart()
    _rename()
    assert ["new"] == _titles()
    _recover(["new"])


def test_redis_is_paused(redis: servers.RedisServer) -> None:
    """Alive and silent: the time-out of one exchange, then nobody waits for it until it answers."""
    redis.pause()
    assert ["old"] == _titles()
    _rename()
    assert ["new"] == _titles()
    with transaction.atomic():
        _rename("newer")
        assert ["newer"] == _titles()
    assert ["newer"] == _titles()
    redis.resume()

    # What was sent before the pause and is answered only now does no harm either.
    _recover(["newer"])


def test_redis_is_paused_between_mark_and_done(redis: servers.RedisServer) -> None:
    """The COMMIT happens, done arrives when the server is back; until then its tags are pending, and no debt."""
    with transaction.atomic():
        _rename()
        store = current_store().store
        original = store.mark

        def mark(*args: Any) -> None:
            original(*args)
            redis.pause()

        store.mark = mark  # type: ignore[method-assign]
    store.mark = original  # type: ignore[method-assign]
    assert ["new"] == _titles()
    assert not current_store().unsent
    redis.resume()

    _recover(["new"])


def test_flushall_in_the_middle(redis: servers.RedisServer) -> None:
    """Everything lost at any step of a read or a write: misses, and nothing else."""
    store = current_store().store
    for name in ("begin_fill", "fill", "mark", "done"):
        original = getattr(store, name)

        def flushed(*args: Any, original: Any = original, **options: Any) -> Any:
            store.store.connections.ask(lambda _: [("FLUSHALL",)])
            return original(*args, **options)

        setattr(store, name, flushed)
        store.store.connections.ask(lambda _: [("FLUSHALL",)])
        assert truth(_titles) == _titles() == _titles()
        _rename(name)
        assert [name] == _titles() == _titles()
        delattr(store, name)
    _recover(["done"])


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"x" * 8, b"\xff" * 300, b"\xc1\x00\x01\x02\x03"])
def test_garbage_under_keys_is_a_miss(redis: servers.RedisServer, garbage: bytes) -> None:
    """Bytes that are nobody's entry, version or lease never raise and are never served."""
    store = current_store().store
    [keys] = store.store.connections.ask(lambda at: [("KEYS", f"{at}*")])
    assert keys
    store.store.connections.ask(lambda _: [("SET", key, garbage) for key in keys])

    assert ["old"] == _titles() == _titles()
    _rename()
    assert ["new"] == _titles() == _titles()
    _recover(["new"])


def test_keys_of_another_type_are_an_outage(redis: servers.RedisServer) -> None:
    """A list where an entry should be makes the server complain: the database answers."""
    store = current_store().store
    [keys] = store.store.connections.ask(lambda at: [("KEYS", f"{at}*")])
    store.store.connections.ask(lambda _: [command for key in keys for command in (("DEL", key), ("RPUSH", key, "x"))])

    assert ["old"] == _titles()
    _rename()
    assert ["new"] == _titles() == _titles()


@pytest.mark.parametrize("garbage", [b"", b"12345678", "text", 7, None, [1], b"\xff" * 300])
def test_garbage_under_djangos_keys_is_a_miss(outage: Outage, store_kind: str, garbage: object) -> None:
    """The same on Django's own backends."""
    if store_kind == "redis":
        pytest.skip("see the tests above")
    names: set[str] = set()
    original = outage.guard.store.read

    def read(key: str, tags: Sequence[str]) -> Any:
        names.update([f"ef:e:{key}", f"ef:l:{key}", *(f"ef:t:{tag}" for tag in tags)])
        return original(key, tags)

    outage.guard.store.read = read  # type: ignore[method-assign]
    assert ["old"] == _titles()
    outage.guard.store._cache.set_many(dict.fromkeys(names, garbage))

    assert ["old"] == _titles() == _titles()
    _rename()
    assert ["new"] == _titles() == _titles()
