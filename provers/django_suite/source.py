"""Django's source distribution, for its tests: fetched once by pip, kept in ``.cache``."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

__all__ = ["CACHE", "suite"]

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "django"


def suite() -> Path:
    """The directory of the test suite of the installed Django."""
    name = f"django-{django.get_version()}"
    tests = CACHE / name / "tests"
    if not tests.is_dir():
        _ignored(CACHE)
        archive = CACHE / f"{name}.tar.gz"
        if not archive.exists():
            _download()
        with tarfile.open(archive) as packed:
            packed.extractall(CACHE, filter="data")
    return tests


def _ignored(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder.parent / ".gitignore"
    if not mark.exists():
        mark.write_text("*\n")


def _download() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # The environments of the house hold no pip.
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        source = ["--no-binary", "django", f"django=={django.get_version()}", "--dest", str(CACHE)]
        subprocess.run([*pip, *source], check=True)
