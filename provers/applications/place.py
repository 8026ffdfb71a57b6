"""A virtual environment and the unpacked source distribution of each application, kept in ``.cache``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from provers.applications.catalogue import Application

__all__ = ["copy_of_ours", "installed_django", "python_of", "source_of"]

_ROOT = Path(__file__).resolve().parents[2]
_CACHE = _ROOT / ".cache" / "applications"
_OURS = ("msgspec>=0.19", "redis>=5.3", "hiredis>=3", "zstandard>=0.22", "pytest>=9", "pytest-django>=4.14")


def installed_django() -> str:
    """The requirement that asks for the Django of this interpreter; where it has none, for the newest."""
    try:
        return f"django=={version('django')}"
    except PackageNotFoundError:
        return "django"


def python_of(application: Application, django: str) -> Path:
    """The interpreter of the application's environment, which is made when it or what it holds is new."""
    wanted = [django, f"{application.name}=={application.version}", *application.requirements, *_OURS]
    stamp = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = _CACHE / "environments" / f"{application.name}-{stamp}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _ignored()
        print(f"{application.name}: making its environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([*_pip(python), "install", "-qq", *wanted], check=True)
        (folder / "complete").touch()
    return python


def source_of(application: Application, python: Path) -> Path:
    """The top folder of its unpacked source distribution."""
    folder = _CACHE / "sources" / f"{application.name}-{application.version}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        requirement = f"{application.name}=={application.version}"
        download = ["download", "-qq", "--no-deps", "--no-binary", application.name, "--dest", str(folder)]
        subprocess.run([*_pip(python), *download, requirement], check=True)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        (folder / "complete").touch()
    (top,) = (path for path in folder.iterdir() if path.is_dir())
    return top


def copy_of_ours(folder: Path) -> Path:
    """Everfresh and the provers as they are now, so that nobody's next edit gets into the middle of a run."""
    for name in ("src/everfresh", "provers"):
        shutil.copytree(_ROOT / name, folder / Path(name).name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


def _ignored() -> None:
    mark = _CACHE.parent / ".gitignore"
    mark.parent.mkdir(parents=True, exist_ok=True)
    if not mark.exists():
        mark.write_text("*\n")
