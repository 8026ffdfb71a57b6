"""The manual says what the code does: its names are the code's, and its examples run."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

import everfresh
from everfresh import conf
from tests.settings import DB

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
NOTES = sorted((DOCS / "design").glob("*.md"))
TUTORIAL = DOCS / "tutorial.md"

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# The tutorial's project has a database and a cache of its own: once for each Django is enough.
once_per_django = pytest.mark.skipif(DB != "sqlite", reason="The examples run on SQLite.")
PUBLIC_MODULES = ("everfresh", "everfresh.events", "everfresh.exceptions", "everfresh.testing", "everfresh.stores")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page, in their order."""
    return [text for found, text in FENCE.findall(page.read_text()) if found == language]


def examples() -> Iterator[tuple[Path, str]]:
    """Every Python block of the manual."""
    for page in PAGES:
        for text in blocks(page, "python"):
            yield page, text


def rows(page: Path, columns: int) -> list[list[str]]:
    """The rows of all tables with so many columns, without their headings."""
    cells = [
        [cell.strip() for cell in line[1:-1].split(" | ")] for line in page.read_text().splitlines() if line[:1] == "|"
    ]
    return [row for row in cells if len(row) == columns]


def defaults(names: set[str], *, column: int) -> dict[str, object]:
    """What the tables of docs/settings.md show as the defaults of these names."""
    return {
        row[0].strip("`"): ast.literal_eval(row[column].strip("`"))
        for row in rows(DOCS / "settings.md", 4)
        if row[0].strip("`") in names
    }


def keys_of_settings() -> list[Field[Any]]:
    """The fields of the settings that are keys of EVERFRESH; others are remembered in between."""
    return [field for field in fields(conf.Settings) if field.init]


# Names


def test_every_setting_is_documented() -> None:
    """docs/settings.md has a heading for every key of EVERFRESH and for no other."""
    headings = re.findall(r"^### ([A-Z_]+)$", (DOCS / "settings.md").read_text(), re.MULTILINE)

    assert [field.name.upper() for field in keys_of_settings()] == headings


def test_defaults_are_documented() -> None:
    """The table of keys shows the defaults: setting one to what stands there changes nothing."""
    keys = {field.name.upper() for field in keys_of_settings()}
    shown = defaults(keys, column=2)

    parsed, problems = conf.parse(shown)

    assert keys == set(shown)
    assert [] == problems
    for field in keys_of_settings():
        default, said = getattr(conf.Settings(), field.name), getattr(parsed, field.name)
        assert (default() if callable(default) else default) == (said() if callable(said) else said), field.name


def test_every_limit_is_documented() -> None:
    """The table of limits shows every limit with its default."""
    names = {field.name.upper() for field in fields(conf.Limits)}
    shown = {
        name: ast.literal_eval(row[1].strip("`"))
        for row in rows(DOCS / "settings.md", 4)
        if (name := row[0].strip("`")) in names
    }

    assert names == set(shown)
    assert conf.Limits() == conf.parse({"LIMITS": shown})[0].limits


def test_every_system_check_is_documented() -> None:
    """docs/settings.md has a row for every id of a system check and for no other."""
    source = "".join((ROOT / "src/everfresh" / name).read_text() for name in ("checks.py", "conf.py"))
    documented = [row[0].strip("`") for row in rows(DOCS / "settings.md", 3) if "everfresh." in row[0]]

    assert sorted({f"everfresh.{found}" for found in re.findall(r"\b[EW]\d{3}\b", source)}) == documented


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    """docs/api.md has every public name of every public module."""
    page = (DOCS / "api.md").read_text()
    module = importlib.import_module(name)

    assert [] == [each for each in module.__all__ if not re.search(rf"{re.escape(name)}\.{each}\b", page)]


def test_names_in_the_manual_exist() -> None:
    """Whatever the manual calls ``everfresh.…`` can be imported."""
    unknown = []
    for page in [*PAGES, *NOTES]:
        for dotted in re.findall(r"(?<![\w./-])everfresh(?:\.[A-Za-z_]+)+\b(?!\.md)", page.read_text()):
            found: object = everfresh
            for at, part in enumerate(dotted.split(".")[1:], 2):
                try:
                    found = getattr(found, part)
                except AttributeError:
                    try:
                        found = importlib.import_module(".".join(dotted.split(".")[:at]))
                    except ImportError:
                        unknown.append(f"{page.name}: {dotted}")
                        break

    assert [] == unknown


def anchors(page: Path) -> set[str]:
    """What links can name on a page: its headings, as GitHub and MyST write them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    """Every link of the README and the manual to a file names one that exists, and a heading that is there."""
    broken = []
    for page in [*PAGES, *NOTES]:
        for name, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.name}: {name}#{anchor}")

    assert [] == broken


# Examples


def test_python_examples_compile() -> None:
    """Every Python block is Python."""
    for page, text in examples():
        compile(text, page.name, "exec")


def test_settings_examples_are_valid() -> None:
    """Every EVERFRESH of an example is one that the checks accept."""
    given = []
    for page, text in examples():
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EVERFRESH":
                names: dict[str, object] = {}
                exec(compile(ast.Module([node], []), page.name, "exec"), {"current_tenant": str}, names)
                given.append((page.name, conf.parse(names["EVERFRESH"])[1]))

    assert [] == [(page, problems) for page, problems in given if problems]
    assert len(given) >= 3


def run(*command: str, cwd: Path) -> str:
    """What Python prints when run with these arguments in the tutorial's project."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERFRESH_")}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "bookshop.settings",
        "PYTHONPATH": str(cwd),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the tutorial, made by its own commands and files, in their order."""
    directory = tmp_path_factory.mktemp("bookshop")
    for language, text in FENCE.findall(TUTORIAL.read_text()):
        if language == "console":
            for command in re.findall(r"^\$ python (?!-m pip )(.+)$", text, re.MULTILINE):
                run(*command.split(), cwd=directory)
        elif language == "python" and (place := re.match(r"# (\S+\.py)(, at the end)?\n", text)):
            with (directory / place[1]).open("a" if place[2] else "w") as file:
                file.write(text)
    return directory


@once_per_django
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "pycon")], ids=lambda page: page.stem)
def test_examples_run(page: Path, project: Path, tmp_path: Path) -> None:
    """Every session of the README and the manual gives what it shows, in the tutorial's project, page by page."""
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    source = page.read_text()
    kept = {
        number
        for found in FENCE.finditer(source)
        if found[1] == "pycon"
        for number in range(source.count("\n", 0, found.start(2)), source.count("\n", 0, found.end(2)))
    }
    lines = [line if number in kept else "" for number, line in enumerate(source.splitlines())]
    # In place of the page's title, so that failures show the page's own line numbers.
    lines[0] = ">>> import django; django.setup()"
    (tmp_path / "page.txt").write_text("\n".join(lines) + "\n")

    run("-m", "doctest", "-o", "ELLIPSIS", "page.txt", cwd=tmp_path)
