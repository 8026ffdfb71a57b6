"""What generated queries and histories found in the core, each in its smallest form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.db.models import Count

from tests.conftest import Elsewhere
from tests.library.models import Author, Book
from tests.protocol.schedule import truth
from tests.settings import DB
from tests.transactions.rows import rename, sql, titles

pytestmark = pytest.mark.django_db(transaction=True)


def test_counted_groups_are_more_by_what_orders_them() -> None:
    """Since Django 6.1, ``count()`` keeps an ordering by which it also groups: its tables are read."""
    author = Author.objects.create(name="a")
    groups = Author.objects.annotate(n=Count("profile")).values("pk").order_by("books__title")

    def counts() -> tuple[int, int]:
        return groups.cache().count(), groups.nocache().count()

    assert counts() == (1, 1)
    Book.objects.bulk_create([Book(author=author, title="a"), Book(author=author, title="b")])
    cached, true = counts()
    assert cached == true


@pytest.fixture
def manual(transactional_db: None) -> Iterator[None]:
    """Autocommit is off, and there is a book."""
    Book.objects.create(pk=1, author=Author.objects.create(pk=1), title="old")
    transaction.set_autocommit(False)
    yield
    transaction.rollback()
    transaction.set_autocommit(True)


def test_block_with_autocommit_off_commits_on_sqlite(manual: None, elsewhere: Elsewhere) -> None:
    """SQLite begins with the block's savepoint, if nothing was written before, and commits when it is released."""
    assert elsewhere(titles) == ["old"]
    with transaction.atomic():
        rename()

    assert elsewhere(titles) == elsewhere(lambda: truth(titles))


def test_rollback_after_a_block_that_committed_by_itself_on_sqlite(manual: None, elsewhere: Elsewhere) -> None:
    """What such a block has committed is not forgotten with what comes after it."""
    assert elsewhere(titles) == ["old"]
    with transaction.atomic():
        rename()
    Author.objects.create(pk=2)
    transaction.rollback()

    assert titles() == elsewhere(titles) == elsewhere(lambda: truth(titles))


@pytest.mark.skipif(DB != "sqlite", reason="elsewhere a savepoint needs a transaction")
def test_release_by_hand_commits_on_sqlite(transactional_db: None, elsewhere: Elsewhere) -> None:
    """A savepoint by raw SQL is a transaction too, and its release a COMMIT; that of one inside it is none."""
    Book.objects.create(pk=1, author=Author.objects.create(pk=1), title="old")
    assert elsewhere(titles) == ["old"]
    sql("SAVEPOINT one")
    sql("SAVEPOINT other")
    rename()
    sql("RELEASE other")
    assert titles() == ["new"]
    assert elsewhere(titles) == ["old"] == elsewhere(titles)
    sql("RELEASE one")

    assert titles() == ["new"] == elsewhere(titles)
