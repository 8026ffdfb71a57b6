"""The names of cachemodel, and what its old releases had."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from pytest_django import DjangoAssertNumQueries

import everfresh.compat.cachemodel as cachemodel
from everfresh.compat.cachemodel import ns_cache
from tests.published.models import Author, Fancy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fancy() -> Fancy:
    """A saved row of a model written for cachemodel."""
    return Fancy.objects.create(name="n")


@pytest.mark.seeds("CM-1", "CM-2")
def test_names() -> None:
    """What an old project imports is there."""
    assert cachemodel.CACHE_FOREVER_TIMEOUT == 86400 * 365
    for name in ("CacheModel", "CacheModelManager", "CachedTable", "CachedTableManager", "denormalized_field"):
        assert hasattr(cachemodel, name)


@pytest.mark.seeds("CM-2", "CM-3", "CM-7")
def test_readme(fancy: Fancy, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The model of the README: found by its key and by its name, without a query."""
    with django_assert_num_queries(0):
        assert Fancy.cached.get(pk=fancy.pk) == fancy
        assert Fancy.cached.get(name="n") == fancy
    fancy.name = "m"
    fancy.save()
    with django_assert_num_queries(0):
        assert Fancy.cached.get(name="m") == fancy


@pytest.mark.seeds("CM-13")
def test_get_by() -> None:
    """Raises what it raised."""
    with pytest.raises(DeprecationWarning, match=r"get_by\(\) has been deprecated, use \.get\(\) instead\."):
        Fancy.cached.get_by("name", "n")


@pytest.mark.seeds("CM-16")
def test_find_fields_decorated_with(fancy: Fancy) -> None:
    """The attributes of the class that carry a marker."""
    found = cachemodel.find_fields_decorated_with(fancy, "_cached_method")
    assert [method.__name__ for method in found] == ["doubled"]


@pytest.mark.seeds("CM-18")
def test_generate_cache_key() -> None:
    """Named arguments have no order; values of other types are other keys."""
    key = cachemodel.generate_cache_key
    assert key(["a", "b"], 1, x=1, y=2) == key(["a", "b"], 1, y=2, x=1)
    assert key(["a", "b"], 1).startswith("a_b__")
    assert key(["a"], 1) != key(["a"], "1")


@pytest.mark.seeds("CM-H1")
def test_set_cache_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for a project."""
    monkeypatch.setattr(cachemodel, "_timeout", [])
    cachemodel.set_cache_timeout(60)
    cachemodel.set_cache_timeout(60)
    with pytest.raises(ValueError, match="is 60 already; it cannot be 90"):
        cachemodel.set_cache_timeout(90)

    @cachemodel.cached_method
    def method(self: Author) -> None: ...

    assert method._cached_method_timeout == 60


@pytest.mark.seeds("CM-H3", "CM-H4")
def test_namespace_of_a_row(fancy: Fancy) -> None:
    """What a project keeps under a row's keys is gone with the next save."""
    key = fancy.ns_cache_key("page", 1)
    cache.set(key, "kept")
    assert Fancy.cache_key("page") == Fancy.cache_key("page")
    assert cache.get(fancy.ns_cache_key("page", 1)) == "kept"
    fancy.save()
    assert cache.get(fancy.ns_cache_key("page", 1)) is None
    assert fancy.flushed == 2


@pytest.mark.seeds("CM-H4")
def test_namespace() -> None:
    """Flushing makes all its keys others, and never those of before."""
    first = ns_cache.ns_key("space", "key")
    assert ns_cache.ns_key("space", "key") == first
    ns_cache.ns_flush("space")
    assert ns_cache.ns_key("space", "key") != first


@pytest.mark.seeds("CM-H5")
def test_method_computed_anew(fancy: Fancy, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cached=False` computes, and keeps that."""
    factor: list[Any] = [2]
    monkeypatch.setattr(Fancy, "factor", factor)
    assert fancy.doubled() == "nn"
    factor[0] = 3
    assert fancy.doubled() == "nn"
    assert fancy.doubled(cached=False) == "nnn"  # type: ignore[call-arg]
    assert fancy.doubled() == "nnn"
    assert fancy.doubled.cache_key == "double"  # type: ignore[attr-defined]
