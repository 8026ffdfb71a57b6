"""What this machine has and what it must get: servers, a browser and libraries by apt, Pythons as they are found.

    python3 tools/machine.py redis postgresql mariadb memcached chromium mysqlclient

installs what is missing when it runs as root on a machine with apt; otherwise it prints one line that says what to
install, and fails. Nothing but the standard library, and nothing newer than Python 3.9: this runs before all else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEWEST_PYTHON = (3, 14)  # newer ones may lack wheels of what we depend on

PROGRAMS = {
    "redis": (("redis-server",), ("redis-server",)),
    "memcached": (("memcached",), ("memcached",)),
    "postgresql": (("initdb", "postgres", "pg_isready"), ("postgresql",)),
    "mariadb": (("mariadbd", "mariadb-install-db"), ("mariadb-server",)),
    "chromium": (("chromium",), ("chromium",)),
    "wrk": (("wrk",), ("wrk",)),
}
POLICY = Path("/usr/sbin/policy-rc.d")


def main(names: list[str]) -> int:
    """Make sure that everything named is there."""
    packages = sorted({package for name in names for package in missing_packages(name)})
    if not packages:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Please install first (Debian: sudo apt-get install {' '.join(packages)}).", file=sys.stderr)
        return 1
    print(f"Installing {' '.join(packages)}", flush=True)
    try:
        apt_install(packages)
    except subprocess.CalledProcessError as error:
        print(f"Could not install {' '.join(packages)}: {error}", file=sys.stderr)
        return 1
    return 0


def missing_packages(name: str) -> list[str]:
    """The Debian packages that bring what is missing; none when all is there."""
    if name == "mysqlclient":
        return missing_to_build_mysqlclient()
    programs, packages = PROGRAMS[name]
    return [] if all(map(find_program, programs)) else list(packages)


def missing_to_build_mysqlclient() -> list[str]:
    """A compiler, the client library and the headers of the Python that the tests with MariaDB run on."""
    missing = [] if shutil.which("gcc") else ["gcc", "libc6-dev"]
    if shutil.which("pkg-config") is None:
        missing.append("pkg-config")
    if not any(pkg_config_knows(library) for library in ("mysqlclient", "mariadb", "libmariadb")):
        missing.append("default-libmysqlclient-dev")
    python = oldest_python()
    if not Path(ask(python, "import sysconfig; print(sysconfig.get_path('include'))"), "Python.h").exists():
        missing.append("python3-dev")
    return missing


def pkg_config_knows(library: str) -> bool:
    """Are the library's headers installed?"""
    program = shutil.which("pkg-config")
    return program is not None and subprocess.run([program, "--exists", library], check=False).returncode == 0


def find_program(program: str) -> str | None:
    """Where a program is, also in the places of servers that are not on everybody's PATH."""
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    places += map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(program, path=os.pathsep.join(places))


def apt_install(packages: list[str]) -> None:
    """Install without questions and without starting services: the tests start servers of their own."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        if ours:
            POLICY.unlink()


def pythons() -> dict[tuple[int, int], str]:
    """The Pythons at hand that we support, as (major, minor) -> program; the first on the PATH wins."""
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [folder for folder in folders if folder != pyenv / "shims"]  # a shim may answer for another version
    folders += sorted(pyenv.glob("versions/*/bin"))
    found: dict[tuple[int, int], str] = {}
    programs = [sys.executable]
    programs += [str(folder / f"python3.{minor}") for minor in range(11, NEWEST_PYTHON[1] + 1) for folder in folders]
    for program in programs:
        if not os.access(program, os.X_OK):
            continue
        answer = ask(program, "import sqlite3, ssl, sys; print(*sys.version_info[:4])").split()
        if len(answer) == 4 and answer[3] == "final":
            version = (int(answer[0]), int(answer[1]))
            if (3, 11) <= version <= NEWEST_PYTHON:
                found.setdefault(version, os.path.realpath(program))
    if not found:
        sys.exit("Everfresh needs Python 3.11 or newer, and this machine has none.")
    return found


def oldest_python() -> str:
    """The oldest Python at hand that we support."""
    found = pythons()
    return found[min(found)]


def ask(program: str, question: str) -> str:
    """What a Python prints to a one-line program; empty when it cannot run it."""
    done = subprocess.run(
        [program, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
