"""The library's rows, committed; and a namespace that changes without a setting."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.contrib.contenttypes.models import ContentType
from django.test import override_settings

from tests import settings as combination
from tests.matrix import data

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

ROWS_ON = {("postgresql", "redis"), ("sqlite", "locmem")}
NEAR = (combination.DB, combination.STORE) == ("sqlite", "redis")
"""Are there near copies? On one of the corners with Redis."""

_prefix = [""]


@pytest.fixture(scope="package", autouse=True)
def everything_cached() -> Iterator[None]:
    """Every query is cached; with rows as entries of their own on one of the two corners of each Django.

    The prefix is a callable: it changes, and no plan has to be made anew for that.

    Near copies hear of writes from the server only, as if another process had written.
    """
    models = {"*": {"rows": (combination.DB, combination.STORE) in ROWS_ON}}
    everything = {"CACHE_ALL": True, "NEAR": NEAR, "MODELS": models, "PREFIX": lambda: _prefix[0]}
    with override_settings(EVERFRESH=everything), pytest.MonkeyPatch.context() as patch:
        if NEAR:
            patch.setattr("everfresh.stores.near.NearStore._forget_own", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def namespace(everything_cached: None) -> str:
    """Each test has a namespace of its own."""
    return new_namespace()


def new_namespace() -> str:
    """Leave all entries behind."""
    _prefix[0] = f"matrix-{secrets.token_hex(6)}"
    return _prefix[0]


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What ``django_db`` gives a test here: the rows of `tests.matrix.data`, committed, and gone afterwards.

    In the place of pytest-django's own, which would roll everything back, or flush every table after each test.
    """
    with django_db_blocker.unblock():
        ContentType.objects.clear_cache()
        data.put_back()
        try:
            yield
        finally:
            data.clear()
