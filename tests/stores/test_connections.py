"""What is sent to Redis without waiting for the answer: done in order, heard by who asks next, sent again if lost."""

from __future__ import annotations

import logging
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import redis as client
from django.db import connection

from everfresh import journal
from everfresh.conf import settings
from everfresh.stores import GuardedStore
from everfresh.stores.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everfresh.stores.connections import Command
    from tests import servers

NAME = "posted"


@pytest.fixture
def store(server: servers.RedisServer) -> Iterator[RedisStore]:
    """A store on it."""
    store = RedisStore.from_url(server.url, f"{secrets.token_hex(4)}:")
    yield store
    store.close()


def _put(value: bytes) -> list[Command]:
    return [("SET", NAME, value)]


def _post(store: RedisStore, value: bytes, *, insists: bool = False) -> None:
    store.connections.post(lambda _: _put(value), insists=insists)


def _found(store: RedisStore) -> bytes | None:
    [value] = store.connections.ask(lambda _: [("GET", NAME)])
    return value


def test_order(store: RedisStore) -> None:
    """What is asked next comes after what was posted, with its own answer, also when nothing but posts came before."""
    for value in (b"1", b"2", b"3"):
        _post(store, value)

    assert _found(store) == b"3"
    assert len(store.connections._idle) == 1


def test_the_server_restarts_after_its_answer(server: servers.RedisServer, store: RedisStore) -> None:
    """An answer that has come says nothing of the connection on which it came."""
    _post(store, b"value", insists=True)
    with client.Redis.from_url(server.url) as direct:
        assert direct.get(NAME) == b"value"
    server.kill()
    server.start()

    assert _found(store) is None


def test_the_server_restarts(server: servers.RedisServer, store: RedisStore) -> None:
    """What may not have arrived is sent again where it has to be, before anything else is asked."""
    assert _found(store) is None
    for insists, value in ((False, None), (True, b"at last")):
        server.pause()
        _post(store, b"at last", insists=insists)
        server.kill()
        server.start()

        assert _found(store) == value


def test_another_primary(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was posted to whom the pool knows no more has to be sent again."""
    with monkeypatch.context() as patch:
        patch.setattr(store.connections.pool, "owns_connection", lambda _: False)
        store.connections.post(lambda _: [("INCR", NAME)], insists=True)
        store.connections.post(lambda _: [("INCR", NAME)])

    assert _found(store) == b"3"


def test_no_server(server: servers.RedisServer, store: RedisStore) -> None:
    """As long as it cannot be sent again, nothing else is asked either."""
    _found(store)
    server.pause()
    _post(store, b"at last", insists=True)
    server.kill()
    for _ in range(2):
        with pytest.raises(client.ConnectionError):
            _found(store)
    server.start()

    assert _found(store) == b"at last"
    assert not store.connections._unheard


def test_what_the_pool_would_see_to(server: servers.RedisServer, store: RedisStore) -> None:
    """A connection that is to be made anew, or to log in with a new token, is and does before its next use."""
    found = store.connections.ask(lambda _: [("CLIENT", "ID")])
    [[connection, _]] = store.connections._idle
    if hasattr(connection, "mark_for_reconnect"):
        connection.mark_for_reconnect()
        assert found != store.connections.ask(lambda _: [("CLIENT", "ID")])
    with client.Redis.from_url(server.url) as direct:
        direct.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    connection.set_re_auth_token(SimpleNamespace(try_get=lambda _: "app", get_value=lambda: "secret"))

    assert [b"app"] == store.connections.ask(lambda _: [("ACL", "WHOAMI")])


def test_a_silent_server(server: servers.RedisServer, store: RedisStore) -> None:
    """It costs who asks next one time-out, not two; and what it does in the end, it does."""
    _found(store)
    server.pause()
    _post(store, b"at last", insists=True)
    begun = monotonic()
    with pytest.raises(client.TimeoutError):
        _found(store)
    assert monotonic() - begun < 0.9
    server.resume()

    assert _found(store) == b"at last"


def test_unknown_scripts(server: servers.RedisServer, store: RedisStore, caplog: pytest.LogCaptureFixture) -> None:
    """A server that forgot its scripts is taught them: an end of a mark is sent again, an entry comes with the next."""
    store.mark(["tag"], "writer", 30)
    with client.Redis.from_url(server.url) as direct:
        direct.script_flush()
    store.done(["tag"], "writer", wait=False)
    assert None not in store.begin_fill("key", ["tag"], 0).versions

    with client.Redis.from_url(server.url) as direct:
        direct.script_flush()
    store.fill("key", b"entry", b"", None)
    assert store.read("key", []).entry is None
    store.fill("key", b"entry", b"", None)
    assert store.read("key", []).entry == b"entry"
    assert not caplog.records


def test_refused(server: servers.RedisServer, store: RedisStore, caplog: pytest.LogCaptureFixture) -> None:
    """A command that the server refuses is told of in the log, and whoever asks next is not concerned."""
    store.connections.post(lambda _: [("SET", NAME), ("SET", NAME, b"value")])
    with caplog.at_level(logging.WARNING, "everfresh"):
        assert _found(store) == b"value"

    assert "did not do what it was sent" in caplog.text


def test_refused_within_a_transaction(store: RedisStore) -> None:
    """An error of one command between MULTI and EXEC is an error."""
    with pytest.raises(client.ResponseError, match="WRONGTYPE"):
        store.connections.ask(lambda _: [("MULTI",), *_put(b"value"), ("LPUSH", NAME, b"more"), ("EXEC",)])


def test_a_replica(server: servers.RedisServer, store: RedisStore) -> None:
    """A primary that became a replica takes no end of a mark: it is sent to whoever is the primary then."""
    _found(store)
    with client.Redis.from_url(server.url) as direct:
        direct.replicaof("127.0.0.1", 1)
        _post(store, b"at last", insists=True)
        with pytest.raises(client.exceptions.ReadOnlyError):
            _found(store)
        direct.execute_command("REPLICAOF", "NO", "ONE")

    assert _found(store) == b"at last"


def test_a_pool_that_makes_wait(server: servers.RedisServer) -> None:
    """Threads that share fewer connections than they are wait for each other, and nothing is left to be heard."""
    options = {"max_connections": 2, "timeout": 10}
    store = RedisStore.from_url(server.url, "few:", pool_class=client.BlockingConnectionPool, **options)

    def work(number: int) -> list[bytes | None]:
        found = []
        for turn in range(20):
            store.fill(f"key {number}", b"%d" % turn, b"", None)
            found.append(store.read(f"key {number}", ()).entry)
        return found

    with ThreadPoolExecutor(6) as threads:
        assert [[b"%d" % turn for turn in range(20)]] * 6 == list(threads.map(work, range(6)))
    assert store.connections._idle == []
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork(store: RedisStore) -> None:
    """The answer to what a parent posted is the parent's."""
    guard = GuardedStore(store)
    _post(store, b"the parent's")
    child = os.fork()
    if not child:
        os._exit(0 if _found(store) == b"the parent's" else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert _found(store) == b"the parent's"
    assert not guard.unsent


def test_a_mark_that_failed(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags without a mark are trusted again when the end of it was heard, and not when it was sent."""
    guard = GuardedStore(store)
    waited: list[bool] = []
    done = store.done

    def noted(*args: Any, wait: bool = True) -> None:
        waited.append(wait)
        done(*args, wait=wait)

    monkeypatch.setattr(store, "done", noted)
    guard.done(["tag"], "one", wait=False)
    guard.keep(["tag"], "two")
    guard.done(["tag"], "two", wait=False)

    assert waited == [False, True]
    assert not guard.unsent


@pytest.mark.django_db
@pytest.mark.parametrize("late", [False, True])
def test_a_mark_that_may_be_over(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After half of a mark's time the end of it is waited for: were it lost, nothing would stand in its place."""
    clock = 1000.0
    waited: list[bool] = []
    done = GuardedStore.done

    def noted(*args: Any, wait: bool = True) -> None:
        waited.append(wait)
        done(*args, wait=wait)

    monkeypatch.setattr(journal, "monotonic", lambda: clock)
    monkeypatch.setattr(GuardedStore, "done", noted)
    with journal.journal_of(connection).publishing({"tag": ""}):
        clock += settings().limits.mark_seconds / 2 + late

    assert waited == [late]
