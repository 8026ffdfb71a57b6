"""Results to invalidate, and people who do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType

from everfresh.conf import settings
from everfresh.contrib.audit.models import Invalidation
from everfresh.events import Outcome
from everfresh.keys import digest, encode
from everfresh.recorded import Computation, look_recorded, read_recorded
from tests.library.models import Author, Book


class Results(Protocol):
    """Stored results by their names."""

    def __call__(
        self, name: str, compute: Callable[[], Any] = ..., *, label: str = ..., tags: tuple[str, ...] = ...
    ) -> Outcome:
        """Compute and store what is called *name*, or find it stored."""
        ...

    def current(self) -> set[str]:
        """The names of those that are stored and not stale."""
        ...


class _Results:
    def __init__(self) -> None:
        self.computations: dict[str, Computation] = {}

    def __call__(
        self, name: str, compute: Callable[[], Any] = str, *, label: str = "shop.page", tags: tuple[str, ...] = ()
    ) -> Outcome:
        key = f"{settings().prefix()}:f:{digest(encode((label, name)))}"
        self.computations[name] = Computation(key=key, label=label, name=name, tags=tags)
        return read_recorded(self.computations[name], compute).outcome

    def current(self) -> set[str]:
        names = list(self.computations)
        answers = look_recorded([self.computations[name] for name in names])
        return {name for name, answer in zip(names, answers, strict=True) if answer is not None}


@pytest.fixture
def results(transactional_db: None) -> Results:
    """Of two functions, with tags: one reads books, one authors, and one nothing."""
    results = _Results()
    Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="one")
    results("Book:1", lambda: Book.objects.get(id=1).title, tags=("news", "sale, summer"))
    results("Book:2", lambda: list(Author.objects.all()), tags=("news",))
    results("Mail:1", label="post.mail")
    assert results.current() == {"Book:1", "Book:2", "Mail:1"}
    return results


class Staff(Protocol):
    """Make somebody who may use the admin, with these permissions on the log."""

    def __call__(self, *permissions: str) -> User: ...


@pytest.fixture
def staff(transactional_db: None) -> Staff:
    """Make somebody with permissions."""

    def make(*permissions: str) -> User:
        user = User.objects.create_user("ann", password="pw", is_staff=True)
        kind = ContentType.objects.get_for_model(Invalidation)
        for name in permissions:
            permission, _ = Permission.objects.get_or_create(codename=f"{name}_invalidation", content_type=kind)
            user.user_permissions.add(permission)
        return user

    return make
