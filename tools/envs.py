"""The virtual environments of the house, in .venvs: made when first needed, made anew when what they hold changes.

    python3 tools/envs.py docs          make .venvs/docs, if it is not up to date
    python3 tools/envs.py --lock        look for newer releases and write the lock files anew

Two lock files (versions and hashes of everything, for every Python and platform) serve all environments: one for the
oldest Django and one for the newest.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from machine import ROOT, pythons

UV = "0.13.9"
UV_HOME = ROOT / ".tools" / f"uv-{UV}"
LOCKS = ROOT / "locks"
EXTRAS = "redis,memcached,zstd"
GROUPS = ("test", "mariadb", "lint", "docs", "demo", "bench")

#          lock file's Django -> (requirement, oldest Python)
DJANGOS = {"5.2": ("django>=5.2,<5.3", (3, 11)), "6.1": ("django>=6.1,<6.2", (3, 12))}


@dataclass(frozen=True)
class Environment:
    """What goes into .venvs/<name>."""

    groups: tuple[str, ...]
    oldest: bool = False


ENVIRONMENTS = {
    "oldest": Environment(groups=("test", "mariadb", "demo"), oldest=True),  # Django 5.2 on the oldest Python at hand
    "newest": Environment(groups=("test", "mariadb", "demo")),  # Django 6.1 on the newest (5.2 where that is 3.11)
    "prove": Environment(groups=("test", "mariadb", "bench")),
    "lint": Environment(groups=("lint",)),
    "docs": Environment(groups=("docs",)),
    "demo": Environment(groups=("demo",)),
    "bench": Environment(groups=("bench",)),
}


def main(arguments: list[str]) -> int:
    """Make the environments named, or the lock files."""
    if arguments == ["--lock"]:
        lock()
    else:
        for name in arguments:
            make(name)
    return 0


def choice(name: str) -> tuple[str, str]:
    """The Python program and the Django series of an environment on this machine."""
    found = pythons()
    if ENVIRONMENTS[name].oldest:
        return found[min(found)], "5.2"
    newest = max(found)
    return found[newest], "6.1" if newest >= DJANGOS["6.1"][1] else "5.2"


def make(name: str) -> None:
    """Bring .venvs/<name> up to date."""
    environment = ENVIRONMENTS[name]
    python, django = choice(name)
    constraints = LOCKS / f"django-{django}.txt"
    folder = ROOT / ".venvs" / name
    stamp = folder / "up-to-date"
    requirements = (ROOT / "pyproject.toml").read_text().split("\n[tool.")[0]  # what follows configures tools
    contents = requirements + constraints.read_text()
    wanted = f"{python}\n{environment}\n{hashlib.sha256(contents.encode()).hexdigest()}\n"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two makes at once: the second finds the first one's work
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"Making .venvs/{name}: Django {django}, {python}", flush=True)
        uv("venv", "--quiet", "--clear", "--python", python, str(folder))
        groups = [word for group in environment.groups for word in ("--group", group)]
        uv(
            *("pip", "install", "--quiet", "--python", str(folder), "--editable", f".[{EXTRAS}]"),
            *groups,
            *("--constraints", str(constraints)),
        )
        stamp.write_text(wanted)


def lock() -> None:
    """Write the lock files: the newest releases that pyproject.toml allows."""
    for django, (requirement, python) in DJANGOS.items():
        output = LOCKS / f"django-{django}.txt"
        pin = LOCKS / f"django-{django}.in"
        pin.write_text(f"{requirement}\n")
        version = ".".join(map(str, python))
        groups = [word for group in GROUPS for word in ("--group", group)]
        try:
            uv(
                *("pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", version),
                *("--generate-hashes", "--no-annotate", "--no-header", "--all-extras", *groups),
                *("--constraints", str(pin), "--output-file", str(output), "pyproject.toml"),
            )
        finally:
            pin.unlink()


def uv(*arguments: str) -> None:
    """Run uv in the top folder, and end this program when it fails."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    # uv does not read pip's settings; a machine that needs a mirror or a certificate has told pip.
    for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        value = pip_setting(setting)
        if value:
            environment.setdefault(variable, value)
    done = subprocess.run([find_uv(), *arguments], cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"uv {' '.join(arguments)} failed.")


def find_uv() -> str:
    """Our own uv, of the version that wrote the lock files, in a folder of its own and in no Python."""
    program = UV_HOME / "bin" / "uv"
    if not program.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
        part = UV_HOME.with_name(f"{UV_HOME.name}-{os.getpid()}")
        done = subprocess.run([*pip, str(part), f"uv=={UV}"], check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0 and not UV_HOME.exists():
            part.rename(UV_HOME)
        shutil.rmtree(part, ignore_errors=True)
        if not program.exists():
            other = shutil.which("uv")
            if other is None:
                sys.exit(f"{done.stderr}\npip could not install uv, which makes the environments.")
            return other
    return str(program)


def pip_setting(name: str) -> str:
    """What pip was told, by environment or by configuration file; empty when nothing."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    command = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
