"""What goes wrong during a run, again and again as long as it lasts, and the evidence that it did."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from provers.processes.crew import Crew
from provers.processes.network import SlowNetwork
from tests.servers import Server

__all__ = ["DISASTERS", "Disaster"]


class Disaster:
    """One kind of trouble for *crew* and *store*; *network* lies between the two, where there is one."""

    every = 0.3
    """Seconds."""

    expected: tuple[str, ...] = ()
    """What there must be evidence of."""

    def __init__(self, crew: Crew, store: Server, network: SlowNetwork | None) -> None:
        self.crew = crew
        self.store = store
        self.network = network
        self.evidence: Counter[str] = Counter()
        self.next = time.monotonic() + self.every

    @property
    def redis(self) -> redis.Redis:
        """A client of the server itself."""
        return redis.Redis.from_url(self.store.url)

    def strike_when_due(self) -> None:
        """Strike, if it is time."""
        if time.monotonic() >= self.next:
            self.strike()
            self.next = time.monotonic() + self.every

    def strike(self) -> None:
        """Do it once."""

    def end(self) -> dict[str, int]:
        """Leave the store as it was, and say what was done."""
        return {what: self.evidence[what] for what in self.expected}


class KillWriter(Disaster):
    """``kill -9`` of a writer, wherever it is; another one takes its place."""

    every = 0.5
    expected = ("killed",)

    def strike(self) -> None:
        """See the class."""
        self.crew.kill_one("writer")
        self.evidence["killed"] += 1


class FlushAll(Disaster):
    """``FLUSHALL``: every entry, version and mark is gone."""

    every = 0.4
    expected = ("keys flushed",)

    def strike(self) -> None:
        """See the class."""
        with self.redis as client:
            self.evidence["keys flushed"] += _size(client)
            client.flushall()


class KillClients(Disaster):
    """``CLIENT KILL`` of all connections, in the middle of whatever they say."""

    every = 0.2
    expected = ("connections killed",)

    def strike(self) -> None:
        """See the class."""
        with self.redis as client:
            self.evidence["connections killed"] += int(client.client_kill_filter(_type="normal", skipme=True))


class KillListeners(Disaster):
    """``CLIENT KILL`` of the connections on which near readers are told of changes."""

    every = 1.6  # a new one is opened a second later
    expected = ("listeners killed",)

    def strike(self) -> None:
        """See the class."""
        with self.redis as client:
            self.evidence["listeners killed"] += int(client.client_kill_filter(_type="pubsub"))


class Restart(Disaster):
    """Redis is killed, and comes back with nothing, with what it saved just now, or with what it saved long ago."""

    every = 1.6
    expected = ("restarts with nothing", "restarts with a new dump", "restarts with an old dump", "keys come back")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ways = 0

    def strike(self) -> None:
        """See the class."""
        dump = self.store.directory / "dump.rdb"
        way = ("a new dump", "an old dump", "nothing")[self._ways % 3]
        self._ways += 1
        if way == "a new dump":
            with self.redis as client:
                client.save()
        elif way == "nothing":
            dump.unlink(missing_ok=True)
        self.store.kill()
        self.store.restart()
        self.evidence[f"restarts with {way}"] += 1
        with self.redis as client:
            if way == "an old dump":
                self.evidence["keys come back"] += _size(client)

    def end(self) -> dict[str, int]:
        """See `Disaster`."""
        (self.store.directory / "dump.rdb").unlink(missing_ok=True)
        return super().end()


class Evict(Disaster):
    """``maxmemory`` below what is used: the server throws out keys of every kind, marks and versions among them."""

    every = 0.4
    expected = ("evicted_keys",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        with self.redis as client:
            self._before = int(_info(client, "stats")["evicted_keys"])

    def strike(self) -> None:
        """See the class."""
        with self.redis as client:
            client.config_set("maxmemory-policy", random.choice(["allkeys-random", "allkeys-lru"]))
            # Some 300 bytes a key: about a tenth of them has to go.
            client.config_set("maxmemory", int(_info(client, "memory")["used_memory"]) - 30 * _size(client))
            # Full for a while: everything new costs something old. For ever, and there would be no hits to be wrong.
            time.sleep(0.1)
            client.config_set("maxmemory", 0)

    def end(self) -> dict[str, int]:
        """See `Disaster`."""
        with self.redis as client:
            self.evidence["evicted_keys"] = int(_info(client, "stats")["evicted_keys"]) - self._before
        return super().end()


class Freeze(Disaster):
    """Redis does not answer, for longer than anybody waits."""

    every = 2.0
    expected = ("times frozen",)

    def strike(self) -> None:
        """See the class."""
        self.store.pause()
        time.sleep(0.7)
        self.store.resume()
        self.evidence["times frozen"] += 1


class Network(Disaster):
    """Delays, stalls and cuts between the clients and Redis; what was stalled still arrives, late."""

    expected = ("delayed", "stalled", "cut")

    def end(self) -> dict[str, int]:
        """See `Disaster`."""
        if self.network is not None:
            self.evidence.update(self.network.evidence)
        return super().end()


DISASTERS: dict[str, Callable[[Crew, Server, SlowNetwork | None], Disaster]] = {
    "kill -9": KillWriter,
    "FLUSHALL": FlushAll,
    "CLIENT KILL": KillClients,
    "pushes cut": KillListeners,
    "restart": Restart,
    "evict": Evict,
    "freeze": Freeze,
    "slow network": Network,
}


def _size(client: redis.Redis) -> int:
    size: Any = client.dbsize()
    return int(size)


def _info(client: redis.Redis, section: str) -> dict[str, Any]:
    info: Any = client.info(section)
    return dict(info)
