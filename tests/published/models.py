"""Authors write posts, posts have comments and a category; saving each publishes the ones above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection, models

from everfresh.compat import cachemodel
from everfresh.methods import cached_method, denormalized_field
from everfresh.models import CachedTable, CacheModel

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Author(CacheModel):
    first_name = models.CharField(max_length=50)
    last_name = models.CharField(max_length=50)
    email = models.EmailField(unique=True, null=True)

    if TYPE_CHECKING:
        posts: RelatedManager[Post]

    class Meta:
        indexes = [models.Index(fields=["first_name", "last_name"], name="author_names")]

    def publish(self) -> None:
        super().publish()
        self.publish_by("first_name", "last_name")
        self.publish_by("email")

    @cached_method(auto_publish=True)
    def num_posts(self) -> int:
        return self.posts.count()

    @cached_method
    def titles(self) -> list[str]:
        return [post.title for post in self.posts.order_by("id")]

    @cached_method()
    def full_name(self, separator: str = " ") -> str:
        return f"{self.first_name}{separator}{self.last_name}"

    @cached_method
    def posts_by_title(self, title: str) -> Any:
        return self.posts.filter(title=title)

    @cached_method(auto_publish=True)
    def needs_an_argument(self, title: str) -> int:
        return self.posts.filter(title=title).count()

    @cached_method(depends_on=["published.Post"])
    def titles_by_hand(self) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT title FROM published_post WHERE author_id = %s ORDER BY id", [self.pk])
            return [title for (title,) in cursor.fetchall()]

    @cached_method(depends_on=["published.Post"])
    def name_by_hand(self) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM published_post")
        return self.first_name

    @cached_method
    def first_missing(self) -> Post | None:
        return self.posts.filter(title="missing").first()


class Category(CachedTable):
    name = models.CharField(max_length=50)
    slug = models.SlugField(unique=True)
    rank = models.IntegerField(default=0)


class Post(CacheModel):
    author = models.ForeignKey(Author, models.CASCADE, related_name="posts")
    category = models.ForeignKey(Category, models.SET_NULL, null=True)
    title = models.CharField(max_length=50)
    slug = models.SlugField(unique=True)
    date = models.DateField(null=True)
    popularity = models.IntegerField(default=-1)

    if TYPE_CHECKING:
        comments: RelatedManager[Comment]

    def publish(self) -> None:
        super().publish()
        self.publish_by("slug")
        self.author.publish()

    @denormalized_field("popularity")
    def count_comments(self) -> int:
        return self.comments.count()


class Comment(CacheModel):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    text = models.CharField(max_length=50)

    def publish(self) -> None:
        super().publish()
        self.post.publish()


class Badge(CacheModel):
    """Published after every write, not after ``save()`` only: see the settings of its tests."""

    name = models.CharField(max_length=50, unique=True)
    points = models.IntegerField(default=0)


class Fancy(cachemodel.CacheModel):
    """As in cachemodel's README, but that fields are named without their values."""

    name = models.CharField(max_length=50)

    factor = [2]
    flushed = 0

    def publish(self) -> None:
        super().publish()
        self.publish_by("name")

    def flush_cache(self) -> None:
        super().flush_cache()
        self.flushed += 1

    @cachemodel.cached_method(cache_timeout=60, cache_key="double")
    def doubled(self) -> str:
        return self.name * self.factor[0]
