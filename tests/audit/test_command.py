"""``manage.py everfresh_invalidate``."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import modify_settings

from everfresh.contrib.audit.models import Invalidation
from everfresh.stores import current_store
from tests.audit.conftest import Results

ALL = {"Book:1", "Book:2", "Mail:1"}


def invalidate(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("everfresh_invalidate", *arguments, stdout=out)
    return out.getvalue()


def answer(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Whoever sits there says so."""
    monkeypatch.setattr("builtins.input", lambda _: said)


PARTS = ("library.Author", "--label", "post.mail", "--tag", "sale, summer", "--tag", "gone", "--pattern", "Book:*")


def test_dry_run(results: Results) -> None:
    """It prints what would go, and that is all."""
    assert invalidate(*PARTS, "--dry-run").splitlines() == [
        "library.Author: every cached answer that reads it; 1 named result",
        "post.mail: 1 named result",
        "tag:sale, summer: 1 named result",
        "tag:gone: nothing is listed under it",
        "Book:*: 2 names",
        "  Book:1",
        "  Book:2",
        "Together: 3 named results",
    ]
    assert results.current() == ALL
    assert not Invalidation.objects.exists()


@pytest.mark.seeds("CE-21")
def test_without_a_question(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done, and in the log where there is one."""
    monkeypatch.setenv("LOGNAME", "ann")
    assert invalidate("--tag", "news", "--noinput").splitlines()[-1] == "Invalidated."
    assert results.current() == {"Mail:1"}
    row = Invalidation.objects.get()
    assert (row.by, row.user, row.count, row.what) == (
        "ann (everfresh_invalidate)",
        None,
        2,
        {"labels": ["tag:news"]},
    )


@pytest.mark.parametrize(("said", "left"), [("y", {"Book:2", "Mail:1"}), ("", ALL), ("no", ALL)])
def test_asks(results: Results, monkeypatch: pytest.MonkeyPatch, said: str, left: set[str]) -> None:
    """Only a yes is one."""
    answer(monkeypatch, said)
    shown = invalidate("library.Book")
    assert ("Nothing was done." in shown) == (left == ALL)
    assert results.current() == left


def test_nobody_to_ask(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to give."""

    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(CommandError, match="Give --noinput to do it, or --dry-run to look"):
        invalidate("library.Book")
    assert results.current() == ALL


def test_whole_app(results: Results) -> None:
    """Every model of it; and a database of one's choice."""
    shown = invalidate("library", "--database", "other", "--noinput")
    assert "library.Book_coauthors: every cached answer that reads it; 0 named results" in shown
    assert results.current() == ALL
    invalidate("library", "--noinput")
    assert results.current() == {"Mail:1"}


def test_everything(results: Results) -> None:
    """By saying so, and not otherwise."""
    assert "All tables of every database, and every result" in invalidate("--all", "--noinput")
    assert results.current() == set()
    with pytest.raises(CommandError, match="Nothing is picked"):
        invalidate("--noinput")


def test_many_names(results: Results) -> None:
    """The first twenty."""
    for number in range(25):
        results(f"Many:{number:02}")
    shown = invalidate("--pattern", "Many:*", "--dry-run")
    assert "  Many:19\n  and 5 more\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "Name a model as app.Model, or an app by its label"),
        (("library.Nothing",), "Name a model as app.Model, or an app by its label"),
        (("library", "--database", "third"), "DATABASES has no 'third', only default, other"),
    ],
)
def test_wrong_names(arguments: tuple[str, ...], message: str) -> None:
    """The error says what to write."""
    with pytest.raises(CommandError, match=message):
        invalidate(*arguments)


def test_store_down(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, and nothing is done."""

    def fails(*_: Any) -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(current_store().store, "enrolled", fails, raising=False)
    with pytest.raises(CommandError, match="The cache store does not answer"):
        invalidate("library.Book", "--noinput")
    assert not Invalidation.objects.exists()


def test_without_the_log(results: Results) -> None:
    """It is done all the same."""
    with modify_settings(INSTALLED_APPS={"remove": ["everfresh.contrib.audit"]}):
        invalidate("--label", "post.mail", "--noinput")
    assert results.current() == {"Book:1", "Book:2"}
    assert not Invalidation.objects.exists()
