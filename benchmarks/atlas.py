"""Pages of the atlas under gunicorn: requests in a second, and whether all contenders show the same."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.clients import fetch, name, requests_per_second
from benchmarks.contenders import CACHES, CONTENDERS, Servers
from benchmarks.sites import Grounds
from benchmarks.spread import Spread, in_turn

__all__ = ["PAGES", "Pages", "measure", "table"]

PAGES = {"world": "/", "continent": "/continents/SA/", "country": "/countries/NL/"}
WORKERS = 2
START_WITHIN = 60.0  # seconds


@dataclass
class Pages:
    """Requests per second, by page, contender and round."""

    rates: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: {page: {name: [] for name in CONTENDERS} for page in PAGES}
    )
    differences: list[str] = field(default_factory=list)
    """Who shows something else than plain Django, and where."""

    def ratios(self, page: str, contender: str, base: str = "plain") -> Spread:
        """Times another contender's requests per second, round by round."""
        return Spread.of([a / b for a, b in zip(self.rates[page][contender], self.rates[page][base], strict=True)])

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            page: {
                contender: {"per second": rates, "ratio": self.ratios(page, contender).as_json()}
                for contender, rates in self.rates[page].items()
            }
            for page in self.rates
        }


def measure(grounds: Grounds, console: Console, *, rounds: int, seconds: float) -> Pages:
    """Serve the same places by all contenders, and ask each for each page in turns."""
    servers = Servers(grounds.postgresql.port, grounds.redis.url, grounds.empty("atlas"))
    subprocess.run([sys.executable, "-m", "benchmarks.page.load"], env=_environment(servers, "plain"), check=True)
    grounds.store.flushall()
    pages = Pages()
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_served(servers, name, grounds.directory)) for name in CONTENDERS}
        _compare(pages, ports)
        steps = [(number, page) for number in range(rounds) for page in PAGES]
        for number, page in track(steps, "Pages", console=console, transient=True):
            for contender in in_turn(number):
                rate = requests_per_second(ports[contender], PAGES[page], seconds)
                pages.rates[page][contender].append(rate)
    return pages


def _compare(pages: Pages, ports: dict[str, int]) -> None:
    for page, path in PAGES.items():
        truth = fetch(ports["plain"], path).split()
        for contender in CACHES:
            for visit in range(2 * WORKERS + 1):  # the first ones are not from the cache
                if fetch(ports[contender], path).split() != truth:
                    pages.differences.append(f"{contender} shows another {page} than plain Django at visit {visit + 1}")
                    break


def _environment(servers: Servers, contender: str) -> dict[str, str]:
    return {**servers.environment(contender), "DJANGO_SETTINGS_MODULE": "benchmarks.page.settings"}


@contextmanager
def _served(servers: Servers, contender: str, directory: Path) -> Iterator[int]:
    """The port of gunicorn with this contender's pages."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = ["--workers", str(WORKERS), "--preload", "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    log = directory / f"gunicorn-{contender}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "gunicorn", *options, "benchmarks.page.wsgi"],
            env=_environment(servers, contender),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START_WITHIN
    while process.poll() is None and monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        sleep(0.05)
    raise RuntimeError(f"gunicorn did not start. It printed:\n{log.read_text(errors='replace')[-2000:]}")


def table(pages: Pages) -> Table:
    """Plain Django's requests in a second, and the others' as multiples."""
    result = Table(
        title=f"Pages of the atlas, PostgreSQL, gunicorn with {WORKERS} workers, {name()}: requests per second",
        caption="Times plain Django's (median of the rounds); above 1 is faster.",
    )
    result.add_column("page")
    result.add_column("plain, per second", justify="right")
    for contender in CACHES:
        result.add_column(contender, justify="right")
    for page, rates in pages.rates.items():
        cells = [f"[bold]{pages.ratios(page, contender).shown()}" for contender in CACHES]
        result.add_row(page, f"{median(rates['plain']):.1f}", *cells)
    return result
