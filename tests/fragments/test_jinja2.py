"""Fragments in Jinja2: the same rules, with the names read off the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from everfresh.events import Event, Outcome, Read, listening
from tests.fragments.rendering import FILL, HIT, MISS
from tests.library.models import Author, Book

jinja2 = pytest.importorskip("jinja2")

pytestmark = pytest.mark.django_db(transaction=True)


class Page:
    """A template, and others by name."""

    def __init__(self, source: str, autoescape: bool = True, **others: str) -> None:
        self.environment = jinja2.Environment(
            loader=jinja2.DictLoader({"page": source, **others}),
            extensions=["everfresh.jinja2.FragmentExtension"],
            autoescape=autoescape,
        )
        self.environment.globals["shout"] = str.upper
        self.events: list[Read] = []

    def __call__(self, **context: Any) -> str:
        self.events.clear()
        with listening(self._listen):
            return str(self.environment.get_template("page").render(**context))

    def _listen(self, event: Event) -> None:
        if isinstance(event, Read) and event.label.startswith("fragment:"):
            self.events.append(event)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of the last rendering's fragments."""
        return [event.outcome for event in self.events]


@pytest.fixture
def author() -> Author:
    """An author with one book."""
    author = Author.objects.create(id=1001, name="A")
    Book.objects.create(id=1001, author=author, title="one")
    return Author.objects.get(id=1001)


BOOKS = (
    '{% fragment "author", author %}{{ author.name }}:'
    "{% for book in author.books.all() %} {{ book.title }}{% endfor %}{% endfragment %}"
)


@pytest.mark.parametrize("autoescape", [True, False])
def test_never_stale(autoescape: bool, author: Author, django_assert_num_queries: Any) -> None:
    """What it reads, and the instance it is given, drop it."""
    page = Page(BOOKS, autoescape)
    assert page(author=author) == "A: one"
    with django_assert_num_queries(0):
        assert page(author=author) == "A: one"
    Book.objects.filter(id=1001).update(title="<b>")
    assert page(author=author) == ("A: &lt;b&gt;" if autoescape else "A: <b>")
    Author.objects.filter(id=1001).update(name="new")
    assert page(author=Author.objects.get(id=1001)).startswith("new")
    assert page(author=author).startswith("new")


def test_old_instance_is_not_kept(author: Author) -> None:
    """It is shown as it was given."""
    page = Page(BOOKS)
    Author.objects.filter(id=1001).update(name="new")
    assert page(author=author) == "A: one"
    assert page.outcomes == [MISS]


@pytest.mark.parametrize(
    "body",
    [
        "{{ value }}",
        "{% if value %}yes{% endif %}",
        "{% for each in value %}{{ each }}{% endfor %}",
        "{% set other = value %}{{ other }}",
        "{% with other = value %}{{ other }}{% endwith %}",
        "{{ shout(value or '') }}",
        '{% include "included" %}',
        '{% include "including" %}',
        '{% import "macros" as macros with context %}{{ macros.show() }}',
        '{% fragment "inner" %}{{ value }}{% endfragment %}',
        "{% filter upper %}{{ value }}{% endfilter %}",
    ],
)
def test_ways_to_use_a_name(body: str) -> None:
    """However the template comes by a value from outside, another one is another rendering."""
    page = Page(
        f'{{% fragment "ways" %}}{body}{{% endfragment %}}',
        included="{{ value }}",
        including='{% include "included" %}',
        macros="{% macro show() %}{{ value }}{% endmacro %}",
    )
    shown = page(value="first")
    assert page(value="first") == shown
    assert page.outcomes == [HIT]
    assert page() != shown
    assert page.outcomes[-1] is FILL


def test_names_bound_outside_and_inside() -> None:
    """Those of the template around it are from outside, its own are not."""
    page = Page(
        '{% for letter in letters %}{% fragment "letter", letter %}'
        "{% for each in [letter] %}{{ each }}{% endfor %}{% endfragment %}{% endfor %}"
    )
    assert page(letters="ab") == "ab"
    assert page(letters="aba", each="x") == "aba"
    assert page.outcomes == [HIT] * 3


@pytest.mark.parametrize(
    "body",
    ["{{ csrf_input }}", "{{ csrf_token }}", "{{ thing }}", "{% include name %}", "{{ loop.index }}"],
)
def test_not_kept(body: str) -> None:
    """What cannot be named is rendered each time."""
    page = Page(
        f'{{% for each in "a" %}}{{% fragment "not kept" %}}{body}{{% endfragment %}}{{% endfor %}}', included="{{ x }}"
    )
    for _ in range(2):
        page(csrf_input="i", csrf_token="t", thing=object(), name="included")
        assert page.outcomes == [MISS]


def test_author_answers_for_what_the_tag_mentions() -> None:
    """As for the counter of a loop."""
    page = Page('{% for x in "ab" %}{% fragment "loop", loop.index %}{{ loop.index }}{% endfragment %}{% endfor %}')
    assert page() == page() == "12"
    assert page.outcomes == [HIT, HIT]


def test_globals_are_the_templates_own() -> None:
    """Unless a context puts something else in their place."""
    page = Page('{% fragment "global" %}{{ shout("a") }}{{ range(2)|list }}{% endfragment %}')
    assert page() == page() == "A[0, 1]"
    assert page.outcomes == [HIT]
    page(shout=str.title)
    assert page.outcomes == [MISS]


def test_key(author: Author) -> None:
    """Language, text, the text of what it includes, and what the tag says."""
    first = Page('{% fragment "x" %}{% include "part" %}{% endfragment %}', part="old")
    assert [first(), Page('{% fragment "x" %}{% include "part" %}{% endfragment %}', part="new")()] == ["old", "new"]
    with translation.override("nl"):
        first()
    assert first.outcomes == [FILL]
    same = Page('{% fragment "same", timeout=60, grace=5, tags=["a"], any_language=true %}x{% endfragment %}')
    same()
    with translation.override("nl"):
        same()
    assert same.outcomes == [HIT]
    using = Page('{% fragment "using", author, using="bio" %}{{ author.name }}{% endfragment %}')
    using(author=author)
    author.name = "never saved"
    assert using(author=author) == "A"


def test_inside_blocks_and_macros() -> None:
    """Blocks of a page that extends, with what is above them; macros with what they are given."""
    page = Page(
        '{% extends "base" %}{% block a %}{% fragment "x" %}{{ super() }}{{ name }}{% endfragment %}{% endblock %}',
        base="[{% block a %}base{% endblock %}]",
    )
    assert page(name="n") == page(name="n") == "[basen]"
    assert page.outcomes == [HIT]
    page = Page(
        '{% macro show(name) %}{% fragment "m", name %}{{ name }}{% endfragment %}{% endmacro %}'
        '{{ show("a") }}{{ show("b") }}'
    )
    assert page() == page() == "ab"


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("", 'A fragment needs a name, as in {% fragment "city", city %}.'),
        ("name", 'A fragment needs a name, as in {% fragment "city", city %}.'),
        ('"x", colour=1', "not colour."),
        ('"x", timeout="soon"', "The fragment 'x' got a timeout that is no number of seconds and not None: 'soon'"),
        ('"x", 1, using="bio"', "The fragment 'x' got using='bio' needs an instance of a model as first value, not 1."),
    ],
)
def test_wrong_tags(tag: str, error: str) -> None:
    """The error says what it got."""
    with pytest.raises(jinja2.TemplateSyntaxError) as raised:
        Page(f"{{% fragment {tag} %}}{{% endfragment %}}")()
    assert error in str(raised.value)


def test_block_inside_is_refused() -> None:
    """As in Django's templates."""
    with pytest.raises(jinja2.TemplateSyntaxError) as raised:
        Page('{% fragment "x" %}{% block b %}{% endblock %}{% endfragment %}')()
    assert "Write the fragment inside of the block." in str(raised.value)


def test_asynchronous_environment_is_refused() -> None:
    """Its templates render as coroutines, which this does not."""
    environment = jinja2.Environment(extensions=["everfresh.jinja2.FragmentExtension"], enable_async=True)
    with pytest.raises(jinja2.TemplateSyntaxError):
        environment.from_string('{% fragment "x" %}{% endfragment %}')


def test_a_text_that_is_included_may_change_by_itself() -> None:
    """What includes it is not compiled anew, by a bytecode cache not even after a deploy: nobody knows what it uses."""
    texts = {"page": '{% fragment "x" %}{% include "part" %}{% endfragment %}', "part": "text"}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(texts), extensions=["everfresh.jinja2.FragmentExtension"], autoescape=True
    )

    def shown(user: str) -> str:
        return str(environment.get_template("page").render(user=user))

    assert shown("a") == "text"
    texts["part"] = "{{ user }}"
    assert [shown("a"), shown("b")] == ["a", "b"]


def test_templates_without_texts(tmp_path: Path) -> None:
    """As those that were compiled beforehand, of which no text can have changed."""
    texts = Page('{% fragment "x" %}{% include "part" %}{% endfragment %}', part="{{ user }}")
    texts.environment.compile_templates(str(tmp_path), zip=None)
    page = Page("")
    page.environment.loader = jinja2.ModuleLoader(str(tmp_path))
    assert [page(user="a"), page(user="b"), page(user="b")] == ["a", "b", "b"]
    assert page.outcomes == [HIT]
