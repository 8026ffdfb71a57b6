"""Rows."""

from __future__ import annotations

import pytest

from tests.library.models import Author, Book


@pytest.fixture
def book(transactional_db: None) -> Book:
    """Author 1 with a book called "old"."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")
