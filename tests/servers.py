"""Real servers for tests, provers, benchmarks and the example: started on demand, gone at exit.

Every server listens on a free loopback port, keeps its data in a scratch directory and does no more for durability
than a test needs. Nothing here knows pytest or Django::

    with redis_server() as server:  # or: server = redis_server() ... server.close()
        print(server.url)
        server.pause()  # alive, and silent: what a time-out looks like
        server.resume()
        server.kill()  # as the kernel does when memory is short
        server.restart()  # on the same port

A server ends with its ``with`` block, by `Server.close`, or with the process that started it, however that one ends:
normally, by Ctrl-C, SIGTERM or SIGHUP, and on Linux by SIGKILL too.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

__all__ = [
    "MariaDBServer",
    "MemcachedServer",
    "PostgreSQLServer",
    "RedisServer",
    "Server",
    "ServerFailed",
    "ServerMissing",
    "mariadb_server",
    "memcached_server",
    "postgresql_server",
    "redis_server",
    "scratch_directory",
]

HOST = "127.0.0.1"
READY_WITHIN = 60.0  # seconds; a loaded machine may need some for the databases
STOP_WITHIN = 15.0  # seconds of politeness before SIGKILL
PORT_ATTEMPTS = 5  # somebody else may take a free port between our look and the server's bind


class ServerMissing(RuntimeError):
    """The server's programs are not installed on this machine."""


class ServerFailed(RuntimeError):
    """The server did not come up; the message ends with what it printed."""


@dataclass(kw_only=True, eq=False)
class Server:
    """One server process and the means to make it misbehave."""

    kind: ClassVar[str]
    scheme: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    account_name: ClassVar[str | None] = None
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    arguments: tuple[str, ...] = ()
    host: str = HOST
    port: int = 0
    directory: Path = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    paused: bool = field(init=False, default=False)

    @property
    def url(self) -> str:
        """Where clients find it, such as ``redis://127.0.0.1:40001``."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        """Has the process not ended yet? A paused one is running."""
        return self.process.poll() is None

    @property
    def account(self) -> str | None:
        """The account the server runs under; None is our own. Databases refuse to run as root."""
        if self.account_name is None or os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(self.account_name).pw_name
        except KeyError:
            return "nobody"

    @classmethod
    def missing_programs(cls) -> list[str]:
        """The programs this kind of server needs and this machine lacks."""
        return [program for program in cls.programs if _find(program) is None]

    # What the kinds differ in.

    def prepare(self) -> None:
        """Create what must be on disk before the first start."""

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def ping(self) -> bool:
        """Does it answer?"""
        raise NotImplementedError

    # The life of a server.

    def launch(self) -> Self:
        """Start for the first time: scratch directory, free port, process. Returns itself."""
        missing = self.missing_programs()
        if missing:
            raise ServerMissing(f"{self.kind} needs {', '.join(missing)}, which this machine does not have.")
        self.directory = scratch_directory(self.kind)
        if self.account is not None:
            shutil.chown(self.directory, self.account)
        self.prepare()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port = _free_port()
            try:
                self.start()
            except ServerFailed:
                if attempt == PORT_ATTEMPTS:
                    self.close()
                    raise
            else:
                break
        return self

    def start(self) -> None:
        """Start the process and return when it answers."""
        log = self.directory / "server.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*_leash(self.stop_signal), *self.command(), *self.arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.account,
                group=None if self.account is None else pwd.getpwnam(self.account).pw_gid,
                extra_groups=None if self.account is None else [],
                start_new_session=True,  # Ctrl-C in the terminal is for us; the servers outlive our cleaning up
            )
        self.paused = False
        _watch(self)
        deadline = time.monotonic() + READY_WITHIN
        # `running` is asked last: another server may have been faster to take the port, and would answer for ours.
        while not (self.ping() and self.running):
            if not self.running or time.monotonic() > deadline:
                self.kill()
                printed = log.read_text(errors="replace")[-2000:]
                raise ServerFailed(f"{self.kind} did not start on port {self.port}. It printed:\n{printed}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process as an operator would, and wait for it; a paused one is resumed first."""
        if not self.running:
            return
        self.resume()
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and its children at once (SIGKILL), and wait for it."""
        self._signal_family(signal.SIGKILL)
        self.process.wait()
        self.paused = False

    def pause(self) -> None:
        """Freeze the process and its children (SIGSTOP): connections stay open and nobody answers."""
        self._signal_family(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Undo `pause`; does nothing to a server that is not paused."""
        if self.paused:
            self._signal_family(signal.SIGCONT)
            self.paused = False

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port. Redis and Memcached come back empty."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove its data; once is enough, and more is harmless."""
        if "process" in self.__dict__:
            self.stop()
        _watched.pop(self, None)
        _scratch.pop(self.directory, None)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signal_family(self, number: signal.Signals) -> None:
        if self.running:
            for pid in _family(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=self.account,
            group=None if self.account is None else pwd.getpwnam(self.account).pw_gid,
            extra_groups=None if self.account is None else [],
            env={**os.environ, "HOME": str(self.directory)},
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{command[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")

    def _asks(self, question: bytes, answer: bytes) -> bool:
        """Send a line, if any, and compare the beginning of what comes back."""
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as connection:
                if question:
                    connection.sendall(question)
                return connection.recv(64).startswith(answer)
        except OSError:
            return False


class RedisServer(Server):
    """A Redis server that keeps nothing on disk."""

    kind = "redis"
    scheme = "redis"
    programs = ("redis-server",)

    def command(self) -> list[str]:
        """See `Server.command`."""
        program = _path("redis-server")
        return [program, "--port", f"{self.port}", "--bind", self.host, "--save", "", "--appendonly", "no"]

    def ping(self) -> bool:
        """See `Server.ping`."""
        return self._asks(b"PING\r\n", b"+PONG")


class MemcachedServer(Server):
    """A Memcached server of 256 MB."""

    kind = "memcached"
    scheme = "memcached"
    programs = ("memcached",)
    account_name = "memcache"

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [_path("memcached"), "-l", self.host, "-p", f"{self.port}", "-U", "0", "-m", "256"]

    def ping(self) -> bool:
        """See `Server.ping`."""
        return self._asks(b"version\r\n", b"VERSION")


class PostgreSQLServer(Server):
    """A PostgreSQL cluster whose superuser ``everfresh`` needs no password."""

    kind = "postgresql"
    scheme = "postgresql"
    programs = ("initdb", "postgres", "pg_isready")
    account_name = "postgres"
    stop_signal = signal.SIGINT  # "fast": it does not wait for its clients to leave

    def prepare(self) -> None:
        """See `Server.prepare`."""
        options = ("--username=everfresh", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run(_path("initdb"), "-D", str(self.directory / "data"), *options)

    def command(self) -> list[str]:
        """See `Server.command`."""
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [_path("postgres"), "-D", str(self.directory / "data"), *options]

    def ping(self) -> bool:
        """See `Server.ping`."""
        question = [_path("pg_isready"), "-q", "-h", self.host, "-p", f"{self.port}", "-d", "postgres"]
        return subprocess.run(question, check=False).returncode == 0


class MariaDBServer(Server):
    """A MariaDB server whose ``root`` needs no password."""

    kind = "mariadb"
    scheme = "mysql"
    programs = ("mariadbd", "mariadb-install-db")
    account_name = "mysql"

    def prepare(self) -> None:
        """See `Server.prepare`."""
        options = ("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db")
        # Not /tmp, where the files of two installations at once have the same names.
        places = (f"--datadir={self.directory / 'data'}", f"--tmpdir={self.directory}")
        self._run(_path("mariadb-install-db"), *options, *places)

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [
            _path("mariadbd"),
            "--no-defaults",
            f"--datadir={self.directory / 'data'}",
            f"--tmpdir={self.directory}",
            f"--bind-address={self.host}",
            f"--port={self.port}",
            "--socket=mariadb.sock",  # within the data directory: a longer name might not fit
            "--skip-name-resolve",
            "--max-connect-errors=1000000",  # our pings hang up early, which must not get this host banned
            "--max-connections=200",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
            "--innodb-doublewrite=0",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
        ]

    def ping(self) -> bool:
        """See `Server.ping`."""
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as connection:
                greeting = connection.recv(64)
        except OSError:
            return False
        return greeting[4:5] == b"\x0a"  # version of the protocol, after the packet's length and number


def redis_server(*arguments: str) -> RedisServer:
    """A started Redis; `arguments` are added to its command line."""
    return RedisServer(arguments=arguments).launch()


def memcached_server(*arguments: str) -> MemcachedServer:
    """A started Memcached; `arguments` are added to its command line."""
    return MemcachedServer(arguments=arguments).launch()


def postgresql_server(*arguments: str) -> PostgreSQLServer:
    """A started PostgreSQL; `arguments` are added to its command line."""
    return PostgreSQLServer(arguments=arguments).launch()


def mariadb_server(*arguments: str) -> MariaDBServer:
    """A started MariaDB; `arguments` are added to its command line."""
    return MariaDBServer(arguments=arguments).launch()


def scratch_directory(name: str) -> Path:
    """A new directory that is removed when this process ends."""
    directory = Path(tempfile.mkdtemp(prefix=f"everfresh-{name}-"))
    _scratch[directory] = os.getpid()
    _clean_up_at_exit()
    return directory


# Nothing stays behind.

_watched: dict[Server, int] = {}  # server -> the process that started it; a forked child must leave it alone
_scratch: dict[Path, int] = {}  # directory -> the process that made it


def _watch(server: Server) -> None:
    _watched[server] = os.getpid()
    _clean_up_at_exit()


@functools.cache
def _clean_up_at_exit() -> None:
    atexit.register(_clean_up)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _clean_up_and_die)


def _clean_up() -> None:
    for server, owner in list(_watched.items()):
        if owner == os.getpid():
            server.close()
    for directory, owner in list(_scratch.items()):
        if owner == os.getpid():
            shutil.rmtree(directory, ignore_errors=True)


def _clean_up_and_die(number: int, _frame: FrameType | None) -> None:
    """Die of the signal as if it had not been handled, only tidier."""
    signal.signal(number, signal.SIG_DFL)
    _clean_up()
    os.kill(os.getpid(), number)


def _leash(number: signal.Signals) -> list[str]:
    """A command prefix that sends the signal to the server when we die, even by SIGKILL.

    The kernel means the *thread* that started the server, so servers that other threads start go without.
    """
    setpriv = _find("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG")]


# Small questions to the machine.


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _family(pid: int) -> list[int]:
    """The process and its descendants; where there is no /proc, the process alone."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in the second field may hold spaces and brackets; the parent is the second field after it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


@functools.cache
def _find(program: str) -> str | None:
    """Where a program is, also in the places of servers that are not on everybody's PATH."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    places += ["/usr/local/sbin", "/usr/sbin", "/sbin"]
    places += map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    return shutil.which(program, path=os.pathsep.join(places))


def _path(program: str) -> str:
    found = _find(program)
    if found is None:
        raise ServerMissing(f"{program} is not installed on this machine.")
    return found
