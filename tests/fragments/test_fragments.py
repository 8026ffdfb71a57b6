"""Fragments of Django templates: rendered once, and again as soon as that would give something else."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple

import django
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import caches
from django.core.paginator import Paginator
from django.db import connection, connections, transaction
from django.db.models import Prefetch, Value
from django.template import TemplateSyntaxError
from django.urls import resolve
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString, mark_safe

import everfresh
from everfresh.fragments import invalidate_fragment
from everfresh.names import invalidate_label, invalidate_pattern, names
from everfresh.recorded import flights
from everfresh.recording import recording
from tests.conftest import Configure, Elsewhere
from tests.counting import counting
from tests.fragments.probes import during, runs
from tests.fragments.rendering import FILL, HIT, MISS, Page, request
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)

partials = pytest.mark.skipif(django.VERSION < (6,), reason="Django 6.0 has partials first.")

BOOKS = Page(
    '{% fragment "author" author %}{{ author.name }}:'
    "{% for book in author.books.all %} {{ book.title }}{% endfor %}{% endfragment %}"
)


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


@pytest.fixture
def author() -> Author:
    """An author with one book, as the database has them."""
    author = Author.objects.create(id=1001, name="A")
    Book.objects.create(id=1001, author=author, title="one")
    return Author.objects.get(id=1001)


# What it reads


def test_second_rendering_is_a_hit(author: Author, django_assert_num_queries: Any) -> None:
    """It is rendered once, and asks the database nothing after that."""
    assert BOOKS(author=author) == "A: one"
    assert BOOKS.outcomes == [FILL]
    with django_assert_num_queries(0):
        assert BOOKS(author=author) == "A: one"
    assert BOOKS.outcomes == [HIT]


def test_one_round_trip_on_a_hit(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it used from outside is compared with what comes with the entry."""
    page = Page('{% fragment "budget" %}{{ author.name }}{{ name }}{% include "part" %}{% endfragment %}', part="x")
    page(author=author, name="n")
    page(author=author, name="n")
    counts = counting(monkeypatch)
    counts.clear()
    page(author=author, name="n")

    assert page.outcomes == [HIT]
    # The entry with the versions of all it depends on.
    assert counts.exchanges == 1
    assert counts.statements == []


def test_what_it_reads_drops_it(author: Author) -> None:
    """Whatever write changes what its queries found."""
    BOOKS(author=author)
    Book.objects.create(id=1002, author=author, title="two")
    assert BOOKS(author=author) == "A: one two"
    Book.objects.filter(id=1001).update(title="new")
    assert BOOKS(author=author) == "A: new two"
    Book.objects.filter(id=1002).delete()
    assert BOOKS(author=author) == "A: new"


def test_what_it_does_not_read_does_not(author: Author) -> None:
    """Another author's book is nothing to it."""
    BOOKS(author=author)
    Book.objects.create(author=Author.objects.create(name="B"), title="other")

    BOOKS(author=author)
    assert BOOKS.outcomes == [HIT]


def test_instance_from_outside_is_a_dependency(author: Author) -> None:
    """The row was read before the fragment began; a write to it drops the fragment all the same."""
    page = Page('{% fragment "name" author %}{{ author.name }}{% endfragment %}')
    page(author=author)
    Author.objects.filter(id=1001).update(name="new")

    assert page(author=Author.objects.get(id=1001)) == "new"
    assert page.outcomes == [FILL]


def test_instance_that_is_older_than_the_database_is_not_kept(author: Author) -> None:
    """It is shown as it was given, once; nobody else gets to see that."""
    page = Page('{% fragment "name" author %}{{ author.name }}{% endfragment %}')
    Author.objects.filter(id=1001).update(name="new")

    assert page(author=author) == "A"
    assert page.outcomes == [MISS]
    assert page(author=Author.objects.get(id=1001)) == "new"


def test_unsaved_instance(caplog: pytest.LogCaptureFixture) -> None:
    """It has no key, so the fragment is rendered, and two such instances never share one."""
    page = Page('{% fragment "unsaved" author %}{{ author.name }}{% endfragment %}')

    assert [page(author=Author(name=name)) for name in "AB"] == ["A", "B"]
    assert "The fragment 'unsaved' is not cached: its tag names an unsaved library.Author" in caplog.text


END = "{% endfragment %}"


@pytest.mark.parametrize("tag", ['"extra" author', '"extra"'])
def test_instance_that_carries_more_than_its_row(tag: str, author: Author) -> None:
    """What was rendered for the row alone is not shown for an annotated one, nor for one with a list of its own."""
    page = Page(
        f"{{% fragment {tag} %}}{{{{ author.name }}}}{{{{ author.n }}}}{{{{ author.few|length }}}}{{% endfragment %}}"
    )
    few = Prefetch("books", Book.objects.filter(title="one"), to_attr="few")

    assert page(author=author) == "A0"
    assert page(author=Author.objects.annotate(n=Value(5)).get(id=1001)) == "A50"
    assert page(author=Author.objects.prefetch_related(few).get(id=1001)) == "A1"
    assert page.outcomes == [MISS]


def test_list_and_queryset_from_outside(author: Author) -> None:
    """Their rows are dependencies, and so is which rows they are."""
    page = Page('{% fragment "list" %}{% for author in authors %}{{ author.name }} {% endfor %}{% endfragment %}')
    for given in (lambda: Author.objects.order_by("name"), lambda: list(Author.objects.order_by("name"))):
        assert page(authors=given()) == "A "
        page(authors=given())
        assert page.outcomes == [HIT]
        Author.objects.filter(id=1001).update(name="B")
        assert page(authors=given()) == "B "
        second = Author.objects.create(name="C")
        assert page(authors=given()) == "B C "
        second.delete()
        Author.objects.filter(id=1001).update(name="A")


def test_what_a_queryset_brings_along(author: Author) -> None:
    """The books of an author hold the author that they were asked of, who may be older than the database."""
    page = Page('{% fragment "books" %}{% for book in books %}{{ book.author.name }}{% endfor %}{% endfragment %}')
    Author.objects.filter(id=1001).update(name="new")
    assert page(books=author.books.all()) == "A"
    assert page.outcomes == [MISS]

    author.refresh_from_db()
    assert page(books=author.books.all()) == "new"
    assert page.outcomes == [FILL]
    Author.objects.filter(id=1001).update(name="newer")
    author.refresh_from_db()
    assert page(books=author.books.all()) == "newer"


def test_queryset_that_was_evaluated_before(author: Author) -> None:
    """What it found then may not be what it finds now: it is asked again, and that is recorded."""
    page = Page('{% fragment "list" %}{% for author in authors %}{{ author.name }} {% endfor %}{% endfragment %}')
    evaluated = Author.objects.order_by("name")
    len(evaluated)
    Author.objects.create(name="B")

    assert page(authors=evaluated) == "A B "
    Author.objects.create(name="C")
    assert page(authors=Author.objects.order_by("name")) == "A B C "


PAGES = (
    "{% for author in page %}{{ author.name }} {% endfor %}"
    "{{ page.number }}/{{ page.paginator.num_pages }}{% endfragment %}"
)


@pytest.mark.parametrize("tag", ['"page"', '"page" page', '"page" page.number'])
def test_page(tag: str, author: Author) -> None:
    """It is asked for again inside, whoever has looked at it before: rows, and how many pages there are."""
    page = Page(f"{{% fragment {tag} %}}{PAGES}")
    Author.objects.create(name="B")

    def shown(number: int = 1) -> str:
        asked = Paginator(Author.objects.order_by("name"), 2).page(number)
        len(asked)
        return page(page=asked)

    assert shown() == shown() == "A B 1/1"
    assert page.outcomes == [HIT]
    Author.objects.filter(id=1001).update(name="AA")
    assert shown() == "AA B 1/1"
    Author.objects.create(name="C")
    assert shown() == "AA B 1/2"
    assert shown(2) == "C 2/2"
    Author.objects.filter(name="B").delete()
    assert shown() == "AA C 1/1"


def test_page_of_a_list(author: Author) -> None:
    """Of plain values, or of instances that are checked as in any list."""
    page = Page(f'{{% fragment "list" page %}}{PAGES}')
    authors = [author, Author.objects.create(name="B"), Author.objects.create(name="C")]
    for number, shown in [(1, "A B 1/2"), (2, "C 2/2"), (1, "A B 1/2")]:
        assert page(page=Paginator(authors, 2).page(number)) == shown
    assert page.outcomes == [HIT]
    Author.objects.filter(name="A").update(name="new")
    author.refresh_from_db()
    assert page(page=Paginator(authors, 2).page(1)) == "new B 1/2"


# What it uses from outside


def test_value_that_nobody_named(author: Author) -> None:
    """A rendering for one value is never shown for another; the reason says what to write."""
    page = Page('{% fragment "greeting" %}Hello {{ name }}{% endfragment %}')

    assert page(name="Ann") == "Hello Ann"
    assert page(name="Ann") == "Hello Ann"
    assert page.outcomes == [HIT]
    assert page(name="Bob") == "Hello Bob"
    assert page.outcomes == [FILL]
    assert page.reason == "name differs; name it in the tag to keep a rendering for each of its values"
    assert page() == "Hello "


class Shown(NamedTuple):
    text: str


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("<b>", mark_safe("<b>")),
        (["<b>"], [mark_safe("<b>")]),
        ({"a": "<b>"}, {"a": mark_safe("<b>")}),
        ({"<b>"}, {mark_safe("<b>")}),
        (Shown("<b>"), Shown(mark_safe("<b>"))),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (1, True),
        ("1", 1),
    ],
)
def test_values_that_are_shown_in_two_ways(first: Any, second: Any) -> None:
    """Equal, or of the same text, and not the same to a template."""
    body = "{{ value }}{{ value.text }}{{ value|join:' ' }}"
    body += "{% for each in value.items %}{{ each }}{% endfor %}"
    page, plain = Page('{% fragment "ways" %}' + body + "{% endfragment %}"), Page(body)

    assert [page(value=first), page(value=second)] == [plain(value=first), plain(value=second)]
    assert page.outcomes == [FILL]


def test_value_that_is_named_has_a_rendering_each() -> None:
    """As in Django's own tag."""
    page = Page('{% fragment "greeting" name %}Hello {{ name }}{% endfragment %}')

    assert [page(name=name) for name in ("Ann", "Bob")] == ["Hello Ann", "Hello Bob"]
    for name in ("Ann", "Bob"):
        page(name=name)
        assert page.outcomes == [HIT]


def test_author_answers_for_what_the_tag_mentions() -> None:
    """Two objects that no key names share a rendering where the tag says what matters of them."""
    page = Page('{% fragment "page" page.number %}{{ page.number }} of {{ page.total }}{% endfragment %}')

    class Anything:
        def __init__(self, number: int, total: int) -> None:
            self.number, self.total = number, total

    assert page(page=Anything(1, 9)) == "1 of 9"
    assert page(page=Anything(1, 10)) == "1 of 9"
    assert page(page=Anything(2, 10)) == "2 of 10"


def test_instances_are_checked_where_the_tag_mentions_them(author: Author) -> None:
    """The tag answers for which one it is, not for whether it is old."""
    page = Page('{% fragment "by name" author.name %}{{ author.bio }}{% endfragment %}')
    page(author=author)
    Author.objects.filter(id=1001).update(bio="new")

    assert page(author=Author.objects.get(id=1001)) == "new"


def test_another_instance(author: Author) -> None:
    """Which instance it is counts, though nothing of it that is shown may differ."""
    page = Page('{% fragment "name" %}{{ author.name }}{% endfragment %}')
    other = Author.objects.create(id=1002, name="A")
    page(author=author)
    page(author=Author.objects.get(id=1002))
    assert page.outcomes == [FILL]

    Author.objects.filter(id=1002).update(name="B")
    other.refresh_from_db()
    assert page(author=other) == "B"


def test_names_bound_inside_are_its_own() -> None:
    """Loops, with, and variables that tags set."""
    page = Page(
        '{% fragment "own" %}{% for letter in "ab" %}{% with both=letter|add:letter %}{{ both }}{% endwith %}'
        "{% endfor %}"
        '{% firstof "x" as mark %}{{ mark }}{% endfragment %}|{{ mark }}'
    )

    assert page() == "aabbx|"
    assert page(letter="z", both=object(), mark="outside") == "aabbx|outside"
    assert page.outcomes == [HIT]


def test_what_is_bound_inside_is_not_known_after_it() -> None:
    """On a miss as on a hit."""
    page = Page('{% fragment "scope" %}{% firstof "inside" as mark %}{% endfragment %}{{ mark }}')

    assert page() == page() == ""


@pytest.mark.parametrize(
    "body",
    [
        "{{ value }}",
        '{% fetch "value" %}',
        '{% has "value" %}',
        "{% if value %}yes{% endif %}",
        "{% with value as other %}{{ other }}{% endwith %}",
        "{% everything %}",
        '{% include "included" %}',
        '{% include "included" with other=value only %}',
        "{% card value %}",
        "{% blocktranslate %}{{ value }}{% endblocktranslate %}",
        "{% for each in value %}{{ each }}{% endfor %}",
    ],
)
def test_ways_to_use_a_name(body: str) -> None:
    """However the template comes by a value from outside, another one is another rendering."""
    page = Page(
        f'{{% fragment "ways" %}}{body}{{% endfragment %}}',
        included="{{ value }}{{ other }}",
        card="{{ title }}",
    )

    shown = page(value="first")
    assert page(value="first") == shown
    assert page.outcomes == [HIT]
    assert page() != shown
    assert page.outcomes == [FILL]


def test_lazy_values_are_what_they_stand_for(author: Author) -> None:
    """They are looked into outside of the recording: how they come to be is no part of the fragment."""
    page = Page('{% fragment "lazy" %}{{ author.name }}{% endfragment %}')
    page(author=SimpleLazyObject(lambda: Author.objects.nocache().get(id=1001)))
    assert page.outcomes == [FILL]
    page(author=author)
    assert page.outcomes == [HIT]

    Author.objects.filter(id=1001).update(name="new")
    assert page(author=SimpleLazyObject(lambda: Author.objects.get(id=1001))) == "new"


def test_user(django_user_model: type[User]) -> None:
    """Who is logged in is a name like any other, with a session that nobody can follow behind it."""
    page = Page('{% fragment "user" user %}{{ user.username|default:"nobody" }}{% endfragment %}')
    user = User.objects.create(username="ann")

    assert page(request=request(user=SimpleLazyObject(lambda: User.objects.get(pk=user.pk)))) == "ann"
    assert page.outcomes == [FILL]
    assert page(request=request(user=SimpleLazyObject(AnonymousUser))) == "nobody"
    assert page.outcomes == [FILL]
    assert page(request=request(user=AnonymousUser())) == "nobody"
    assert page.outcomes == [HIT]
    User.objects.filter(pk=user.pk).update(username="bob")
    assert page(request=request(user=User.objects.get(pk=user.pk))) == "bob"


# What is nobody else's


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("{% csrf_token %}", "csrf_token"),
        ("{{ csrf_token }}", "csrf_token"),
        ("{{ request.path }}", "request"),
        ("{% visitor %}", "request"),
        ("{% querystring page=2 %}", "request"),
        ("{% if perms.library %}{% endif %}", "perms"),
        ("{{ thing }}", "thing"),
        ("{% everything %}", ""),
        ("{{ csp_nonce }}", "csp_nonce"),
    ],
)
def test_not_kept(body: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be named is rendered each time, and the reason names it; a warning says it once."""
    page = Page(f'{{% fragment "not kept" %}}{{% run %}}{body}{{% endfragment %}}')
    context = {"thing": object(), "csp_nonce": "n", "user": AnonymousUser()}
    with caplog.at_level(logging.WARNING, "everfresh"):
        for _ in range(2):
            page(**context, request=request(user=AnonymousUser()))
            assert page.outcomes == [MISS]
            assert page.reason.startswith(f"it uses {name}")

    assert len(runs) == 2
    assert caplog.text.count("The fragment 'not kept'") <= 1


def test_mentioned_request_is_answered_for() -> None:
    """By its path, for instance."""
    page = Page('{% fragment "path" request.path %}{{ request.path }}{% visitor %}{% endfragment %}')

    assert page(request=request("/a")) == "/a127.0.0.1"
    assert page(request=request("/b")) == "/b127.0.0.1"
    page(request=request("/a"))
    assert page.outcomes == [HIT]


@pytest.mark.parametrize("name", ["csrf_token", "csp_nonce"])
def test_never_kept_whatever_the_tag_says(name: str) -> None:
    """Nobody can answer for these."""
    page = Page(f'{{% fragment "never" {name} %}}{{{{ {name} }}}}{{% endfragment %}}')
    for _ in range(2):
        page(csp_nonce="n", csrf_token="t")
        assert page.outcomes == [MISS]


@pytest.mark.skipif(django.VERSION < (6,), reason="Django 6.0 has nonces first.")
def test_nonce_is_not_made_by_asking() -> None:
    """Whether one was made is what templates ask of it."""
    from django.utils.csp import LazyNonce

    page = Page('{% fragment "nonce" %}{% if csp_nonce %}made{% endif %}{% endfragment %}')
    nonce = LazyNonce()
    assert page(csp_nonce=nonce) == ""
    assert page.outcomes == [MISS]
    assert not nonce


def test_lazy_queryset_is_not_run_to_be_named(author: Author, django_assert_num_queries: Any) -> None:
    """On a hit it is named, and nothing more."""
    page = Page('{% fragment "lazy" %}{% for author in authors %}{{ author.name }}{% endfor %}{% endfragment %}')
    for queries in (1, 0):
        with django_assert_num_queries(queries):
            assert page(authors=SimpleLazyObject(Author.objects.all)) == "A"


def test_token_that_is_only_passed_on() -> None:
    """Tags that include hand the CSRF token to every template; one that does not show it does not mind."""
    page = Page('{% fragment "passed" %}{% card "x" %}{% endfragment %}', card="{{ title }}")
    page(request=request(user=AnonymousUser()))
    assert page.outcomes == [FILL]

    page = Page('{% fragment "shown" %}{% card "x" %}{% endfragment %}', card="{% csrf_token %}")
    page(request=request(user=AnonymousUser()))
    assert page.outcomes == [MISS]


def test_urls_need_no_request() -> None:
    """To reverse one looks for the namespace in force: it is part of the key, and the request is not used."""
    page = Page('{% fragment "url" %}{% url "nothing" as it %}{{ it }}{% endfragment %}')

    page(request=request(user=AnonymousUser()))
    page(request=request(user=AnonymousUser()))
    assert page.outcomes == [HIT]
    page(request=request(user=AnonymousUser(), current_app="other"))
    assert page.outcomes == [FILL]


def test_urls_in_one_in_another_need_no_request() -> None:
    """Nor does the inner one use what the outer one hands on of it."""
    page = Page('{% fragment "o" %}{% fragment "i" %}{% url "admin:index" %}{% endfragment %}{% endfragment %}')
    asked = request(user=AnonymousUser(), resolver_match=resolve("/admin/"))

    assert page(request=asked) == page(request=asked) == "/admin/"
    assert page.outcomes == [HIT]


# The key


def test_language_and_time_zone() -> None:
    """Each has a rendering of its own, where the tag does not say that it is the same in all."""
    page = Page('{% fragment "now" %}{% run %}{% endfragment %}')
    same = Page('{% fragment "same" any_language any_timezone %}{% run %}{% endfragment %}')
    for each in (page, same):
        each()
        with translation.override("nl"):
            each()
        with timezone.override("Europe/Amsterdam"):
            each()
    assert len(runs) == 3 + 1


def test_autoescape() -> None:
    """The same text, escaped or not, is not the same."""
    body = '{% fragment "escaped" %}{{ text }}{% endfragment %}'
    page = Page(f"{{% autoescape off %}}{body}{{% endautoescape %}}{body}")

    assert page(text="<b>") == "<b>&lt;b&gt;"
    assert page(text="<b>") == "<b>&lt;b&gt;"


def test_declared_dependency(author: Author, caplog: pytest.LogCaptureFixture) -> None:
    """What reads by raw SQL is not kept, unless the tag says which models that reads."""
    page = Page('{% fragment "raw" %}{{ count.of_books }}{% endfragment %}')
    declared = Page('{% fragment "raw" count.key depends_on="library.Book" %}{{ count.of_books }}{% endfragment %}')

    class Count:
        key = 1

        def of_books(self) -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM library_book")
                return int(cursor.fetchone()[0])

    assert page(count=Count()) == "1"
    assert page.outcomes == [MISS]
    assert [declared(count=Count()), declared(count=Count())] == ["1", "1"]
    assert declared.outcomes == [HIT]
    Book.objects.create(author=author, title="two")
    assert declared(count=Count()) == "2"


def test_declared_dependency_that_nobody_looks_at() -> None:
    """Writes to an excluded model drop nothing, so nothing is kept that is to depend on it."""
    page = Page('{% fragment "excluded" depends_on="sessions.Session" %}{% run %}{% endfragment %}')
    page()
    page()
    assert len(runs) == 2
    assert page.reason == "it is to depend on the table 'django_session', which the settings exclude"


def test_changed_text_is_another_fragment() -> None:
    """After a deploy nobody gets to see the old text, and the same text in another template is another fragment."""
    assert Page('{% fragment "text" %}old{% endfragment %}')() == "old"
    assert Page('{% fragment "text" %}new{% endfragment %}')() == "new"
    page = Page('{% fragment "text" %}new{% endfragment %}', other='{% fragment "text" %}new{% endfragment %}')
    page()
    assert page.outcomes == [HIT]
    page.show("other")
    assert page.outcomes == [FILL]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ('{% include "part" %}', "{}"),
        ('{% include "part" only %}', "{}"),
        ('{% include "outer part" %}', "{}"),
        ('{% card "x" %}', "{}"),
        ('{% fragment "inner" %}{% include "part" %}{% endfragment %}', "{}"),
        pytest.param('{% include "part#p" %}', "{{% partialdef p %}}{}{{% endpartialdef %}}", marks=partials),
        pytest.param(
            '{% include "part" %}', "{{% partialdef p %}}{}{{% endpartialdef %}}{{% partial p %}}", marks=partials
        ),
    ],
)
def test_changed_text_of_what_it_includes(tag: str, text: str) -> None:
    """However it comes by it; the reason says which text it was."""

    def page(change: str) -> Page:
        part = text.format(change)
        return Page(
            f'{{% fragment "including" %}}{tag}{{% endfragment %}}',
            part=part,
            card='{% include "part" %}',
            **{"outer part": '{% extends "base" %}', "base": '{% include "part" %}'},
        )

    assert page("old")() == "old"
    assert page("old")() == "old"
    new = page("new")
    assert new() == "new"
    assert new.outcomes[-1] is FILL
    assert new.reason == "the text of part has changed"
    assert page("new")() == "new"


def test_missing_template_in_it() -> None:
    """What was included and is gone is asked for again."""
    page = Page('{% fragment "including" %}{% include names %}{% endfragment %}', first="1", second="2")
    assert page(names=["first", "second"]) == "1"
    page = Page('{% fragment "including" %}{% include names %}{% endfragment %}', second="2")
    assert page(names=["first", "second"]) == "2"


def test_filters_and_missing_variables_in_the_tag() -> None:
    """The values are expressions; what is not there is None."""
    page = Page('{% fragment "filters" name|lower missing.attribute "literal" %}{{ name }}{% endfragment %}')

    assert page(name="Ann") == page(name="ANN") == "Ann"
    page(name="Ann", missing={"attribute": None})
    assert page.outcomes == [HIT]
    page(name="Ann", missing={"attribute": 1})
    assert page.outcomes == [FILL]


def test_result_is_safe() -> None:
    """On a miss and on a hit."""
    page = Page('{% filter upper %}{% fragment "safe" %}<b>{{ text }}</b>{% endfragment %}{% endfilter %}')

    assert page(text="<") == page(text="<") == "<B>&LT;</B>"
    node = page.engine.from_string('{% fragment "safe" %}<b>{% endfragment %}').nodelist[0]
    from django.template import Context

    context = Context()
    context.template = page.engine.from_string("")
    assert type(node.render(context)) is type(node.render(context)) is SafeString


@pytest.mark.seeds("CS-D1")
def test_using_an_attribute(author: Author, django_assert_num_queries: Any) -> None:
    """The version is read off the instance: another value is another rendering, and the row itself is not asked for."""
    page = Page('{% fragment "by bio" author using="bio" %}{{ author.name }}{% endfragment %}')
    with django_assert_num_queries(0):
        assert page(author=author) == "A"
    author.name = "never saved"
    assert page(author=author) == "A"
    author.bio = "2"
    assert page(author=author) == "never saved"


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ('"x" timeout="soon"', "got a timeout that is no number of seconds and not None: 'soon'"),
        ('"x" timeout=name', "got a timeout that is no number of seconds and not None: 'Ann'"),
        ('"x" timeout=True', "got a timeout that is no number of seconds and not None: True"),
        ('"x" timeout=-1', "got a timeout that is no number of seconds and not None: -1"),
        ('"x" name using="bio"', "got using='bio' needs an instance of a model as first value, not 'Ann'."),
        ('"x" author using="version"', "has no such attribute."),
        ('"x" colour="red"', "'fragment' tag got colour=, but takes timeout, grace, tags, depends_on, using."),
        ('"x" 5 timeout=6', "'fragment' tag got timeout twice."),
        ("", "'fragment' tag requires a name, as in {% fragment \"city\" city %}."),
    ],
)
def test_wrong_tags(tag: str, error: str, author: Author) -> None:
    """The error says what it got."""
    with pytest.raises(TemplateSyntaxError) as raised:
        Page(f"{{% fragment {tag} %}}{{% endfragment %}}")(name="Ann", author=author)

    assert error in str(raised.value)


@pytest.mark.parametrize("timeout", ["0", "timeout=seconds", 'timeout="0"'])
def test_timeout_of_zero_stores_nothing(timeout: str) -> None:
    """As everywhere."""
    page = Page(f'{{% fragment "zero" {timeout} %}}{{% run %}}{{% endfragment %}}')
    for _ in range(2):
        page(seconds=timedelta(0))
    assert len(runs) == 2


def test_timeouts(author: Author) -> None:
    """A number after the name, None, and an expression."""
    for tag in ("60", "1.5", "None", "timeout=seconds", "name", "60 name"):
        page = Page(f'{{% fragment "timeouts" {tag} %}}x{{% endfragment %}}')
        page(seconds=60, name="x")
        page(seconds=60, name="x")
        assert page.outcomes == [HIT]


# Where it stands


def test_block_inside_is_refused() -> None:
    """Each page may fill it in its own way, so none could be told from the others."""
    with pytest.raises(TemplateSyntaxError) as raised:
        Page('{% fragment "x" %}{% if a %}{% block b %}{% endblock %}{% endif %}{% endfragment %}')()

    assert str(raised.value).endswith(
        "'fragment' tag holds the block 'b', which each page may fill in its own way. "
        "Write the fragment inside of the block."
    )


def test_inside_a_block() -> None:
    """With what the block is in the template above it."""
    page = Page(
        '{% extends "base" %}{% block a %}{% fragment "x" %}{{ block.super }}{{ name }}{% endfragment %}{% endblock %}',
        base="[{% block a %}base {{ other }}{% endblock %}]",
    )

    assert page(name="n", other="o") == "[base on]"
    assert page(name="n", other="o") == "[base on]"
    assert page.outcomes == [HIT]
    assert page(name="n", other="changed") == "[base changedn]"


def test_block_super_of_another_base() -> None:
    """What a template extends may be a variable, too."""
    page = Page(
        "{% extends base %}{% block a %}"
        '{% fragment "x" %}{% firstof block.super as it %}{{ block.super }}{% endfragment %}{% endblock %}',
        one="{% block a %}1{% endblock %}",
        two="{% block a %}2{% endblock %}",
    )

    assert [page(base=base) for base in ("one", "two", "one")] == ["1", "2", "1"]


def test_inside_an_include_and_a_loop() -> None:
    """One rendering for each value."""
    page = Page(
        '{% for name in names %}{% include "row" %}{% endfor %}',
        row='{% fragment "row" name %}{% run %}{{ name }} {% endfragment %}',
    )

    assert page(names=["a", "b", "a"]) == "a b a "
    assert len(runs) == 2


def test_loop_inside_a_loop() -> None:
    """A loop looks for the one around it; that is no use of it, and its counters are names of their own."""
    page = Page(
        '{% for name in names %}{% fragment "inner" name %}{% for x in "ab" %}{{ x }}{% endfor %}{% endfragment %}'
        '{% fragment "counted" name %}{{ forloop.counter }}{% for x in "a" %}{{ forloop.parentloop.first }}{% endfor %}'
        "{% endfragment %}{% endfor %}"
    )

    assert page(names=["n"]) == "ab1True"
    assert page(names=["n", "m"]) == "ab1Trueab2False"
    assert page.outcomes == [HIT, HIT, FILL, FILL]
    assert page(names=["m"]) == "ab1True"
    assert page.outcomes == [HIT, FILL]


def test_ifchanged_of_a_loop_around_it_is_not_kept() -> None:
    """It shows what depends on what was shown before, and goes on to do so."""
    page = Page(
        '{% for name in names %}{% fragment "changed" name %}{% ifchanged name %}{{ name }}{% endifchanged %}'
        "{% endfragment %}{% endfor %}"
    )

    assert page(names=["a", "a", "b"]) == "ab"
    assert page(names=["a", "a", "b"]) == "ab"
    assert page.outcomes == [MISS, MISS, MISS]


def test_error_inside_stores_nothing() -> None:
    """It passes, and the context is as it was."""
    page = Page('{% fragment "fails" %}{% if fails %}{% fail %}{% endif %}ok{% endfragment %}')
    with pytest.raises(LookupError):
        page(fails=True)

    assert page(fails=False) == "ok"
    assert page.outcomes == [FILL]


@pytest.mark.parametrize("debug", [False, True])
def test_partials(debug: bool) -> None:
    """A fragment in a partial, and a partial in a fragment (Django 6)."""
    if django.VERSION < (6,):
        pytest.skip("Django 6.0 has partials first")
    page = Page(
        '{% partialdef row %}{% fragment "row" name %}{% run %}{{ name }}{% endfragment %}{% endpartialdef %}'
        '{% fragment "all" %}{% for name in names %}{% partial row %}{% endfor %}{% endfragment %}',
        debug=debug,
    )

    assert page(names=["a", "b"]) == "ab"
    assert page(names=["a", "b"]) == "ab"
    assert page.outcomes == [HIT]
    assert page.show("page#row", name="a") == "a"
    assert page.outcomes == [HIT]
    assert page(names=["c"]) == "c"


# One in another

NESTED = Page(
    '{% fragment "outer" author %}({% for book in author.books.all %}'
    '{% fragment "inner" book %}{% run book.title %}{{ book.title }}{{ mark }}{% endfragment %}{% endfor %})'
    "{% endfragment %}"
)


def test_only_what_changed_is_rendered(author: Author) -> None:
    """A write drops the inner one it concerns and the outer one; the other inner ones are there."""
    Book.objects.create(id=1002, author=author, title="two")
    assert NESTED(author=author) == "(onetwo)"
    runs.clear()
    Book.objects.filter(id=1002).update(title="new")

    assert NESTED(author=author) == "(onenew)"
    assert runs == ["new"]
    assert NESTED.outcomes == [HIT, FILL, FILL]


def test_outer_one_depends_on_a_hit_inside(author: Author) -> None:
    """What an inner one read and used, the outer one did, though it never saw it rendered."""
    inner = '{% fragment "shared" 5 author.pk %}{{ author.books.count }}{{ mark }}{% endfragment %}'
    page = Page('{% fragment "around" %}{% include "part" %}{% endfragment %}', part=inner)
    page.show("part", author=author, mark="!")
    assert page(author=author, mark="!") == "1!"
    assert page.outcomes == [HIT, FILL]

    assert page(author=author, mark="?") == "1?"
    Book.objects.create(id=1002, author=author, title="two")
    assert page(author=author, mark="?") == "2?"


def test_what_the_outer_one_binds_is_its_own(author: Author) -> None:
    """A name that an inner one uses and the outer one binds is nothing that comes from outside."""
    page = Page(
        '{% fragment "outer" %}{% with mark="!" %}{% fragment "inner" %}{{ mark }}{% endfragment %}{% endwith %}'
        "{% endfragment %}"
    )
    assert page(mark="a") == "!"
    assert page(mark="b") == "!"
    assert page.outcomes == [HIT]


def test_inner_one_that_is_not_kept(author: Author) -> None:
    """The outer one is not kept either where the same name is outside of it too, and is where it is bound inside."""
    page = Page('{% fragment "o" %}{% fragment "i" %}{{ thing }}{% endfragment %}{% endfragment %}')
    page(thing=object())
    assert page.outcomes == [MISS, MISS]
    page = Page(
        '{% fragment "o" %}{% for thing in "ab" %}{% fragment "i" %}{% csrf_token %}{% endfragment %}{% endfor %}'
        "{% endfragment %}"
    )
    page(csrf_token="t")
    assert page.outcomes == [MISS] * 3


def test_recording_around_it(author: Author) -> None:
    """A function that renders a template depends on what that reads."""
    BOOKS(author=author)
    with recording() as recorded:
        BOOKS(author=author)
    assert BOOKS.outcomes == [HIT]
    assert recorded.clauses


# By hand, and not at all


def test_invalidation_by_name(author: Author) -> None:
    """One rendering, all of a name, all of a pattern, all of a tag, all of a row."""
    page = Page('{% fragment "by hand" author name tags=tags %}{% run %}{% endfragment %}')
    second = Author.objects.create(id=1002, name="B")

    def missed() -> int:
        runs.clear()
        for each in (author, second):
            page(author=each, name="n", tags=["one", "two"])
        return len(runs)

    assert missed() == 2
    assert names("fragment:by hand") == [
        "fragment:by hand(library.Author:1001, 'n')",
        "fragment:by hand(library.Author:1002, 'n')",
    ]
    invalidate_fragment("by hand", author, "n")
    assert missed() == 1
    assert invalidate_label("fragment:by hand") == 2
    assert missed() == 2
    assert invalidate_pattern("fragment:by hand(library.Author:1002*") == 1
    assert missed() == 1
    everfresh.invalidate_tags("two")
    assert missed() == 2
    everfresh.invalidate_for(author)
    assert missed() == 1
    assert missed() == 0


def test_invalidate_for_a_rollback(author: Author) -> None:
    """It takes effect when the transaction is committed, and only then."""
    page = Page('{% fragment "committed" author %}{% run %}{% endfragment %}')
    page(author=author)
    with transaction.atomic():
        everfresh.invalidate_for(author)
        transaction.set_rollback(True)
    page(author=author)
    assert page.outcomes == [HIT]
    with transaction.atomic():
        everfresh.invalidate_for(author)
    page(author=author)
    assert page.outcomes == [FILL]


def test_invalidate_for_what_is_not_saved() -> None:
    """There is nothing to invalidate."""
    with pytest.raises(ValueError, match="is not saved, so nothing can be cached for it"):
        everfresh.invalidate_for(Author(name="A"))


def test_switched_off(author: Author, configure: Configure, django_assert_num_queries: Any) -> None:
    """It is rendered as if the tag were not there: no query more."""
    configure(ENABLED=False)
    for _ in range(2):
        with django_assert_num_queries(1):
            assert BOOKS(author=author) == "A: one"


def test_in_a_transaction_that_wrote(author: Author, elsewhere: Elsewhere) -> None:
    """It shows what the transaction sees, and nobody else gets to see that."""
    BOOKS(author=author)
    with transaction.atomic():
        Book.objects.filter(id=1001).update(title="uncommitted")
        assert BOOKS(author=author) == "A: uncommitted"
        transaction.set_rollback(True)
    assert BOOKS(author=author) == "A: one"
    assert BOOKS.outcomes == [HIT]


def test_visitors_at_one_time_never_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a rendering that turns out to be another visitor's does one of their own."""
    page = Page('{% fragment "visitors" %}{{ name }}{% run %}{% endfragment %}')
    other = Page('{% fragment "visitors" %}{{ name }}{% run %}{% endfragment %}')
    waits = threading.Event()

    def board(key: str) -> Any:
        flight = flights.board(key)
        if flight is not None:
            waits.set()
        return flight

    monkeypatch.setattr("everfresh.recorded.reading.board", board)
    with ThreadPoolExecutor(1) as pool:

        def bob() -> str:
            try:
                return other(name="Bob")
            finally:
                connections.close_all()
                caches.close_all()

        found: list[Future[str]] = []
        during.append(lambda: (found.append(pool.submit(bob)), waits.wait(5)))

        assert page(name="Ann") == "Ann"
        assert found[0].result(5) == "Bob"
    assert waits.is_set()
