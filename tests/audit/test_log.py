"""The audit log: what is in it was done, and nothing is done by writing in it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

from everfresh.contrib.audit.models import Invalidation
from everfresh.exceptions import StoreUnreachable
from everfresh.names import labels
from everfresh.selections import Selection
from everfresh.stores import current_store
from tests.audit.conftest import Results, Staff

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {"Book:1", "Book:2", "Mail:1"}


@pytest.mark.seeds("CE-21")
def test_performed(results: Results, staff: Staff) -> None:
    """It is done, and says who did what, when, and how many results went stale."""
    user = staff()
    row = Invalidation.objects.perform(
        Selection(models=("library.Author",), labels=("tag:sale, summer",), pattern="Mail:*", using="default"),
        user=user,
    )
    assert results.current() == set()
    row.refresh_from_db()
    assert (row.user, row.by, row.database, row.count) == (user, "ann", "default", 3)
    assert row.what == {"models": ["library.Author"], "labels": ["tag:sale, summer"], "pattern": "Mail:*"}
    assert str(row) == "library.Author, tag:sale, summer, names like Mail:*"


@pytest.mark.seeds("CE-21")
def test_rows_do_nothing(results: Results) -> None:
    """Neither to make one in code nor to save one again, with a key or without."""
    what = {"models": [], "labels": ["shop.page"], "pattern": "*"}
    row = Invalidation.objects.create(pk=7, by="x", what=what)
    row.save()
    Invalidation(by="x", what=what).save()
    assert results.current() == ALL


def test_resaved(results: Results) -> None:
    """A row that was performed is not performed again."""
    row = Invalidation.objects.perform(Selection(pattern="Book:1"))
    results("Book:1")
    row.save()
    assert results.current() == ALL


def test_rolled_back(results: Results) -> None:
    """Neither done nor written down."""
    with pytest.raises(LookupError), transaction.atomic():
        Invalidation.objects.perform(Selection(everything=True))
        raise LookupError
    assert results.current() == ALL
    assert not Invalidation.objects.exists()


def test_user_deleted(results: Results, staff: Staff) -> None:
    """The name stays."""
    Invalidation.objects.perform(Selection(pattern="*"), user=staff())
    User.objects.get().delete()
    row = Invalidation.objects.get()
    assert (row.user, row.by) == (None, "ann")


def test_store_down(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written down that was not done."""

    def fails(*_: Any) -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(current_store().store, "enrolled", fails, raising=False)
    with pytest.raises(StoreUnreachable, match="nobody there"):
        Invalidation.objects.perform(Selection(models=("library.Book",)))
    monkeypatch.undo()
    labels()  # it answers again
    assert results.current() == ALL
    assert not Invalidation.objects.exists()


def test_nothing_picked(results: Results) -> None:
    """Refused, and not written down."""
    with pytest.raises(ValueError, match="Nothing is picked"):
        Invalidation.objects.perform(Selection())
    assert not Invalidation.objects.exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"everything": True, "models": ["a.B"]}, "everything"),
        ({"models": ["a.B", "a.C"], "labels": ["x", "y", "z"]}, "a.B, a.C, x, 2 more"),
        ({"models": ["a.B", "a.C"], "labels": ["x"], "pattern": "*"}, "a.B, a.C, x, 1 more"),
        ({}, ""),
    ],
)
def test_summary(what: dict[str, Any], words: str) -> None:
    """In a few words."""
    assert Invalidation(what=what).summary() == words


def test_migrations_are_complete() -> None:
    """The model is what its migrations make."""
    call_command("makemigrations", "everfresh_audit", check=True, dry_run=True, stdout=StringIO())
