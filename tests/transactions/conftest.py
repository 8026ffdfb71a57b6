"""Rows, and a second pair of eyes on them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connections

from tests.library.models import Author, Book

Elsewhere = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def elsewhere() -> Elsewhere:
    """Call it with a function that is to run in another thread, on database connections of its own."""

    def run(function: Callable[[], Any]) -> Any:
        def work() -> Any:
            try:
                return function()
            finally:
                connections.close_all()
                caches.close_all()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result(30)

    return run


@pytest.fixture
def book(transactional_db: None) -> Book:
    """Author 1 with a book called "old"."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="old")
