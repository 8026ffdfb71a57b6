"""The other names of cachebot, where they were."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.core.cache.utils import make_template_fragment_key
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, connections, models, transaction
from django.template import Context, Engine
from django.test import RequestFactory
from django.utils.module_loading import import_string

import everfresh
from everfresh.compat.cachebot import monkey, utils
from everfresh.compat.cachebot.context_processors import cache_globals
from everfresh.compat.cachebot.models import CacheBotException, post_update
from everfresh.compat.cachebot.signals import invalidate_cache, invalidate_object, invalidate_template_cache
from everfresh.exceptions import EverfreshError
from tests.library.models import Author
from tests.seeds.photos.models import First, Many, Message, Photo, Second, Third
from tests.seeds.reads import DB_THEN_CACHE, asked, origin, past_django

pytestmark = pytest.mark.django_db(transaction=True)


# select_reverse


@pytest.fixture
def second() -> Second:
    """With two rows that point to it, each in one Many."""
    first = First.objects.create(text="first")
    second = Second.objects.create(text="second", obj=first)
    for text in ("a", "b"):
        Many.objects.create(text=text).thirds.add(Third.objects.create(text=text, obj=second))
    return second


@pytest.mark.seeds("CB-10")
def test_select_reverse(second: Second, django_assert_num_queries: Any) -> None:
    """One query for each path, and lists that need no more; all of it cached with the rows."""

    def read() -> list[list[list[str]]]:
        rows = Second.objects.cache().select_reverse("third_set", "third_set__many_set")
        return [[[many.text for many in third.many_set_cache] for third in row.third_set_cache] for row in rows]  # type: ignore[attr-defined]

    with django_assert_num_queries(3):
        assert read() == [[["a"], ["b"]]]
    with django_assert_num_queries(0):
        assert read() == [[["a"], ["b"]]]
    Many.objects.get(text="a").delete()
    assert read() == [[[], ["b"]]]


@pytest.mark.seeds("CB-10")
def test_select_reverse_of_each_kind(second: Second, django_assert_num_queries: Any) -> None:
    """Many-to-many of either end, and a nested path whose outer one is not named."""
    with django_assert_num_queries(2):
        [many] = Many.objects.select_reverse("thirds").filter(text="a")
        assert [third.text for third in many.thirds_cache] == ["a"]  # type: ignore[attr-defined]
    with django_assert_num_queries(3):
        [first] = First.objects.select_reverse("second_set__third_set").all()
        assert [len(row.third_set_cache) for row in first.second_set_cache] == [2]  # type: ignore[attr-defined]


@pytest.mark.seeds("CB-10")
def test_select_reverse_of_nothing() -> None:
    """What is no such relation, and what would hide an attribute."""
    with pytest.raises(ImproperlyConfigured, match="Unsupported mapping obj of Third"):
        Third.objects.select_reverse("obj")
    with pytest.raises(ImproperlyConfigured, match="Unsupported mapping nothing of Third"):
        First.objects.select_reverse("second_set__third_set__nothing")
    Second.third_set_cache = None  # type: ignore[attr-defined]
    try:
        with pytest.raises(ImproperlyConfigured, match="Model Second already has an attribute third_set_cache"):
            Second.objects.select_reverse("third_set")
    finally:
        del Second.third_set_cache  # type: ignore[attr-defined]


# update


@pytest.mark.seeds("CB-11")
def test_post_update(photos: list[Photo]) -> None:
    """Sent after the update, which invalidates by itself: what the rows were, and what they are."""
    heard: list[Any] = []

    def hear(sender: Any, queryset: Any, rows: Any, **_: Any) -> None:
        heard.append((sender, Photo.objects.nocache().filter(status=3).count(), rows))

    def counts() -> list[int]:
        return [Photo.objects.cache().filter(status=status).count() for status in (1, 2, 3)]

    assert counts() == [1, 1, 0]
    post_update.connect(hear)
    try:
        Photo.objects.filter(status=2).update(status=3)
    finally:
        post_update.disconnect(hear)
    assert heard == [(Photo, 1, 1)]
    assert counts() == [1, 0, 1]


@pytest.mark.seeds("CB-11")
def test_post_update_by_hand(photos: list[Photo]) -> None:
    """Sent by others, it invalidates the rows that the queryset matches."""
    assert Photo.objects.cache().filter(status=2).values_list("title", flat=True)[0] == ""
    past_django("UPDATE photos_photo SET title = 'b'")

    post_update.send(sender=Photo, queryset=Photo.objects.filter(status=2))

    assert Photo.objects.cache().filter(status=2).values_list("title", flat=True)[0] == "b"


@pytest.mark.seeds("CB-12")
def test_cache_key(photos: list[Photo]) -> None:
    """Equal querysets have equal keys; another condition or another extra makes another."""
    keys = [
        Photo.objects.filter(status=status).get_cache_key(*extra, **version)
        for status in (1, 2)
        for extra in ((), ("x",))
        for version in ({}, {"version": 2})
    ]

    assert len(set(keys)) == len(keys)
    assert Photo.objects.cache().filter(status=1).get_cache_key() == keys[0]


# Invalidation by hand


@pytest.mark.seeds("CB-13")
def test_invalidate_object(photos: list[Photo]) -> None:
    """Everything that depends on the row, and nothing else."""

    def read(status: int) -> Any:
        return lambda: list(Photo.objects.cache().filter(status=status))

    assert asked(read(1)) == asked(read(2)) == DB_THEN_CACHE
    past_django("UPDATE photos_photo SET title = 'b'")
    invalidate_object(photos[0])

    assert [photo.title for photo in read(1)()] == ["b"]
    assert origin(read(2)) == "cache"


@pytest.mark.seeds("CB-14")
def test_invalidate_cache(photos: list[Photo]) -> None:
    """Many rows, and keys of one's own; in a transaction at its COMMIT."""
    cache.set("mine", 1)
    assert asked(lambda: list(Photo.objects.cache().filter(status=1))) == DB_THEN_CACHE
    with transaction.atomic():
        invalidate_cache(Photo, photos, mine=None)
        assert cache.get("mine") == 1
    assert cache.get("mine") is None
    assert origin(lambda: list(Photo.objects.cache().filter(status=1))) == "database"
    invalidate_cache(Photo, [])


@pytest.mark.seeds("CB-15")
@pytest.mark.parametrize("alias", ["default", "template_fragments"])
def test_invalidate_template_cache(settings: Any, alias: str) -> None:
    """The fragment of Django's own tag, in the cache where that puts it."""
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": alias}
    settings.CACHES = {"default": settings.CACHES["default"], alias: locmem}
    engine = Engine(libraries={"cache": "django.templatetags.cache"})
    template = engine.from_string("{% load cache %}{% cache 60 side user %}{{ text }}{% endcache %}")

    def render(text: str) -> str:
        return template.render(Context({"user": 1, "text": text}))

    assert [render("a"), render("b")] == ["a", "a"]
    invalidate_template_cache("side", 2)
    assert render("b") == "a"
    with transaction.atomic():
        invalidate_template_cache("side", 1)
        assert caches[alias].get(make_template_fragment_key("side", [1])) == "a"
    assert render("b") == "b"


@pytest.mark.seeds("CB-16")
def test_a_result_computed_before_a_write_is_not_stored_after_it(photos: list[Photo]) -> None:
    """The race of cachebot: one thread misses, another saves, the first one stores what it had read."""
    written = threading.Event()

    def write() -> None:
        try:
            Photo.objects.filter(status=1).update(title="new")
        finally:
            connections.close_all()
            caches.close_all()
            written.set()

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        threading.Thread(target=write).start()
        assert written.wait(20)
        return result

    queryset = Photo.objects.cache().filter(status=1).values_list("title", flat=True)
    with connection.execute_wrapper(meanwhile):
        assert list(queryset) == [""]
    assert list(queryset.all()) == ["new"]


@pytest.mark.seeds("CB-S6")
def test_there_are_no_tombstones(photos: list[Photo]) -> None:
    """The first read after a write is stored already."""
    Photo.objects.cache().count()
    Photo.objects.all().delete()

    assert asked(lambda: Photo.objects.cache().count()) == DB_THEN_CACHE


def test_no_registry() -> None:
    """The import of its model says why there is none."""
    with pytest.raises(ImportError, match="no table of used paths has to be kept"):
        import_string("everfresh.compat.cachebot.models.CacheBotSignals")
    assert issubclass(CacheBotException, EverfreshError)


# Commands and helpers


@pytest.mark.seeds("CB-18")
@pytest.mark.parametrize("soft", [True, False])
def test_flush_cache(photos: list[Photo], soft: bool) -> None:
    """Nothing that was stored is served; without --soft the cache is empty too."""
    cache.set("mine", 1)
    assert asked(lambda: list(Photo.objects.cache())) == DB_THEN_CACHE

    call_command("flush_cache", soft=soft)

    assert origin(lambda: list(Photo.objects.cache())) == "database"
    assert cache.get("mine") == (1 if soft else None)


@pytest.mark.seeds("CB-20")
def test_get_many_by_key() -> None:
    """One round trip, by item."""
    cache.set_many({"photo:1": "a", "photo:2": None})

    assert utils.get_many_by_key(lambda item: f"photo:{item}", iter([1, 2, 3])) == {1: "a", 2: None}


@pytest.mark.seeds("CB-20")
def test_fetch_objects(photos: list[Photo], django_assert_num_queries: Any) -> None:
    """Each item from the cache or by the function; what does not exist is left out; never stale."""

    def fetch() -> dict[int, str]:
        return utils.fetch_objects(
            lambda key: f"title of {key}", lambda key: Photo.objects.get(pk=key).title, [photos[0].pk, photos[1].pk, 0]
        )

    with django_assert_num_queries(3):
        assert fetch() == {photos[0].pk: "", photos[1].pk: ""}
    with django_assert_num_queries(0):
        assert fetch() == {photos[0].pk: "", photos[1].pk: ""}
    Photo.objects.filter(pk=photos[1].pk).update(title="b")
    with django_assert_num_queries(1):
        assert fetch() == {photos[0].pk: "", photos[1].pk: "b"}


@pytest.mark.seeds("CB-20")
def test_fetch_instances(photos: list[Photo], django_assert_num_queries: Any) -> None:
    """By value; one query for all that are missing."""
    keys = [photo.pk for photo in photos]
    with django_assert_num_queries(1):
        assert utils.fetch_instances(Photo, "pk", [*keys, 0]) == dict(zip(keys, photos, strict=True))
    with django_assert_num_queries(0):
        assert set(utils.fetch_instances(Photo, "id", map(str, keys))) == {str(key) for key in keys}
    Photo.objects.filter(pk=keys[0]).update(title="new")
    with django_assert_num_queries(1):
        assert utils.fetch_instances(Photo, "pk", keys)[keys[0]].title == "new"
    user = User.objects.get()
    with django_assert_num_queries(1):
        assert utils.fetch_instances(User, "username", ["david", "nobody"]) == {"david": user}
    assert set(utils.fetch_instances(Message, "sender", [user])) == {user}


@pytest.mark.seeds("CB-19")
def test_patch_queryset(monkeypatch: pytest.MonkeyPatch, second: Second) -> None:
    """Every queryset and manager has the methods, other libraries' too."""
    monkeypatch.setattr(models.QuerySet, "update", models.QuerySet.update)
    for owner in (models.QuerySet, models.manager.BaseManager):
        monkeypatch.setattr(owner, "select_reverse", None, raising=False)
        delattr(owner, "select_reverse")
    monkey.patch_all(manager=False)
    monkey.patch_queryset()
    Author.objects.create(name="a")
    heard: list[Any] = []

    def hear(sender: Any, rows: Any, **_: Any) -> None:
        heard.append((sender, rows))

    post_update.connect(hear)
    try:
        Author.objects.update(name="b")
    finally:
        post_update.disconnect(hear)
    assert heard == [(Author, 1)]
    assert [author.books_cache for author in Author.objects.select_reverse("books")] == [[]]


@pytest.mark.seeds("CB-22", "CB-S5")
def test_context_processor(configure: Any) -> None:
    """CACHE_SECONDS is how long an answer may live."""
    request = RequestFactory().get("/")
    configure(TIMEOUT=50)
    assert cache_globals(request) == {"CACHE_SECONDS": 50}
    configure(TIMEOUT=None)
    assert cache_globals(request) == {"CACHE_SECONDS": 0}


@pytest.mark.seeds("CB-S3")
def test_prefixes(configure: Any, photos: list[Photo]) -> None:
    """Two prefixes on one server: neither serves what the other one stored."""
    keys = []
    for prefix in ("development", "production"):
        configure(PREFIX=prefix)
        assert origin(lambda: list(Photo.objects.cache())) == "database"
        keys.append(Photo.objects.get_cache_key())
    assert [key.partition(":")[0] for key in keys] == ["development", "production"]


def test_imports() -> None:
    """The modules of cachebot are where they were, under another package."""
    for name in (
        "managers.CacheBotManager",
        "managers.DjangoManager",
        "queryset.CachedQuerySet",
        "signals.invalidate_object",
        "backends.memcached.PyLibMCCache",
        "utils.flush_cache",
    ):
        assert import_string(f"everfresh.compat.cachebot.{name}")
    assert everfresh.invalidate is import_string("everfresh.compat.cachebot.models.invalidate")
