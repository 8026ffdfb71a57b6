"""What cachebot's README says, line by line: a photo is a user's, and has messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test.utils import isolate_apps

from everfresh.compat.cachebot.monkey import patch_all
from tests.seeds.photos.models import Message, Photo
from tests.seeds.reads import DB_THEN_CACHE, asked, origin
from tests.settings import DB

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:Calling select_related"),
]


@pytest.fixture
def user() -> User:
    """Whose photos they are."""
    return User.objects.create(username="david")


@pytest.fixture
def photo(user: User) -> Photo:
    """One that the queries find."""
    photo = Photo.objects.create(user=user, status=2)
    Message.objects.create(photo=photo, sender=user)
    return photo


def is_invalidated(read: Callable[[], Any], write: Callable[[], Any]) -> bool:
    """Is *read* answered by the database again, after *write*?"""
    list(read())
    assert origin(lambda: list(read())) == "cache"
    write()
    return origin(lambda: list(read())) == "database"


def altered(instance: models.Model, **values: Any) -> Callable[[], None]:
    """A write that saves *instance* with these values."""

    def write() -> None:
        for name, value in values.items():
            setattr(instance, name, value)
        instance.save()

    return write


def another(**values: Any) -> Callable[[], Photo]:
    """A write that makes another user's photo, or one with these values."""
    stranger = User.objects.create(username="stranger")
    return lambda: Photo.objects.create(**{"user": stranger, "status": 1, **values})


@pytest.mark.seeds("CB-3")
def test_cache(user: User, photo: Photo) -> None:
    """Photo.objects.cache().filter(user=user, status=2): the four conditions, and none else."""

    def read() -> Any:
        return Photo.objects.cache().filter(user=user, status=2)

    assert asked(lambda: list(read())) == DB_THEN_CACHE
    assert not is_invalidated(read, another()), "another user's photo of another status"
    # 1. One of the objects returned by the query is altered.
    assert is_invalidated(read, altered(photo, title="b"))
    # 2. The user is altered.
    assert is_invalidated(read, altered(user, first_name="David"))
    stranger = User.objects.get(username="stranger")
    # 3. A Photo is modified and has status = 2.
    assert is_invalidated(read, lambda: Photo.objects.create(user=stranger, status=2))
    # 4. A Photo is modified and has user = user.
    assert is_invalidated(read, lambda: Photo.objects.create(user=user, status=1))
    assert is_invalidated(read, photo.delete)


@pytest.mark.seeds("CB-4")
def test_cache_of_fields(user: User, photo: Photo) -> None:
    """Photo.objects.cache('user').filter(user=user, status=2): no photo counts for its status."""

    def read() -> Any:
        return Photo.objects.cache("user").filter(user=user, status=2)

    assert asked(lambda: list(read())) == DB_THEN_CACHE
    assert not is_invalidated(read, another(status=2))
    assert is_invalidated(read, altered(photo, title="b"))
    assert is_invalidated(read, altered(user, first_name="David"))
    assert is_invalidated(read, lambda: Photo.objects.create(user=user, status=1))


@pytest.mark.seeds("CB-5")
@pytest.mark.parametrize(
    ("build", "counts"),
    [
        pytest.param(
            lambda user: Photo.objects.select_related().cache("user").filter(user__username="david", status=2),
            ("photo", "user"),
            id="select_related",
        ),
        pytest.param(
            lambda user: Photo.objects.cache("user").filter(user__username="david", status=2),
            ("photo", "user"),
            id="forward",
        ),
        pytest.param(
            lambda user: Photo.objects.cache("message__sender").filter(message__sender=user, status=2),
            ("photo", "user", "message"),
            id="reverse",
        ),
    ],
)
def test_spans(user: User, photo: Photo, build: Callable[[User], Any], counts: tuple[str, ...]) -> None:
    """select_related, forward relations and reverse relations."""
    message = Message.objects.get()
    writes = {
        "photo": altered(photo, title="b"),
        "user": altered(user, first_name="David"),
        "message": message.delete,
    }

    assert asked(lambda: list(build(user))) == DB_THEN_CACHE
    for name in counts:
        assert is_invalidated(lambda: build(user), writes[name]), name
    assert not is_invalidated(lambda: build(user), another())


@pytest.mark.seeds("CB-6")
@pytest.mark.skipif(DB == "mariadb", reason="Text has no value tags there.")
def test_ranges_and_excludes(user: User, photo: Photo) -> None:
    """Of caveat 5: a list of users is watched user by user now, and an exclusion by every photo."""
    users = [user, User.objects.create(username="second")]
    stranger = User.objects.create(username="third")

    def among() -> Any:
        return Photo.objects.cache("user").filter(user__in=users, status=2)

    def excluded() -> Any:
        return Photo.objects.cache("user").exclude(user=user, status=2)

    assert is_invalidated(among, altered(users[1], first_name="a"))
    assert is_invalidated(among, lambda: Photo.objects.create(user=users[1], status=1))
    assert not is_invalidated(among, altered(stranger, first_name="a"))
    assert is_invalidated(excluded, lambda: Photo.objects.create(user=stranger, status=1))
    assert is_invalidated(excluded, altered(photo, status=1))


@pytest.mark.seeds("CB-S1", "CB-S2", "CB-1", "CB-19")
@isolate_apps("tests.seeds.photos")
def test_settings_of_managers(monkeypatch: pytest.MonkeyPatch) -> None:
    """models.Manager(cache_get=True) and models.Manager(cache_all=True), once Django is patched."""
    _keep_django(monkeypatch)
    patch_all()

    class Photos(models.Model):
        objects = models.Manager(cache_get=True)  # type: ignore[call-arg]

        class Meta:
            app_label = "photos"

    class All(models.Model):
        objects = models.Manager(cache_all=True)  # type: ignore[call-arg]

        class Meta:
            app_label = "photos"

    class Unnamed(models.Model):
        class Meta:
            app_label = "photos"

    said = [model.objects.all().__dict__["_everfresh"] for model in (Photos, All, Unnamed)]  # type: ignore[attr-defined]
    assert [(each.cache_get, each.cache_all, each.watch.any_of) for each in said] == [
        (True, None, True),
        (True, True, True),
        (None, None, True),
    ]


def _keep_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back at the end what the patches change."""
    monkeypatch.setattr(models, "Manager", models.Manager)
    monkeypatch.setattr(models.base, "Manager", models.base.Manager)  # type: ignore[attr-defined]
    monkeypatch.setattr(models.QuerySet, "update", models.QuerySet.update)
    monkeypatch.setattr(models.QuerySet, "select_reverse", None, raising=False)
    monkeypatch.delattr(models.QuerySet, "select_reverse")
    monkeypatch.setattr(models.manager.BaseManager, "select_reverse", None, raising=False)


@pytest.mark.seeds("CB-13")
def test_many_to_many() -> None:
    """Caveats 2 and 3: symmetric relations work, and the calls by hand are not needed any more."""
    from everfresh.compat.cachebot.signals import invalidate_object

    owner = User.objects.create(username="a")
    user, friend = (Photo.objects.create(user=owner, status=status) for status in (1, 2))

    def friends() -> Any:
        return Photo.objects.cache().filter(friends=friend)

    assert list(friends()) == []
    user.friends.add(friend)
    assert list(friends()) == [user]
    assert is_invalidated(friends, lambda: (invalidate_object(user), invalidate_object(friend)))
    assert list(friends()) == [user]


@pytest.mark.seeds("CB-8")
def test_count(user: User, photo: Photo) -> None:
    """Caveat 4: count() is cached."""

    def read() -> int:
        return Photo.objects.cache().filter(user=user).count()

    assert asked(read) == DB_THEN_CACHE
    Photo.objects.create(user=user, status=1)
    assert read() == 2
