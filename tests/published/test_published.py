"""Published models: after a commit the first read asks nothing, and no write leaves an old entry behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from everfresh.methods import cached_method, decorated, denormalized_field
from everfresh.signals import rows_written
from tests.conftest import Configure, Elsewhere
from tests.published.models import Author, Badge, Category, Comment, Post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def author() -> Author:
    """A saved author."""
    return Author.objects.create(first_name="Ada", last_name="L", email="ada@example.org")


@pytest.fixture
def post(author: Author) -> Post:
    """Her post."""
    return Post.objects.create(author=author, title="One", slug="one")


# Reading what was published


@pytest.mark.seeds("CM-2", "CM-3", "CM-5", "CM-7", "CM-11")
def test_first_read_after_a_save(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The row, and every lookup that publish() names, are there before anybody asks."""
    with django_assert_num_queries(0):
        assert Author.cached.get(pk=author.pk) == author
        assert Author.cached.get(id=author.pk).email == "ada@example.org"
        assert Author.cached.get(last_name="L", first_name="Ada") == author
        assert Author.cached.get(email="ada@example.org") == author
    author.first_name = "Augusta"
    author.save()
    with django_assert_num_queries(0):
        assert Author.cached.get(pk=author.pk).first_name == "Augusta"
        assert Author.cached.get(first_name="Augusta", last_name="L") == author
    with pytest.raises(Author.DoesNotExist):
        Author.cached.get(first_name="Ada", last_name="L")


@pytest.mark.seeds("CM-2", "CM-11")
def test_objects_ask_the_database(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """`objects` is a plain manager, and the default one."""
    with django_assert_num_queries(1):
        Author.objects.get(pk=author.pk)
    assert Author._default_manager is Author.objects


@pytest.mark.seeds("CM-11")
def test_lookup_that_nobody_published(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Any arguments become part of the key, in any order; what is found is kept, and what is not as well."""
    with django_assert_num_queries(1):
        assert Author.cached.get(first_name="Ada", email="ada@example.org") == author
    with django_assert_num_queries(0):
        assert Author.cached.get(email="ada@example.org", first_name="Ada") == author
    with django_assert_num_queries(1):
        for _ in range(2):
            with pytest.raises(Author.DoesNotExist):
                Author.cached.get(first_name="Bob")
    Author.objects.create(first_name="Bob", last_name="B")
    assert Author.cached.get(first_name="Bob").last_name == "B"
    Author.objects.create(first_name="Bob", last_name="C")
    with pytest.raises(Author.MultipleObjectsReturned):
        Author.cached.get(first_name="Bob")


@pytest.mark.seeds("CM-4", "CM-8")
def test_delete(author: Author, post: Post) -> None:
    """It is gone by every key, and delete() says what it deleted."""
    key = author.pk
    assert author.delete()[1] == {"published.Post": 1, "published.Author": 1}
    for lookup in ({"pk": key}, {"email": "ada@example.org"}, {"first_name": "Ada", "last_name": "L"}):
        with pytest.raises(Author.DoesNotExist):
            Author.cached.get(**lookup)
    with pytest.raises(Post.DoesNotExist):
        Post.cached.get(slug="one")


@pytest.mark.seeds("CM-6", "CM-8")
def test_publish_key_and_delete(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The key is that of the entry which get() reads, and deleting it makes that ask once more."""
    assert author.publish_key("pk") != author.publish_key("email")
    assert author.publish_key("first_name", "last_name") == author.publish_key("last_name", "first_name")
    author.publish_delete("email")
    with django_assert_num_queries(1):
        assert Author.cached.get(email="ada@example.org") == author
    with django_assert_num_queries(0):
        assert Author.cached.get(email="ada@example.org") == author


@pytest.mark.seeds("CM-7")
def test_value_form_of_the_readme(author: Author) -> None:
    """The README of cachemodel passed the value too, which never worked: the error says what to write."""
    with pytest.raises(FieldDoesNotExist, match=r"'Ada' is no field of published.Author. Name fields only"):
        author.publish_by("first_name", author.first_name)


@pytest.mark.seeds("CM-5")
def test_trickle_up(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Saving a comment publishes its post and its author, whose methods and columns are fresh."""
    with django_assert_num_queries(0):
        assert author.num_posts() == 1
    Comment.objects.create(post=post, text="!")
    with django_assert_num_queries(0):
        assert Post.cached.get(slug="one").popularity == 1
    Post.objects.create(author=author, title="Two", slug="two")
    with django_assert_num_queries(0):
        assert author.num_posts() == 2


@pytest.mark.seeds("CM-12")
def test_get_or_create(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """What is in the cache is found there; what has to be created is published."""
    with django_assert_num_queries(0):
        assert Author.cached.get_or_create(email="ada@example.org", defaults={"first_name": "X"}) == (author, False)
    created, is_new = Author.cached.get_or_create(email="bob@example.org", defaults={"first_name": "Bob"})
    assert is_new
    with django_assert_num_queries(0):
        assert Author.cached.get_or_create(email="bob@example.org") == (created, False)


# Never stale, whoever writes


def _update(author: Author) -> None:
    Author.objects.filter(pk=author.pk).update(first_name="New")


def _update_expression(author: Author) -> None:
    Author.objects.filter(pk=author.pk).update(first_name=F("last_name"))
    Author.objects.filter(pk=author.pk).update(first_name="New")


def _bulk_update(author: Author) -> None:
    author.first_name = "New"
    Author.objects.bulk_update([author], ["first_name"])


def _raw(author: Author) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE published_author SET first_name = 'New' WHERE id = %s", [author.pk])


def _upsert(author: Author) -> None:
    author.first_name = "New"
    unique = [] if connection.vendor == "mysql" else ["id"]
    Author.objects.bulk_create(
        [author], update_conflicts=True, update_fields=["first_name"], unique_fields=unique or None
    )


@pytest.mark.seeds("CM-3", "CM-7")
@pytest.mark.parametrize("write", [_update, _update_expression, _bulk_update, _raw, _upsert])
def test_every_write_path(write: Callable[[Author], None], author: Author) -> None:
    """An index that another write path changed is gone, and the new one is found."""
    write(author)
    assert Author.cached.get(pk=author.pk).first_name == "New"
    assert Author.cached.get(first_name="New", last_name="L") == author
    with pytest.raises(Author.DoesNotExist):
        Author.cached.get(first_name="Ada", last_name="L")


@pytest.mark.seeds("CM-3")
def test_rollback_publishes_nothing(author: Author, elsewhere: Elsewhere) -> None:
    """Neither others nor the next transaction see what never happened."""
    with transaction.atomic():
        author.first_name = "Never"
        author.save()
        assert Author.cached.get(pk=author.pk).first_name == "Never"
        assert elsewhere(lambda: Author.cached.get(pk=author.pk).first_name) == "Ada"
        transaction.set_rollback(True)
    assert Author.cached.get(pk=author.pk).first_name == "Ada"


@pytest.mark.seeds("CM-3")
def test_published_row_is_the_database_s(author: Author) -> None:
    """Not the instance as it was in memory: expressions, values of another type and loaded relations stay out of it."""
    post = Post(author=author, title="T", slug="s", date="2020-01-31")  # type: ignore[misc]
    post.save()
    found = Post.cached.get(pk=post.pk)
    assert found.date.isoformat() == "2020-01-31"  # type: ignore[union-attr]
    assert "author" not in found._state.fields_cache
    badge = Badge.objects.create(name="b", points=1)
    badge.points = F("points") + 1
    badge.save()
    assert Badge.cached.get(pk=badge.pk).points == 2


# Methods


@pytest.mark.seeds("CM-14")
def test_cached_method(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """One result for each row and set of arguments, whichever way they are given."""
    assert author.titles() == ["One"]
    assert author.full_name(separator="-") == "Ada-L"
    other = Author.objects.create(first_name="B", last_name="C")
    assert other.titles() == []
    with django_assert_num_queries(0):
        assert author.titles() == ["One"]
        assert other.titles() == []
        assert author.full_name("-") == "Ada-L"
    assert author.full_name() == "Ada L"


@pytest.mark.seeds("CM-14")
def test_cached_method_is_never_stale(post: Post, author: Author) -> None:
    """Without auto_publish too, and whatever it was that it read: other rows, or the row itself."""
    assert author.titles() == ["One"]
    Post.objects.filter(pk=post.pk).update(title="Two")
    assert author.titles() == ["Two"]
    assert author.full_name() == "Ada L"
    Author.objects.filter(pk=author.pk).update(last_name="Z")
    assert author.full_name() == "Ada Z"


@pytest.mark.seeds("CM-14")
def test_old_instance_does_not_poison(author: Author) -> None:
    """An instance that was loaded before a write computes from the row as it is now."""
    old = Author.objects.get(pk=author.pk)
    Author.objects.filter(pk=author.pk).update(first_name="New")
    assert old.full_name() == "New L"
    assert Author.objects.get(pk=author.pk).full_name() == "New L"


@pytest.mark.seeds("CM-14")
def test_returned_queryset(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """It is evaluated and kept; the second call asks nothing, and membership works."""
    author.posts_by_title("One")
    with django_assert_num_queries(0):
        assert post in author.posts_by_title("One")
    Post.objects.filter(pk=post.pk).update(title="Other")
    assert list(author.posts_by_title("One")) == []


def test_raw_sql_in_a_method(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Kept, where it says which models it depends on."""
    assert author.titles_by_hand() == ["One"]
    with django_assert_num_queries(0):
        assert author.titles_by_hand() == ["One"]
    Post.objects.filter(pk=post.pk).update(title="Two")
    assert author.titles_by_hand() == ["Two"]


@pytest.mark.seeds("CM-14")
def test_none_is_kept(author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """A result of `None` is a result."""
    assert author.first_missing() is None
    with django_assert_num_queries(0):
        assert author.first_missing() is None
    Post.objects.create(author=author, title="missing", slug="m")
    assert author.first_missing() is not None


@pytest.mark.seeds("CM-5", "CM-14")
def test_auto_publish(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The first call after a save asks nothing; a method that needs arguments is not called."""
    author.save()
    with django_assert_num_queries(0):
        assert author.num_posts() == 1
    assert author.needs_an_argument("One") == 1


@pytest.mark.seeds("CM-9")
def test_publish_method(post: Post, author: Author, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Computes now, and keeps it; nothing else is a cached method."""
    assert author.publish_method("full_name", separator="+") == "Ada+L"
    with django_assert_num_queries(0):
        assert author.full_name("+") == "Ada+L"
    with pytest.raises(AttributeError, match=r"method 'publish' is not a cached_method\."):
        author.publish_method("publish")


@pytest.mark.seeds("CM-14")
def test_unsaved_instances_share_nothing() -> None:
    """They have no key."""
    assert Author(first_name="A", last_name="B").full_name() == "A B"
    assert Author(first_name="C", last_name="D").full_name() == "C D"


def test_row_that_is_not_there(author: Author) -> None:
    """What an instance computes whose row is gone is nobody else's, whatever the method says it depends on."""
    gone = Author(pk=author.pk + 1, first_name="A", last_name="B")
    other = Author(pk=author.pk + 1, first_name="C", last_name="D")
    assert [each.name_by_hand() for each in (gone, other)] == ["A", "C"]
    assert [each.full_name() for each in (gone, other)] == ["A B", "C D"]


def test_denormalized_field_is_computed_once(author: Author) -> None:
    """At each save, the first one included; whoever publishes the row later computes it then."""
    post = Post(author=author, title="One", slug="one")
    for publish in (post.save, post.save, post.publish):
        with CaptureQueriesContext(connection) as queries:
            publish()
        counts = [query for query in queries.captured_queries if "published_comment" in query["sql"]]
        assert len(counts) == 1


@pytest.mark.seeds("CM-14")
def test_argument_without_a_key(author: Author) -> None:
    """Is a clear error."""
    with pytest.raises(TypeError, match="has no stable key"):
        author.posts_by_title(object())  # type: ignore[arg-type]


@pytest.mark.seeds("CM-14", "CM-16")
def test_markers() -> None:
    """Whoever looked at them finds them still."""
    assert {name for name, _ in decorated(Author, "_cached_method_auto_publish")} == {"num_posts", "needs_an_argument"}
    assert Author.num_posts._cached_method_target.__name__ == "num_posts"  # type: ignore[attr-defined]

    @cached_method
    def bare(self: Author) -> None: ...

    assert bare._cached_method  # type: ignore[attr-defined]


# Denormalized fields


@pytest.mark.seeds("CM-10", "CM-15")
def test_denormalized_field(post: Post, author: Author) -> None:
    """Set at every save, the first one too, also where only some fields are updated; parents are recomputed."""
    assert Post.objects.get(pk=post.pk).popularity == 0
    Comment.objects.create(post=post, text="!")
    assert Post.objects.get(pk=post.pk).popularity == 1
    Comment.objects.bulk_create([Comment(post=post, text="?")])
    post.title = "New"
    post.save(update_fields=["title"])
    assert Post.objects.get(pk=post.pk).popularity == post.popularity == 2


@pytest.mark.seeds("CM-15")
def test_denormalized_field_without_a_name() -> None:
    """Is an error that says so."""
    with pytest.raises(TypeError, match="You must pass a field name to @denormalized_field"):
        denormalized_field(lambda self: 1)  # type: ignore[arg-type]


# Tables


@pytest.fixture
def categories() -> Iterator[None]:
    """Four of them."""
    for at, slug in enumerate(("foo", "bar", "baz", "qux"), 1):
        Category.objects.create(id=at, name=slug.title(), slug=slug, rank=at % 2)
    return


@pytest.mark.seeds("CM-17")
def test_cached_table(categories: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """All rows, and each by any field, without a query; after any write too."""
    with django_assert_num_queries(0):
        assert len(Category.cached.all()) == 4
        assert Category.cached.get(slug="foo").pk == 1
        assert Category.cached.get(id=2).slug == Category.cached.get(pk="2").slug == "bar"
        with pytest.raises(Category.DoesNotExist):
            Category.cached.get(slug="none")
        with pytest.raises(Category.MultipleObjectsReturned):
            Category.cached.get(rank=1)
        with pytest.raises(NotImplementedError, match=r"Multiple indices are not supported on CachedTable\."):
            Category.cached.get(slug="foo", rank=1)


@pytest.mark.seeds("CM-17")
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: Category.objects.filter(pk=1).update(slug="new"), id="update"),
        pytest.param(lambda: Category.objects.get(pk=1).delete(), id="delete"),
        pytest.param(lambda: Category.objects.bulk_create([Category(id=9, name="N", slug="n")]), id="bulk_create"),
        pytest.param(lambda: connection.cursor().execute("DELETE FROM published_category WHERE id = 2"), id="raw"),
    ],
)
def test_cached_table_after_any_write(
    write: Callable[[], Any], categories: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """It is in the cache again before anybody asks."""
    write()
    with django_assert_num_queries(0):
        cached = {(row.pk, row.slug) for row in Category.cached.all()}
    assert cached == set(Category.objects.values_list("pk", "slug"))


# Published again after every write


@pytest.mark.seeds("CM-3")
def test_republish(configure: Configure, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """By a setting, rows that update() and its like wrote are published again as well."""
    configure(MODELS={"published.Badge": {"republish": True}})
    badges = [Badge.objects.create(name=name) for name in "abc"]
    Badge.objects.filter(name__in="ab").update(points=5)
    with django_assert_num_queries(0):
        assert [Badge.cached.get(pk=badge.pk).points for badge in badges] == [5, 5, 0]
    with transaction.atomic():
        Badge.objects.filter(name="c").update(points=7)
    with django_assert_num_queries(0):
        assert Badge.cached.get(pk=badges[2].pk).points == 7


def test_rows_written_tells_what_was_committed(author: Author) -> None:
    """The rows by table, once for a transaction, and nothing of a savepoint that was rolled back."""
    told: list[dict[str, set[Any] | None]] = []

    def note(tables: dict[str, set[Any] | None], **_: Any) -> None:
        told.append(tables)

    rows_written.connect(note)
    try:
        with transaction.atomic():
            Author.objects.filter(pk=author.pk).update(first_name="x")
            Badge.objects.create(id=5, name="five")
            with transaction.atomic():
                Category.objects.create(name="n", slug="n")
                transaction.set_rollback(True)
        _raw(author)
        with transaction.atomic():
            Badge.objects.all().delete()
            transaction.set_rollback(True)
    finally:
        rows_written.disconnect(note)
    assert told == [{"published_author": {author.pk}, "published_badge": {5}}, {"published_author": None}]


def test_connection_that_no_alias_leads_to(caplog: pytest.LogCaptureFixture) -> None:
    """Django drops test databases by one. What is written there is told to nobody: nobody reads by it."""
    told: list[Any] = []

    def note(**news: Any) -> None:
        told.append(news)

    rows_written.connect(note)
    nobody_s = connection.copy("__no_db__")
    try:
        with nobody_s.cursor() as cursor:
            cursor.execute("DELETE FROM published_category WHERE id = 5")
    finally:
        nobody_s.close()
        rows_written.disconnect(note)
    assert told == []
    assert caplog.records == []


def test_write_that_failed_is_told_to_nobody(author: Author) -> None:
    """Not with the next one either."""
    told: list[dict[str, Any]] = []

    def note(tables: dict[str, Any], **_: Any) -> None:
        told.append(tables)

    rows_written.connect(note)
    try:
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("UPDATE published_badge SET nothing = 1")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE published_author SET first_name = 'x'")
    finally:
        rows_written.disconnect(note)
    assert told == [{"published_author": None}]
