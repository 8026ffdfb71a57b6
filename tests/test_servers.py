"""The servers that tests, provers and benchmarks lean on, and the ways to make them fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

EACH_KIND = pytest.mark.parametrize(
    "start",
    [servers.redis_server, servers.memcached_server, servers.postgresql_server, servers.mariadb_server],
    ids=lambda start: start.__name__,
)


@EACH_KIND
def test_closed_server_leaves_nothing(start: Callable[[], servers.Server]) -> None:
    """After the with block neither the process nor its data are there."""
    with start() as server:
        assert server.running
        assert server.ping()

    assert not server.running
    assert not server.directory.exists()


@EACH_KIND
def test_killed_server_restarts_on_its_port(start: Callable[[], servers.Server]) -> None:
    """A server that was killed answers again, under the same address, after `restart`."""
    with start() as server:
        port = server.port
        server.kill()
        assert not server.ping()

        server.restart()
        assert server.ping()
        assert port == server.port


def test_paused_server_is_silent() -> None:
    """A paused server runs and does not answer, until it is resumed."""
    with servers.redis_server() as server:
        server.pause()
        assert server.running
        assert not server.ping()

        server.resume()
        assert server.ping()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_servers_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    """A signal that ends the starting process ends its servers and removes their data first."""
    program = """
import signal, sys
from tests import servers
server = servers.redis_server()
print(server.process.pid, server.directory, flush=True)
signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starter:
        assert starter.stdout is not None
        pid, directory = starter.stdout.readline().decode().split()
        starter.send_signal(number)
        starter.wait(20)

    assert not os.path.exists(directory)  # noqa: PTH110 - a name, as printed
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
