"""Asking a site for a page as fast as it can give it: by wrk, or where that is missing by threads of our own."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from time import perf_counter

__all__ = ["fetch", "name", "requests_per_second"]

CONNECTIONS = 4


def name() -> str:
    """Who asks."""
    return "wrk" if shutil.which("wrk") else "Python threads (wrk is not installed)"


def fetch(port: int, path: str) -> str:
    """A page, once.

    Raises:
        RuntimeError: when it is none.
    """
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
    if response.status != 200:
        raise RuntimeError(f"{path} was answered with {response.status}: {text[:200]}")
    return text


def requests_per_second(port: int, path: str, seconds: float) -> float:
    """How many answers there are in a second, over some connections for so many seconds, or longer where none came.

    Raises:
        RuntimeError: when some are errors.
    """
    by = _by_wrk if shutil.which("wrk") else _by_threads
    return by(port, path, seconds) or requests_per_second(port, path, 2 * seconds)


def _by_wrk(port: int, path: str, seconds: float) -> float:
    url = f"http://127.0.0.1:{port}{path}"
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(CONNECTIONS),
        "--duration",
        f"{max(1, round(seconds))}s",
        url,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    return float(re.findall(r"Requests/sec: +([\d.]+)", said)[0])


def _by_threads(port: int, path: str, seconds: float) -> float:
    def ask(deadline: float) -> int:
        answered = 0
        while perf_counter() < deadline:
            fetch(port, path)
            answered += 1
        return answered

    start = perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        answered = sum(threads.map(ask, [start + seconds] * CONNECTIONS))
    return answered / (perf_counter() - start)
