"""Where a part of the benchmark runs: which database, over which links, and with which rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import redis

from benchmarks.contenders import CONTENDERS, Contender, Servers
from benchmarks.delays import delayed, round_trip
from tests.servers import PostgreSQLServer, RedisServer, postgresql_server, redis_server, scratch_directory

__all__ = ["DATABASES", "Grounds", "Site", "grounds"]

DATABASES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


@dataclass
class Site:
    """One database and one kind of link; contenders are called here."""

    grounds: Grounds
    servers: Servers
    delay_ms: float
    """One way."""

    measured_ms: float
    """Of a PING of Redis, there and back."""

    @property
    def name(self) -> str:
        """In tables and in the file."""
        links = f"links of {self.delay_ms:g} ms" if self.delay_ms else "loopback"
        return f"{DATABASES[self.servers.database]}, {links}"

    @contextmanager
    def contenders(self, names: tuple[str, ...] = CONTENDERS) -> Iterator[dict[str, Contender]]:
        """A process of each, with an empty cache and a database of its own that holds the rows of the shop."""
        self.grounds.store.flushall()
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.contender(name)) for name in names}

    @contextmanager
    def contender(self, name: str) -> Iterator[Contender]:
        """One of them."""
        contender = Contender(name, replace(self.servers, name=self.grounds.shop(self.servers.database, name)))
        try:
            yield contender
        finally:
            contender.close()


@dataclass
class Grounds:
    """The servers of a run, and the rows that each contender gets a copy of."""

    postgresql: PostgreSQLServer
    redis: RedisServer
    store: redis.Redis
    directory: Path = field(default_factory=lambda: scratch_directory("benchmarks"))
    _made: set[str] = field(default_factory=set)

    @contextmanager
    def site(self, database: str, delay_ms: float) -> Iterator[Site]:
        """A place to measure in."""
        with ExitStack() as stack:
            ports = [self.postgresql.port, self.redis.port]
            if delay_ms:
                ports = stack.enter_context(delayed(delay_ms / 1000, *ports))
            servers = Servers(ports[0], f"redis://127.0.0.1:{ports[1]}", "", database)
            yield Site(self, servers, delay_ms, 1000 * round_trip(ports[1]))

    def stories(self) -> Servers:
        """One PostgreSQL database that all contenders use, with empty tables."""
        return self._prepared("postgresql", "stories", "tables")

    def empty(self, name: str) -> str:
        """The name of a new PostgreSQL database without any table."""
        return self._create("postgresql", name)

    def shop(self, database: str, owner: str) -> str:
        """The name of a new database with the rows of the shop."""
        template = self._prepared(database, "shop", "tables", "many")
        return self._create(database, f"shop_{owner}", copied_from=template.name)

    def _prepared(self, database: str, name: str, *requests: str) -> Servers:
        direct = Servers(self.postgresql.port, self.redis.url, self._place(database, name), database)
        if direct.name not in self._made:
            self._made.add(direct.name)
            self._create(database, name)
            plain = Contender("plain", direct)
            try:
                for request in requests:
                    plain.ask(request)
            finally:
                plain.close()
        return direct

    def _place(self, database: str, name: str) -> str:
        return name if database == "postgresql" else str(self.directory / f"{name}.sqlite3")

    def _create(self, database: str, name: str, *, copied_from: str = "") -> str:
        place = self._place(database, name)
        if database == "sqlite":
            for left in self.directory.glob(f"{name}.sqlite3*"):
                left.unlink()
            if copied_from:  # not by copying the file: what was written last may be in the one beside it
                with closing(sqlite3.connect(copied_from)) as source, closing(sqlite3.connect(place)) as target:
                    source.backup(target)
            return place
        where = f"host=127.0.0.1 port={self.postgresql.port} user=everfresh dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {copied_from or 'template1'}")
        return place


@contextmanager
def grounds() -> Iterator[Grounds]:
    """Servers of our own, for as long as the block lasts."""
    with postgresql_server() as postgresql, redis_server() as store:
        client = redis.Redis.from_url(store.url)
        try:
            yield Grounds(postgresql, store, client)
        finally:
            client.close()
