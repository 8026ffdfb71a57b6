"""What cachebot got wrong, by the numbers of its issues where they have one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, transaction

from tests.library.models import Author, Book
from tests.seeds.photos.models import First, Photo, Second, Third, Tree
from tests.seeds.reads import DB_THEN_CACHE, asked, origin

pytestmark = pytest.mark.django_db(transaction=True)


def test_new_rows_are_seen() -> None:
    """Its issues 3 and 7: all() depends on inserts."""
    assert list(First.objects.cache().all()) == []
    row = First.objects.create(text="a")
    assert list(First.objects.cache().all()) == [row]


def test_relations_to_self() -> None:
    """Its issue 2: a foreign key to the same model is followed, and watched."""
    root = Tree.objects.create(text="root")
    leaf = Tree.objects.create(parent=root)

    def read() -> list[str]:
        return [row.parent.text for row in Tree.objects.cache("parent").select_related("parent").filter(parent=root)]

    assert read() == ["root"]
    root.text = "changed"
    root.save()
    assert read() == ["changed"]
    assert list(Tree.objects.cache().filter(parent__parent=None, parent__text="changed")) == [leaf]
    Tree.objects.filter(pk=root.pk).delete()
    assert read() == []


def test_third_party_models(configure: Any) -> None:
    """Its issue 6: by the settings alone, whatever their manager."""
    user = User.objects.create_user("david", password="secret")
    configure(MODELS={"auth.User": {"ops": "all"}})

    assert asked(lambda: User.objects.get(username="david")) == DB_THEN_CACHE
    assert asked(lambda: list(User.objects.filter(is_staff=False))) == DB_THEN_CACHE
    user.set_password("other")
    user.save()
    assert User.objects.get(username="david").check_password("other")
    user.groups.create(name="editors")
    assert User.objects.filter(groups__name="editors").count() == 1
    user.groups.clear()
    assert User.objects.filter(groups__name="editors").count() == 0


def test_reads_write_nothing_to_the_database(photos: list[Photo], django_assert_num_queries: Any) -> None:
    """A read is one SELECT, also the first of its kind; in a broken transaction it is Django's error."""
    with django_assert_num_queries(1) as captured:
        list(Photo.objects.cache().filter(user__username="david"))
    assert captured.captured_queries[0]["sql"].startswith("SELECT")


def test_lost_keys_are_misses(photos: list[Photo]) -> None:
    """Whatever the cache drops, nothing stale is served."""
    assert asked(lambda: list(Photo.objects.cache())) == DB_THEN_CACHE
    cache.clear()
    Photo.objects.all().delete()
    assert list(Photo.objects.cache()) == []


def test_updates_cover_the_new_values(photos: list[Photo]) -> None:
    """update() of values(), bulk_create, bulk_update and raw SQL too."""

    def of(status: int) -> int:
        return len(Photo.objects.cache().filter(status=status))

    assert [of(1), of(2), of(3)] == [1, 1, 0]
    Photo.objects.filter(status=1).values("id").update(status=2)
    assert [of(1), of(2), of(3)] == [0, 2, 0]
    for photo in photos:
        photo.status = 3
    Photo.objects.bulk_update(photos, ["status"])
    assert [of(1), of(2), of(3)] == [0, 0, 2]
    Photo.objects.bulk_create([Photo(user=photos[0].user, status=1)])
    assert [of(1), of(2), of(3)] == [1, 0, 2]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE photos_photo SET status = 2")
    assert [of(1), of(2), of(3)] == [0, 3, 0]


def test_a_rolled_back_write_is_none(photos: list[Photo]) -> None:
    """It invalidates nothing, and what was read inside is not kept."""
    assert asked(lambda: list(Photo.objects.cache())) == DB_THEN_CACHE
    with transaction.atomic():
        Photo.objects.all().delete()
        assert list(Photo.objects.cache()) == []
        transaction.set_rollback(True)
    assert origin(lambda: list(Photo.objects.cache())) == "cache"
    assert len(Photo.objects.cache()) == 2


def test_keys_of_odd_queries() -> None:
    """A literal %, a list of nothing, none(), another database."""
    First.objects.create(text="100%")

    assert asked(lambda: list(First.objects.cache().filter(text__contains="0%"))) == DB_THEN_CACHE
    assert len(First.objects.cache().filter(text="100%")) == 1
    assert list(First.objects.cache().filter(pk__in=[])) == list(First.objects.cache().none()) == []


def test_get_keeps_what_was_said() -> None:
    """The fields named before it, through a manager of any name."""
    second = Second.objects.create(obj=First.objects.create(text="a"), text="b")
    third = Third._default_manager.create(obj=second, text="c")
    queryset = Third._default_manager.cache("obj").filter(obj=second)

    assert asked(lambda: queryset.get(text="c")) == DB_THEN_CACHE
    Third.objects.create(obj=Second.objects.create(obj=second.obj, text="b"), text="c")
    assert origin(lambda: queryset.get(text="c")) == "cache"
    assert queryset.get(text="c") == third


def test_what_must_pass_through(photos: list[Photo]) -> None:
    """iterator() and select_for_update() are not cached; a result that is read in part is."""
    assert asked(lambda: list(Photo.objects.cache().iterator())) == ["database"] * 2
    with transaction.atomic():
        assert asked(lambda: list(Photo.objects.cache().select_for_update())) == ["database"] * 2
    assert asked(lambda: next(iter(Photo.objects.cache().filter(status=1)))) == DB_THEN_CACHE


def test_nested_queries_are_watched(photos: list[Photo]) -> None:
    """What a subquery reads counts."""

    def read() -> int:
        senders = User.objects.filter(message__photo__status=2)
        return len(Book.objects.cache().filter(author__name__in=senders.values("username")))

    Book.objects.create(title="a", author=Author.objects.create(name="david"))
    assert read() == 1
    Photo.objects.filter(status=2).update(status=4)
    assert read() == 0
