"""cache-sweeper: its tag, its functions, its mixin, as its README and its tests have them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.template import TemplateSyntaxError
from django.utils import translation

from everfresh.compat.cachesweeper import models, utils
from everfresh.compat.cachesweeper.utils import (
    cache_token_key_for_record,
    generate_fragment_cache_key_for_record,
    invalidate_cache_for,
    invalidate_cache_handler,
    update_cache_token_for_record,
    update_cache_token_for_record_with_attribute,
    update_cache_token_for_record_with_counter,
)
from tests.conftest import Configure, Elsewhere
from tests.fragments.probes import during, runs
from tests.fragments.rendering import FILL, HIT, Page
from tests.seeds.sweeping.models import Article, Comment, Dated, PlainVote, Topic, Vote

pytestmark = pytest.mark.django_db(transaction=True)


def page(tag: str = 'comment 500 "detail"', body: str = "{% run %}{{ comment }}") -> Page:
    """A page with one fragment."""
    return Page(f"{{% load cachesweeper_tags %}}{{% cachesweeper {tag} %}}{body}{{% endcachesweeper %}}")


@pytest.fixture(autouse=True)
def _clear() -> None:
    runs.clear()
    cache.clear()


@pytest.fixture
def article() -> Article:
    """An article with a topic."""
    article = Article.objects.create(title="article")
    article.topics.add(Topic.objects.create(name="topic"))
    return article


@pytest.fixture
def comment(article: Article) -> Comment:
    """A comment on it."""
    return Comment.objects.create(article=article, text="comment")


# The tag


@pytest.mark.seeds("CS-1")
def test_tag(comment: Comment) -> None:
    """The block is rendered once for each record and each set of keys."""
    found = page('comment 500 "detail" user.pk')
    assert found(comment=comment, user=User(pk=1)) == "comment"
    assert found(comment=comment, user=User(pk=1)) == "comment"
    assert found.outcomes == [HIT]
    found(comment=comment, user=User(pk=2))
    assert found.outcomes == [FILL]
    found(comment=Comment.objects.create(article=comment.article, text="other"), user=User(pk=1))
    assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-1")
def test_empty_block_is_a_hit(comment: Comment) -> None:
    """An empty text is a text."""
    found = page(body="{% run %}")
    assert found(comment=comment) == found(comment=comment) == ""
    assert runs == [""]


@pytest.mark.seeds("CS-1")
@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("comment 500", "'cachesweeper' tag requires at least 3 arguments"),
        ('comment 500 using="text"', "'cachesweeper' tag requires at least 3 arguments"),
        ('nothing 500 "x"', "\"cachesweeper\" tag got an unknown variable: 'nothing'"),
        ('comment seconds "x"', "\"cachesweeper\" tag got an unknown variable: 'seconds'"),
        ('comment "soon" "x"', "\"cachesweeper\" tag got a non-integer timeout value: 'soon'"),
        ('name 500 "x"', "\"cachesweeper\" tag: model should be an instance of django.db.models.Model, got: 'n'"),
        ('comment 500 "x" using="version"', "has no such attribute."),
    ],
)
def test_errors(tag: str, error: str, comment: Comment) -> None:
    """They say what the tag got."""
    with pytest.raises(TemplateSyntaxError) as raised:
        page(tag)(comment=comment, name="n")
    assert error in str(raised.value)


@pytest.mark.seeds("CS-F5")
def test_what_the_tag_could_not_do(comment: Comment) -> None:
    """Filters, keys that are not there, no timeout, each language its own, and what it uses from outside."""
    found = page('comment seconds|default:"60" name|lower nothing.at_all', "{% run %}{{ name }}{{ mark }}")
    for context in ({"name": "n"}, {"name": "N"}, {"name": "n", "seconds": 60}, {"name": "n"}):
        assert found(comment=comment, **context) == "n"
    assert len(runs) == 1
    with translation.override("nl"):
        found(comment=comment, name="n")
    assert len(runs) == 2
    assert found(comment=comment, name="n", mark="!") == "n!"
    forever = page('comment None "detail"')
    forever(comment=comment)
    forever(comment=comment)
    assert forever.outcomes == [HIT]


@pytest.mark.seeds("CS-F5")
def test_unsaved_record_shares_nothing(article: Article) -> None:
    """It has no key, so its fragment is not kept."""
    found = page()
    assert [found(comment=Comment(text=text, article=article)) for text in "ab"] == ["a", "b"]
    with pytest.raises(ValueError, match="is not saved, so it has no version"):
        cache_token_key_for_record(Comment(text="a"))


@pytest.mark.seeds("CS-F5")
def test_switched_off(comment: Comment, configure: Configure) -> None:
    """There is a mode without a cache."""
    configure(ENABLED=False)
    found = page()
    found(comment=comment)
    found(comment=comment)
    assert len(runs) == 2


@pytest.mark.seeds("CS-F4")
def test_timeout_of_zero_stores_nothing(comment: Comment) -> None:
    """Of fragments; None is for ever."""
    found = page('comment 0 "detail"')
    found(comment=comment)
    found(comment=comment)
    assert len(runs) == 2


@pytest.mark.seeds("CS-D1")
def test_version_by_an_attribute(comment: Comment, django_assert_num_queries: Any) -> None:
    """It is read off the instance: no version is kept anywhere, and nobody has to say that anything changed."""
    found = page('comment 500 "detail" using="text"', "{% run %}{{ comment.article_id }}")
    found(comment=comment)
    invalidate_cache_for(comment)
    with django_assert_num_queries(0):
        found(comment=comment)
    assert found.outcomes == [HIT]
    comment.text = "changed"
    found(comment=comment)
    assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-D1")
def test_version_by_an_attribute_of_the_model() -> None:
    """The model may say so, once."""
    dated = Dated.objects.create(text="old", updated=1)
    found = page('dated 500 "detail"', "{{ dated.text }}")
    assert found(dated=dated) == "old"
    Dated.objects.filter(pk=dated.pk).update(text="new")
    dated.refresh_from_db()
    assert found(dated=dated) == "old"
    dated.updated = 2
    assert found(dated=dated) == "new"
    assert isinstance(dated.cachesweeper_version, str)


# Versions


@pytest.mark.seeds("CS-2")
def test_version_key(comment: Comment) -> None:
    """Its module, its class, its primary key."""
    user = User.objects.create(pk=1, username="ann")
    assert cache_token_key_for_record(user) == "django.contrib.auth.models:User:1"
    assert comment.cachesweeper_version_key == f"tests.seeds.sweeping.models:Comment:{comment.pk}"


@pytest.mark.seeds("CS-F4")
def test_version_key_is_one_that_caches_take() -> None:
    """A key with spaces, a long one, another database."""
    keys = [cache_token_key_for_record(User(pk=key)) for key in ("a b", "c" * 500, "é", "é!", 1)]
    assert all(len(key) < 200 and key.isascii() and " " not in key for key in keys)
    assert len({*keys}) == 5
    elsewhere = User(pk=1)
    elsewhere._state.db = "other"
    assert cache_token_key_for_record(elsewhere) == "django.contrib.auth.models:User:1@other"


@pytest.mark.seeds("CS-3")
def test_fragment_key(comment: Comment) -> None:
    """For what a project keeps itself: another one for each set of keys, and after each sweep."""
    key = generate_fragment_cache_key_for_record
    first = key(comment, "a", 1)
    assert first == key(comment, "a", 1)
    assert first.startswith(f"cachesweeper.{comment.cachesweeper_version_key}.")
    assert len({first, key(comment, "a", "1"), key(comment, "a:1"), key(comment, "a b")}) == 4
    assert " " not in key(comment, "a b")
    invalidate_cache_for(comment)
    assert key(comment, "a", 1) != first


@pytest.mark.seeds("CS-4")
def test_invalidate_cache_for(comment: Comment) -> None:
    """Counts from 0, and gives the new version; or makes one of an attribute."""
    user = User.objects.create(username="ann")
    assert [invalidate_cache_for(user) for _ in range(3)] == [0, 1, 2]
    found = page()
    found(comment=comment)
    invalidate_cache_for(comment)
    found(comment=comment)
    assert found.outcomes == [FILL]
    token = invalidate_cache_for(comment, using="text")
    assert isinstance(token, str)
    assert token == comment.cachesweeper_version == invalidate_cache_for(comment, using="text")
    found(comment=comment)
    assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-F6", "CS-4")
def test_invalidation_waits_for_the_commit(comment: Comment, elsewhere: Elsewhere) -> None:
    """Nobody renders anew what is not committed, and a rollback sweeps nothing."""
    found = page()
    found(comment=comment)
    version = comment.cachesweeper_version
    with transaction.atomic():
        assert invalidate_cache_for(comment) == version + 1
        assert comment.cachesweeper_version == version
        transaction.set_rollback(True)
    found(comment=comment)
    assert found.outcomes == [HIT]
    with transaction.atomic():
        invalidate_cache_for(comment)
    found(comment=comment)
    assert found.outcomes == [FILL]
    assert comment.cachesweeper_version == version + 1


@pytest.mark.seeds("CS-5")
def test_functions(comment: Comment) -> None:
    """Those that sweep nothing, and the receiver."""
    user = User.objects.create(username="ann")
    assert update_cache_token_for_record(user) == 0
    assert update_cache_token_for_record_with_counter(user) == 1
    token = update_cache_token_for_record_with_attribute(user, "username")
    assert token == update_cache_token_for_record(user, using="username") == utils.token_of(user)

    found = page()
    found(comment=comment)
    invalidate_cache_handler(sender=Comment, instance=comment, created=False)
    found(comment=comment)
    assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-F3")
def test_counter_after_an_attribute(comment: Comment) -> None:
    """What cannot be counted up begins anew."""
    invalidate_cache_for(comment, using="text")
    assert [invalidate_cache_for(comment), invalidate_cache_for(comment)] == [1, 2]


@pytest.mark.seeds("CS-F3")
def test_counting_at_one_time(store_kind: str) -> None:
    """No count is lost."""
    if store_kind in ("file", "database"):
        pytest.skip("Django's incr() of this backend reads and writes")
    user = User(pk=1)

    def count(_: int) -> None:
        try:
            update_cache_token_for_record_with_counter(user)
        finally:
            caches.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(40)))
    assert utils.token_of(user) == 39


@pytest.mark.seeds("CS-7")
def test_versions_do_not_end(comment: Comment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by time; and nothing is deleted when a record is swept: what was rendered before cannot be reached."""
    lifetimes = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            method = getattr(cache, name)
            if name not in ("add", "set", "get_or_set"):
                return method

            def noting(key: str, value: object, timeout: float | None = 300) -> Any:
                lifetimes.append(timeout)
                return method(key, value, timeout)

            return noting

    monkeypatch.setattr(utils, "_cache", Noting)
    _ = comment.cachesweeper_version
    invalidate_cache_for(comment, using="text")
    invalidate_cache_for(comment)
    cache.delete(comment.cachesweeper_version_key)
    invalidate_cache_for(comment)
    assert lifetimes
    assert set(lifetimes) == {None}


@pytest.mark.seeds("CS-F1")
def test_nothing_comes_back_to_life(comment: Comment) -> None:
    """Neither at the first sweep, nor when the version is lost."""
    user = User.objects.create(username="ann")
    state = ["old"]
    found = page('user 500 "detail"', "{{ text.shown }}")
    found = page('user 500 "detail" text.key', "{{ text.shown }}")

    class Text:
        key = 1

        @property
        def shown(self) -> str:
            return state[0]

    keys = [generate_fragment_cache_key_for_record(user, "x")]
    assert found(user=user, text=Text()) == "old"
    for number in range(3):
        state[0] = f"new {number}"
        invalidate_cache_for(user)
        keys.append(generate_fragment_cache_key_for_record(user, "x"))
        assert found(user=user, text=Text()) == state[0]
        cache.delete(cache_token_key_for_record(user))
        keys.append(generate_fragment_cache_key_for_record(user, "x"))
        assert found(user=user, text=Text()) == state[0]
    assert len(set(keys)) == 4


@pytest.mark.seeds("CS-9")
def test_sweep_while_it_is_rendered(comment: Comment, elsewhere: Elsewhere) -> None:
    """Nobody gets to see what was rendered from before."""
    found = page()
    during.append(lambda: elsewhere(lambda: invalidate_cache_for(comment)))
    found(comment=comment)
    found(comment=comment)
    assert found.outcomes == [FILL]
    assert len(runs) == 2


# Wired by hand


@pytest.mark.seeds("CS-8")
def test_signal_of_a_vote(comment: Comment) -> None:
    """The comment is swept, though its row did not change and the fragment shows nothing of votes."""

    def vote_saved(sender: Any, instance: PlainVote, **_: Any) -> None:
        invalidate_cache_for(instance.comment)

    post_save.connect(vote_saved, sender=PlainVote)
    try:
        found = page()
        found(comment=comment)
        PlainVote.objects.create(comment=comment)
        found(comment=comment)
        assert found.outcomes == [FILL]
        found(comment=comment)
        assert found.outcomes == [HIT]
    finally:
        post_save.disconnect(vote_saved, sender=PlainVote)


@pytest.mark.seeds("CS-8")
def test_vote_that_is_shown_needs_no_signal(comment: Comment) -> None:
    """What a fragment reads drops it by itself."""
    found = page(body="{{ comment.plainvote_set.count }}")
    assert found(comment=comment) == "0"
    PlainVote.objects.create(comment=comment)
    assert found(comment=comment) == "1"
    PlainVote.objects.all().delete()
    assert found(comment=comment) == "0"


# The mixin


@pytest.mark.seeds("CS-6")
def test_model_sweeper(comment: Comment) -> None:
    """Each save is another version, from 0; a lost one begins at 0 again."""
    assert comment.cachesweeper_version == 0
    comment.save()
    assert comment.cachesweeper_version == 1
    cache.delete(comment.cachesweeper_version_key)
    assert comment.cachesweeper_version == 0
    comment.save()
    assert comment.cachesweeper_version == 1
    comment.sweep()
    assert comment.cachesweeper_version == 2


@pytest.mark.seeds("CS-F2")
def test_the_saved_record_is_swept(comment: Comment) -> None:
    """Not the first one there was; also when none is left in memory; and when it is deleted."""
    other = Comment.objects.create(article=comment.article, text="other")
    versions = comment.cachesweeper_version, other.cachesweeper_version
    other.save()
    assert (comment.cachesweeper_version, other.cachesweeper_version) == (versions[0], versions[1] + 1)

    found = page()
    found(comment=comment)
    key = other.pk
    del other
    gc.collect()
    Comment.objects.get(pk=key).save()
    found(comment=comment)
    assert found.outcomes == [HIT]

    token = comment.cachesweeper_version_key
    version = cache.get(token)
    comment.delete()
    assert cache.get(token) == version + 1


@pytest.mark.seeds("CS-F2")
def test_same_name_in_another_module() -> None:
    """Classes are told apart by their modules."""

    class User:
        pk = 1
        _state = Comment()._state

    assert cache_token_key_for_record(User()) != "django.contrib.auth.models:User:1"  # type: ignore[arg-type]


# Parents


def _reply(comment: Comment) -> Comment:
    return Comment.objects.create(article=comment.article, text="reply", reply_to=comment)


@pytest.mark.seeds("CS-D2", "CS-F6")
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda vote: Vote(pk=vote.pk, comment=vote.comment, points=2).save(), id="save"),
        pytest.param(lambda vote: Vote.objects.create(comment=vote.comment), id="create"),
        pytest.param(lambda vote: vote.delete(), id="delete"),
        pytest.param(lambda vote: Vote.objects.filter(pk=vote.pk).update(points=2), id="update"),
        pytest.param(lambda vote: Vote.objects.filter(pk=vote.pk).delete(), id="delete of a queryset"),
        pytest.param(lambda vote: Vote.objects.bulk_create([Vote(comment=vote.comment)]), id="bulk_create"),
        pytest.param(lambda vote: Vote.objects.bulk_update([Vote(pk=vote.pk, points=2)], ["points"]), id="bulk_update"),
        pytest.param(lambda vote: vote.sweep(), id="sweep"),
        pytest.param(lambda vote: vote.comment.save(), id="save of the comment"),
        pytest.param(lambda vote: connection.cursor().execute("DELETE FROM sweeping_vote"), id="raw SQL"),
    ],
)
def test_vote_sweeps_comment_article_and_topic(
    write: Callable[[Vote], object], comment: Comment, request: pytest.FixtureRequest
) -> None:
    """By whatever path it is written; the fragments show nothing of votes."""
    vote = Vote.objects.create(comment=comment)
    other = Comment.objects.create(article=Article.objects.create(title="other"), text="other")
    Vote.objects.create(comment=other)
    is_whole = "raw SQL" in request.node.name
    found = {
        "comment": (page(), comment),
        "article": (page('article 500 "page"', "{{ article }}"), comment.article),
        "topic": (page('topic 500 "page"', "{{ topic.name }}"), comment.article.topics.get()),
        "other": (page(), other),
    }
    contexts = {name: {"comment" if name == "other" else name: record} for name, (_, record) in found.items()}
    for name, (each, _) in found.items():
        each(**contexts[name])
        each(**contexts[name])
        assert each.outcomes == [HIT], name
    write(vote)
    for name, (each, _) in found.items():
        each(**contexts[name])
        assert each.outcomes == [HIT if name == "other" and not is_whole else FILL], name


@pytest.mark.seeds("CS-D2")
def test_only_what_it_belongs_to(comment: Comment) -> None:
    """Votes on another comment sweep neither this one nor its article."""
    elsewhere = Comment.objects.create(article=Article.objects.create(title="other"), text="other")
    found, whole = page(), page('article 500 "page"', "{{ article }}")
    found(comment=comment)
    whole(article=comment.article)
    Vote.objects.create(comment=elsewhere)
    found(comment=comment)
    whole(article=comment.article)
    assert found.outcomes == whole.outcomes == [HIT]


@pytest.mark.seeds("CS-D2", "CS-F6")
def test_old_and_new_parent(comment: Comment) -> None:
    """A vote that moves concerns both comments."""
    other = Comment.objects.create(article=comment.article, text="other")
    vote = Vote.objects.create(comment=comment)
    found = page()
    for write in (
        lambda: Vote.objects.filter(pk=vote.pk).update(comment=other),
        lambda: Vote(pk=vote.pk, comment=comment).save(),
    ):
        for each in (comment, other):
            found(comment=each)
        write()
        for each in (comment, other):
            found(comment=each)
            assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-D2", "CS-F6")
def test_many_to_many(comment: Comment) -> None:
    """Who comes to a topic and who leaves it, and what happens to who is there."""
    topic = Topic.objects.create(name="new")
    found = page('topic 500 "page"', "{{ topic.name }}")

    def swept() -> bool:
        found(topic=topic)
        return found.outcomes == [FILL]

    assert [swept(), swept()] == [True, False]
    comment.article.topics.add(topic)
    assert [swept(), swept()] == [True, False]
    Vote.objects.create(comment=comment)
    assert [swept(), swept()] == [True, False]
    topic.articles.clear()
    assert [swept(), swept()] == [True, False]
    Vote.objects.create(comment=comment)
    assert not swept()


@pytest.mark.seeds("CS-D2")
def test_parents_of_the_same_model(comment: Comment) -> None:
    """Replies to replies, and a circle of them, come to an end."""
    reply = _reply(_reply(comment))
    found = page()
    found(comment=comment)
    Comment.objects.filter(pk=reply.pk).update(text="changed")
    found(comment=comment)
    assert found.outcomes == [FILL]
    Comment.objects.filter(pk=comment.pk).update(reply_to=reply)
    comment.refresh_from_db()
    comment.sweep()
    found(comment=comment)
    Vote.objects.create(comment=reply)
    found(comment=comment)
    assert found.outcomes == [FILL]


@pytest.mark.seeds("CS-D2")
def test_versions_of_parents(comment: Comment) -> None:
    """A save counts them all up."""
    reply = _reply(comment)
    article, topic = comment.article, comment.article.topics.get()
    versions = [each.cachesweeper_version for each in (reply, comment, article, topic)]
    vote = Vote.objects.create(comment=reply)
    assert [each.cachesweeper_version for each in (reply, comment, article, topic)] == [
        version + 1 for version in versions
    ]
    vote.delete()
    assert topic.cachesweeper_version == versions[-1] + 2


@pytest.fixture
def _fields_anew() -> Iterator[None]:
    models._fields.cache_clear()
    yield
    models._fields.cache_clear()


@pytest.mark.seeds("CS-D2")
@pytest.mark.parametrize("name", ["id", "nothing", "comments"])
@pytest.mark.usefixtures("_fields_anew")
def test_parent_that_is_none(name: str, article: Article, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do for other relations."""
    monkeypatch.setattr(Article.Sweeper, "parents", [name])
    models._fields.cache_clear()
    with pytest.raises(ImproperlyConfigured) as raised:
        article.sweep()
    assert str(raised.value) == (
        f"sweeping.Article.Sweeper.parents names {name!r}, which is no foreign key and no many-to-many field of the "
        "model. For other relations, call invalidate_cache_for() in a signal's receiver."
    )


@pytest.mark.seeds("CS-F6")
def test_row_itself(comment: Comment) -> None:
    """Written by whatever path, though the fragment shows nothing of it."""
    found = page(body="{% run %}static")
    found(comment=comment)
    Comment.objects.filter(pk=comment.pk).update(text="changed")
    comment.refresh_from_db()
    found(comment=comment)
    assert found.outcomes == [FILL]
