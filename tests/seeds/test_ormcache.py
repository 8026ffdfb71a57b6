"""What ormcache documents: its README's sentences, its source's notes, and the scenario of its author's blog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import everfresh
from everfresh.compat.ormcache import DEFAULT_CACHE_TIME, CachedModel, CacheManager
from everfresh.compat.ormcache.exceptions import (
    CachedModelException,
    CacheExpiredWarning,
    CacheInvalidationWarning,
    CacheMissingWarning,
)
from everfresh.compat.ormcache.query import CachedQuerySet
from everfresh.compat.ormcache.utils import get_cache_key_for_pk
from everfresh.exceptions import RowsMissing
from everfresh.rows import Pointing
from tests.conftest import Configure
from tests.seeds.blog.models import Category, Post

pytestmark = pytest.mark.django_db(transaction=True)


def queries(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many queries *work* makes, as Django counts them, and what it gives."""
    with CaptureQueriesContext(connection) as seen:
        result = work()
    return sum(not each["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for each in seen), result


def names(manager: Any) -> Callable[[], list[str]]:
    """The names of all posts that *manager* shows."""
    return lambda: [post.name for post in manager.all()]


# The blog


@pytest.mark.seeds("OC-1", "OC-8", "OC-14", "OC-16")
def test_the_blogs_scenario() -> None:
    """The author's own numbers, but for one query more after a save: the row is read back when it is committed."""
    shown = names(Post.lasting)

    assert 2 == queries(lambda: Post.objects.create(name="Test"))[0]
    assert (1, ["Test"]) == queries(shown)
    Post.objects.create(name="Test2")
    assert (0, ["Test"]) == queries(shown)
    Post.objects.create(name="Test3")
    assert (1, ["Test", "Test2", "Test3"]) == queries(names(Post.lasting.reset()))
    assert (0, ["Test", "Test2", "Test3"]) == queries(shown)

    gone = Post.objects.get(name="Test2")
    assert 1 == queries(gone.delete)[0]
    assert (1, ["Test", "Test3"]) == queries(shown)

    z = Post.objects.get(name="Test")
    z.name = "Test Changed"
    assert 2 == queries(z.save)[0]
    assert (0, ["Test Changed", "Test3"]) == queries(shown)


@pytest.mark.seeds("OC-12")
def test_the_blogs_missing_row() -> None:
    """A list that points to a row which is gone is asked for again: two queries, as there, and no error."""
    shown = names(Post.pointing)
    for name in ("Test", "Test2", "Test3"):
        Post.objects.create(name=name)
    assert (1, ["Test", "Test2", "Test3"]) == queries(shown)
    Post.objects.get(name="Test2").delete()

    assert (2, ["Test", "Test3"]) == queries(shown)
    assert (0, ["Test", "Test3"]) == queries(shown)


@pytest.mark.seeds("OC-16")
def test_lists_see_creates_unless_asked_not_to() -> None:
    """Other than in the blog, ``objects`` shows what was created."""
    shown = names(Post.objects)
    assert [] == shown()
    Post.objects.create(name="Test")
    assert ["Test"] == shown()


# CachedModel


@pytest.mark.seeds("OC-1", "OC-8")
def test_save_updates_the_cache_instance() -> None:
    """As it says, "upon saving it automatically updates the cache instance": the next read of the row is no query."""
    post = Post.objects.create(name="new")
    assert (0, "new") == queries(lambda: Post.objects.get(pk=post.pk).name)
    post.name = "changed"
    post.save()
    assert (0, "changed") == queries(lambda: Post.objects.get(pk=post.pk).name)


@pytest.mark.seeds("OC-1")
def test_delete_removes_the_cache_instance() -> None:
    """As it says, "upon delete it removes the cache instance", and so does every other way of deleting."""
    post, other = Post.objects.create(name="a"), Post.objects.create(name="b")
    post.delete()
    Post.nocache.filter(pk=other.pk).delete()

    assert [] == names(Post.objects)()
    with pytest.raises(Post.DoesNotExist):
        Post.objects.get(pk=other.pk)


@pytest.mark.seeds("OC-1")
def test_what_was_rolled_back_was_never_there() -> None:
    """A row is put into the cache when it is committed: not before, and never as it was in memory only."""
    post = Post.objects.create(name="old")
    with pytest.raises(LookupError), transaction.atomic():
        post.name = "never"
        post.save()
        raise LookupError

    assert (0, "old") == queries(lambda: Post.objects.get(pk=post.pk).name)


@pytest.mark.seeds("OC-1", "OC-21")
def test_nocache_is_the_default_manager() -> None:
    """``nocache`` asks the database always, and is what Django itself reads with."""
    Post.objects.create(name="a")
    assert Post._default_manager is Post.nocache
    assert Category._default_manager.name == "nocache"
    for _ in range(2):
        assert (1, ["a"]) == queries(names(Post.nocache))
    assert (1, ["a"]) == queries(lambda: [post.name for post in Post.objects.nocache()])


@pytest.mark.seeds("OC-3")
def test_cache_key() -> None:
    """One key for one row, whoever asks; another for each other row and model."""
    post, category = Post.objects.create(id=7, name="a"), Category.objects.create(id=7, name="c")
    [wanted] = Pointing.of(Post.objects.filter(pk="7"), None).wanted()

    assert post.cache_key == get_cache_key_for_pk(Post, 7) == get_cache_key_for_pk(Post, "7") == wanted.key
    assert 3 == len({post.cache_key, category.cache_key, get_cache_key_for_pk(Post, 8)})


# CacheManager


@pytest.mark.seeds("OC-2", "OC-4")
def test_the_manager_is_like_djangos() -> None:
    """It is to "work exactly like the default Manager and QuerySet", and everything is cached."""
    for number in range(4):
        Post.objects.create(name=f"{number}", category=Category.objects.create(name=f"{number % 2}"))
    reads: list[Callable[[Any], Any]] = [
        lambda manager: list(manager.all()),
        lambda manager: list(manager.filter(category__name="1").order_by("-name")[:1]),
        lambda manager: manager.get(name="3"),
        lambda manager: manager.count(),
        lambda manager: list(manager.values("name")),
        lambda manager: list(manager.values_list("name", "category__name")),
        lambda manager: list(manager.select_related("category").exclude(name="0")),
        lambda manager: manager.filter(name="nobody").exists(),
    ]
    for read in reads:
        read(Post.objects)
        assert (0, read(Post.nocache)) == queries(lambda read=read: read(Post.objects))
        assert queries(lambda read=read: read(Post.nocache))[0] == 1


@pytest.mark.seeds("OC-10", "OC-20")
def test_the_route() -> None:
    """Ten rows with what they belong to: no query, and a row that changed shows in every list."""
    category = Category.objects.create(name="c")
    for number in range(10):
        Post.objects.create(name=f"{number}", category=category)
    read = lambda: [(post.name, post.category.name) for post in Post.objects.select_related("category")]  # noqa: E731
    assert 1 == queries(read)[0]
    assert (0, [(f"{number}", "c") for number in range(10)]) == queries(read)
    category.name = "d"
    category.save()
    assert (0, ("9", "d")) == (queries(read)[0], read()[-1])


@pytest.mark.seeds("OC-2", "OC-4", "OC-5", "OC-6")
def test_timeouts_are_minutes() -> None:
    """``cache(timeout=<minutes>)`` and the manager's are minutes; ``DEFAULT_CACHE_TIME`` is in seconds."""
    assert 24 * 60 * 60 == DEFAULT_CACHE_TIME == Post.objects.all().explain_cache().timeout
    assert 5 * 60 == Post.pointing.all().explain_cache().timeout
    assert 7 * 60 == Post.objects.cache(timeout=7).filter(name="a").explain_cache().timeout
    assert DEFAULT_CACHE_TIME == Post.objects.cache(timeout=None).explain_cache().timeout
    with override_settings(DEFAULT_CACHE_TIME=30):
        assert 30 == Post.objects.all().explain_cache().timeout
    assert timedelta(hours=2).total_seconds() == CacheManager(timeout=120)._minutes * 60


@pytest.mark.seeds("OC-4", "OC-5")
def test_names_of_a_list() -> None:
    """``key`` and ``key_name`` are one thing: the same list under two policies, kept when it is chained."""
    keys = {
        "plain": Post.objects.all(),
        "key": Post.objects.cache(key="latest").all(),
        "policy": Post.objects.cache(key="slow", timeout=600).all(),
        "prefix": Post.objects.cache(key_prefix="mine").all(),
    }
    assert 4 == len({queryset.explain_cache().key for queryset in keys.values()})
    named = Post.objects.all().cache("latest", 3)
    assert named.explain_cache().key == Post.objects.cache(key_name="latest").explain_cache().key
    assert isinstance(named, CachedQuerySet)
    Post.objects.create(name="a")
    assert ["a"] == [post.name for post in named]


@pytest.mark.seeds("OC-14")
def test_clean_reset_execute() -> None:
    """As the README says of them; and ``clean()`` with ``get()`` forgets that row and gives nothing."""
    post = Post.objects.create(name="a")
    assert (1, [post]) == queries(lambda: list(Post.objects.all()))
    assert (0, []) == queries(lambda: list(Post.objects.clean()))
    assert (1, [post]) == queries(lambda: list(Post.objects.all()))
    assert (0, None) == queries(lambda: Post.objects.clean().get(pk=post.pk))
    assert (1, post) == queries(lambda: Post.objects.get(pk=post.pk))
    queryset = Post.objects.reset()
    assert (1, queryset) == queries(queryset.execute)
    assert (0, [post]) == queries(lambda: list(queryset))


@pytest.mark.seeds("OC-16")
def test_wipe_of_a_table() -> None:
    """For when "you did a push to your site and needed to say wipe all articles": one tag is moved."""
    Post.objects.create(name="a")
    names(Post.pointing)()
    everfresh.invalidate(Post)

    assert 1 == queries(names(Post.pointing))[0]


# Exceptions


@pytest.mark.seeds("OC-7", "OC-12")
def test_exceptions(configure: Configure) -> None:
    """Where the model's rule is to raise, what is raised has ormcache's name, and its words."""
    assert issubclass(CacheMissingWarning, CacheInvalidationWarning)
    assert issubclass(CacheExpiredWarning, CacheInvalidationWarning)
    assert issubclass(CacheInvalidationWarning, CachedModelException)
    configure(MODELS={"blog.Post": {"on_missing": "raise"}})
    for name in ("a", "b", "c"):
        Post.objects.create(name=name)
    names(Post.pointing)()
    Post.nocache.exclude(name="b").delete()

    with pytest.raises(CacheMissingWarning, match=r"^2 objects missing in the database$") as caught:
        names(Post.pointing)()

    assert isinstance(caught.value, RowsMissing)
    assert Post is caught.value.model


@pytest.mark.seeds("OC-22")
def test_related_managers() -> None:
    """Related managers are lists of that kind where asked, and see what is created and deleted through them."""
    category = Category.objects.create(name="c")
    read = lambda: [post.name for post in category.posts.cache(rows=True)]  # noqa: E731
    assert [] == read()
    made = category.posts.create(name="a")
    assert ["a"] == read()
    assert 0 == queries(read)[0]
    made.delete()
    assert [] == read()


@pytest.mark.seeds("OC-1")
def test_managers_are_inherited() -> None:
    """A model with managers of its own has ``objects`` and ``nocache`` as well."""
    assert CachedModel._meta.abstract
    assert {"nocache", "objects", "lasting", "pointing"} == {manager.name for manager in Post._meta.managers}
