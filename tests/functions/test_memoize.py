"""Memoized functions: each option, and what the seed's decorator did and did wrong."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Lock
from types import FunctionType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import Count, Prefetch
from django.utils.html import format_html
from django.utils.safestring import mark_safe

import everfresh
from everfresh import NotCached, memoize, names
from everfresh.events import Outcome, Read, listening
from everfresh.functions import Call
from tests.conftest import Configure, Elsewhere
from tests.counting import counting
from tests.library.models import Author, Book, Order

pytestmark = pytest.mark.django_db(transaction=True)

Runs = list[Any]


@pytest.fixture
def author() -> Author:
    """One author with one book, read from the database."""
    Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author_id=1, title="one", pages=10)
    return Author.objects.get(id=1)


@memoize
def titles(author_id: int, *, shout: bool = False) -> list[str]:
    """Of one author."""
    found = [book.title for book in Book.objects.filter(author_id=author_id)]
    return [title.upper() for title in found] if shout else found


# What it reads


@pytest.mark.seeds("CE-1")
def test_second_call_asks_nothing(author: Author, django_assert_num_queries: Any) -> None:
    """And any write that changes what it read makes the next one ask."""
    with django_assert_num_queries(1):
        assert titles(1) == ["one"]
    with django_assert_num_queries(0):
        assert titles(1) == ["one"]
        assert titles(author_id=1, shout=False) == ["one"]
    assert titles(1, shout=True) == ["ONE"]
    Book.objects.filter(id=1).update(title="new")
    assert titles(1) == ["new"]
    Author.objects.create(id=2, name="another")
    with django_assert_num_queries(0):
        assert titles(1) == ["new"]


@pytest.mark.seeds("CE-2")
def test_none_is_a_result(author: Author) -> None:
    """As is every other falsy value."""
    runs: Runs = []

    @memoize
    def given(value: object) -> object:
        runs.append(value)
        return value

    for value in (None, 0, "", [], False, {}):
        assert given(value) == given(value) == value
    assert len(runs) == 6


def test_exceptions_are_not_kept(author: Author) -> None:
    """They pass, and the next call runs again: it neither waits nor gets something old."""
    runs: Runs = []

    @memoize
    def fails(title: str) -> str:
        runs.append(title)
        return Book.objects.get(title=title).title

    for _ in range(2):
        with pytest.raises(Book.DoesNotExist):
            fails("new")
    Book.objects.filter(id=1).update(title="new")
    assert fails("new") == fails("new") == "new"
    assert len(runs) == 3


def test_raw_sql_is_untracked_unless_declared(author: Author, caplog: pytest.LogCaptureFixture) -> None:
    """``depends_on`` takes models and labels; an empty list says that nothing is depended on."""

    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM library_book")
            return int(cursor.fetchone()[0])

    with caplog.at_level(logging.WARNING, "everfresh"):
        counted = memoize(count)
        assert counted() == 1
        assert "Declare the tables with depends_on" in caplog.text
    counted_by = [memoize(depends_on=[model], label=str(model))(count) for model in (Book, "library.Book", Author)]
    never = memoize(depends_on=[], label="never")(count)
    assert [each() for each in (counted, *counted_by, never)] == [1, 1, 1, 1, 1]
    Book.objects.create(id=2, author=author, title="two")
    assert [each() for each in (counted, *counted_by, never)] == [2, 2, 2, 1, 1]


def test_a_model_that_is_not_looked_at_cannot_be_depended_on(author: Author, configure: Configure) -> None:
    """The error says what to change."""
    configure(EXCLUDE=["library.Order"])
    count = memoize(depends_on=[Order], label="orders")(lambda: 1)
    with pytest.raises(ImproperlyConfigured, match=r"depends_on= of orders names library.Order.*EXCLUDE"):
        count()


def test_nested(author: Author) -> None:
    """The outer one depends on what the inner one read."""

    @memoize
    def shouted(author_id: int) -> list[str]:
        return [title.upper() for title in titles(author_id)]

    titles(1)
    assert shouted(1) == ["ONE"]
    Book.objects.filter(id=1).update(title="new")
    assert shouted(1) == ["NEW"]
    assert titles(1) == ["new"]


# Arguments


@memoize
def describe(who: Author, books: Any = ()) -> str:
    """By what it is given, and nothing else."""
    return f"{who.name}: {', '.join(book.title for book in books)}"


def test_rows_that_are_given(author: Author, django_assert_num_queries: Any) -> None:
    """They are named by their keys; on a miss they are asked for again, and then depended on."""
    assert describe(author) == "A: "
    with django_assert_num_queries(0):
        assert describe(author) == "A: "
    Author.objects.filter(id=1).update(name="B")
    assert describe(author) == "A: ", "what was given is older than the row: computed, and not kept"
    assert describe(Author.objects.get(id=1)) == "B: "
    with django_assert_num_queries(0):
        assert describe(author) == "B: "


def test_a_row_that_is_changed_in_memory(author: Author) -> None:
    """The caller gets what a plain function would give, and nobody else does."""
    author.name = "changed"
    assert describe(author) == "changed: "
    assert describe(Author.objects.get(id=1)) == "A: "


def test_what_is_loaded_with_a_row_counts(author: Author) -> None:
    """Prefetched lists, for one."""

    @memoize
    def count(who: Author) -> int:
        return len(who.books.all())

    loaded = Author.objects.prefetch_related("books").get(id=1)
    assert count(loaded) == 1
    Book.objects.create(id=2, author_id=1, title="two")
    assert count(Author.objects.get(id=1)) == 2
    annotated = Author.objects.annotate(n=Count("books")).get(id=1)
    Book.objects.create(id=3, author_id=1, title="three")
    assert count(annotated) == 3


def test_querysets_that_are_given(author: Author) -> None:
    """By their queries: one that was evaluated asks again, where the result is to be kept."""
    books = Book.objects.filter(author_id=1)
    assert describe(author, books) == "A: one"
    assert len(books) == 1
    Book.objects.create(id=2, author_id=1, title="two")
    assert describe(author, books) == "A: one, two"
    assert describe(author, Book.objects.filter(author_id=1)) == "A: one, two"


def test_arguments_that_have_no_key() -> None:
    """The error names function, argument, type and the way out."""
    with pytest.raises(
        TypeError,
        match=r"^tests\.functions\.test_memoize\.titles\(\) cannot be cached by its argument 'author_id': it is, or "
        r"holds, builtins\.object, which has no stable key\. Say what tells the calls apart: memoize\(key=lambda call",
    ):
        titles(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"an unsaved library\.Author"):
        describe(Author(name="x"))
    with pytest.raises(TypeError, match="missing a required argument: 'author_id'"):
        titles()  # type: ignore[call-arg]


def test_arguments_of_any_shape() -> None:
    """Positional-only, keyword-only, variable: the same call by whatever way has one result, another has its own."""
    runs: Runs = []

    @memoize
    def shaped(a: int, /, b: int = 2, *more: int, c: int = 3, **named: int) -> int:
        runs.append((a, b, more, c, named))
        return len(runs)

    assert shaped(1) == shaped(1, 2) == shaped(1, b=2) == shaped(1, c=3) == 1
    assert shaped(1, 2, 3) == shaped(1, 2, *[3]) == 2
    assert shaped(1, x=1, y=2) == shaped(1, y=2, x=1) == 3
    assert shaped(True) == 4
    assert runs[1:] == [(1, 2, (3,), 3, {}), (1, 2, (), 3, {"x": 1, "y": 2}), (True, 2, (), 3, {})]


# key


@pytest.mark.seeds("CE-1")
def test_key_is_made_of_the_call() -> None:
    """Every argument is there by its name, those left out too; what it leaves out does not count."""
    calls: list[Call] = []

    def key(call: Call) -> str:
        calls.append(call)
        return f"Book:{call.a}>{call.b}"

    @memoize(key=key)
    def add(a: int, b: int = 2, *args: int, unlike: object = None, **kwargs: int) -> int:
        return a + b

    assert add(1) == add(1, unlike=object()) == add(1, 2, 99, z=5) == 3
    call = calls[-1]
    assert (call.a, call.b, call.args, call.kwargs, call.unlike) == (1, 2, (99,), {"z": 5}, None)
    assert add.cache_key(1) == "Book:1>2"
    assert repr(call) == "<Call a=1, b=2, args=(99,), unlike=None, kwargs={'z': 5}>"
    with pytest.raises(AttributeError, match="no argument 'c': it has a, b, args, unlike, kwargs"):
        call.c  # noqa: B018


def test_call_without_variable_arguments() -> None:
    """``args`` and ``kwargs`` are what the function is given; arguments come as they are, descriptors too."""
    prop = property(lambda self: 1)
    seen: list[Call] = []

    @memoize(key=lambda call: str(seen.append(call)))
    def function(a: object, *, b: object) -> None: ...

    function(prop, b=len)
    assert seen[0].args == (prop,)
    assert seen[0].kwargs == {"b": len}
    assert seen[0].a is prop
    assert copy.copy(seen[0]).b is len


@pytest.mark.parametrize("text", ["", None, 7, b"x"])
def test_key_is_a_text(text: Any) -> None:
    """Anything else is told at once, with the name of the function."""
    function = memoize(key=lambda call: text, label="labelled")(lambda: 1)
    with pytest.raises(TypeError, match=r"key= of labelled gave .*, where it takes a text that is not empty"):
        function()


@pytest.mark.parametrize("text", ["a>b>c", "a b\n\0", "é€😀", "\ud800", "x" * 5000, "a[*]?", "%s {0}"])
def test_key_may_hold_anything(text: str) -> None:
    """Nothing of it is cut off, and it can be invalidated by the same text."""
    runs: Runs = []
    function = memoize(key=lambda call: text + call.a)(lambda a: runs.append(a) or None)
    for _ in range(2):
        function("1")
        function("2")
    assert runs == ["1", "2"]
    function.invalidate("1")
    function("1")
    function("2")
    assert runs == ["1", "2", "1"]


def test_two_functions_may_give_one_key(author: Author) -> None:
    """Their results are apart, and the text finds both."""
    one = memoize(key=lambda call: "same", label="one")(lambda: 1)
    two = memoize(key=lambda call: "same", label="two")(lambda: 2)
    assert (one(), two(), one(), two()) == (1, 2, 1, 2)
    names.invalidate_name("same")
    with pytest.raises(NotCached):
        one.peek()
    with pytest.raises(NotCached):
        two.peek()


# Callbacks


@pytest.mark.seeds("CE-5")
def test_callbacks(author: Author) -> None:
    """The first call is a miss, told before it runs, the second a hit, told with its result."""
    told: Runs = []

    @memoize(
        key=lambda call: f"titles:{call.author_id}",
        on_hit=lambda key, result, call: told.append(("hit", key, result, call.author_id)),
        on_miss=lambda key, call: told.append(("miss", key, call.author_id)),
    )
    def read(author_id: int) -> list[str]:
        told.append("runs")
        return [book.title for book in Book.objects.filter(author_id=author_id)]

    read(1)
    read(1)
    assert told == [("miss", "titles:1", 1), "runs", ("hit", "titles:1", ["one"], 1)]


def test_errors_of_callbacks_are_the_callers(author: Author) -> None:
    """They pass, and leave no lease behind."""
    working = False

    def tell(key: str, *rest: object) -> None:
        if not working:
            raise ZeroDivisionError

    function = memoize(on_hit=tell, on_miss=tell)(lambda: 1)
    with pytest.raises(ZeroDivisionError):
        function()
    working = True
    assert function() == 1
    working = False
    with pytest.raises(ZeroDivisionError):
        function()


# skip


@pytest.mark.seeds("CE-6")
def test_skip(author: Author) -> None:
    """The function is called, nothing is read, stored or told; where it does not hold, calls are cached as ever."""
    runs: Runs = []
    told: Runs = []

    @memoize(skip=lambda call: "skip" in call.data, on_hit=lambda *_: told.append(1), on_miss=lambda *_: told.append(2))
    def function(data: dict[str, int]) -> int:
        runs.append(data)
        return len(runs)

    assert [function({"skip": 1}), function({"skip": 1})] == [1, 2]
    assert told == []
    assert [function({"test": 1}), function({"test": 1})] == [3, 3]
    assert told == [2, 1]
    always = memoize(skip=True)(lambda: runs.append(0))
    always()
    always()
    assert len(runs) == 5
    with pytest.raises(NotCached):
        always.peek()
    assert [function.refresh({"skip": 1}), *function.many([({"skip": 1},), ({"test": 1},)])] == [6, 7, 3]


# timeout, grace


@pytest.mark.seeds("CE-7")
@pytest.mark.slow
def test_timeout(author: Author) -> None:
    """Each function has its own, in seconds or as a timedelta; left out, it is for ever."""
    runs: Runs = []
    short = memoize(timeout=1, label="short")(lambda: runs.append("short"))
    longer = memoize(timeout=timedelta(hours=3), label="longer")(lambda: runs.append("longer"))
    ever = memoize(label="ever")(lambda: runs.append("ever"))
    for _ in range(2):
        for each in (short, longer, ever):
            each()
    assert runs == ["short", "longer", "ever"]
    # Backends that count whole seconds round up.
    time.sleep(2.1)
    for each in (short, longer, ever):
        each()
    assert runs == ["short", "longer", "ever", "short"]


def test_timeout_of_zero_stores_nothing() -> None:
    """As everywhere."""
    function = memoize(timeout=0)(lambda: [1])
    assert function() is not function()


@pytest.mark.parametrize("given", [{"timeout": "1"}, {"grace": "1"}])
def test_timeouts_are_checked_at_once(given: dict[str, Any]) -> None:
    """At decoration, not at the first call."""
    with pytest.raises(TypeError, match="A timeout is seconds"):
        memoize(**given)(lambda: 1)


def test_grace(author: Author, elsewhere: Elsewhere) -> None:
    """One caller computes it anew, and others who come meanwhile get the old one."""
    meanwhile: Runs = []

    @memoize(grace=60, label="graceful")
    def read() -> list[str]:
        found = [book.title for book in Book.objects.all()]
        if found == ["new"]:
            meanwhile.append(elsewhere(read))
        return found

    assert read() == ["one"]
    Book.objects.update(title="new")
    assert read() == ["new"]
    assert meanwhile == [["one"]]
    assert read() == ["new"]


# tags


TAGS: list[tuple[Any, set[str]]] = [
    ("a", {"a"}),
    (["a", ["b", None, ("a", {"c"})]], {"a", "b", "c"}),
    (lambda call: f"x:{call.x}", {"x:1"}),
    (lambda call: [None, f"x:{call.x}", ["b"]], {"x:1", "b"}),
    (lambda call, result: [f"r:{each}" for each in result], {"r:1", "r:2"}),
    (lambda call, result: None, set()),
    (None, set()),
    ([], set()),
]


@pytest.mark.seeds("CE-4")
@pytest.mark.parametrize("at", range(len(TAGS)))
def test_tags(at: int) -> None:
    """Any of them ends the result, and no other does; those of the result are asked for once it is there."""
    given, expected = TAGS[at]
    runs: Runs = []

    @memoize(tags=given)
    def function(x: int) -> list[int]:
        runs.append(x)
        return [1, 2]

    function(1)
    everfresh.invalidate_tags("other", "x:2", "r:3")
    function(1)
    assert len(runs) == 1
    for number, tag in enumerate(sorted(expected)):
        everfresh.invalidate_tags(tag)
        function(1)
        assert len(runs) == 2 + number
    assert set(names.labels()) >= {f"tag:{tag}" for tag in expected}


def test_tags_are_strings() -> None:
    """An instance, for one, is not."""
    function = memoize(tags=["a", 7], label="labelled")(lambda: 1)
    with pytest.raises(TypeError, match="tags= of labelled gave 7, where a tag is a string"):
        function()


def test_an_invalidation_counts_from_its_commit(author: Author, elsewhere: Elsewhere) -> None:
    """And never when it is rolled back."""
    runs: Runs = []
    function = memoize(tags="a", label="counted")(lambda: len(runs))
    assert function() == 0
    runs.append(1)
    with transaction.atomic():
        everfresh.invalidate_tags("a")
        transaction.set_rollback(True)
    assert function() == 0
    with transaction.atomic():
        everfresh.invalidate_tags("a")
        assert elsewhere(function) == 0
        assert function() == 1
    assert function() == 1


# What the face can do


def test_invalidate_one(author: Author) -> None:
    """The others of the function stay; in a transaction it counts from the COMMIT."""
    runs: Runs = []
    function = memoize(label="one of two")(lambda a, b=2: runs.append(a))
    function(1)
    function(2)
    function.invalidate(a=1, b=2)
    function(1)
    function(2)
    assert runs == [1, 2, 1]
    with transaction.atomic():
        function.invalidate(2)
        transaction.set_rollback(True)
    function(2)
    assert runs == [1, 2, 1]


@pytest.mark.seeds("CE-8")
def test_invalidate_all() -> None:
    """Returns how many that were; again, without a call between, it is none. Functions of one name do not meet."""
    one, two = (memoize(label=f"app.{module}.function")(lambda a: object()) for module in ("one", "two"))
    kept = two(1)
    for number in range(3):
        one(number)
    assert one.invalidate_all() == 3
    assert one.invalidate_all() == 0
    assert two.invalidate_all() == 1
    assert kept is not None


def test_refresh(author: Author) -> None:
    """Computed although nothing has changed, and kept for the others."""
    runs: Runs = []

    @memoize
    def count() -> int:
        runs.append(1)
        return len(runs)

    assert (count(), count.refresh(), count(), count.refresh()) == (1, 2, 2, 3)


def test_peek(author: Author) -> None:
    """What is stored and current, without a call of the function; else an error that says what was asked for."""
    with pytest.raises(NotCached, match=r"No current result of .*\.titles is stored under '.*titles\(author_id=1, "):
        titles.peek(1)
    titles(1)
    assert titles.peek(1) == ["one"]
    Book.objects.update(title="new")
    with pytest.raises(LookupError):
        titles.peek(1)


def test_what_peeks_is_not_kept() -> None:
    """For it depends on what happens to be stored."""
    inner = memoize(label="inner")(lambda: 1)

    @memoize
    def outer() -> int | None:
        try:
            return inner.peek()
        except NotCached:
            return None

    assert outer() is None
    inner()
    assert outer() == 1


def test_many(author: Author, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order; one round trip for all that are stored, and the others one by one."""
    Author.objects.create(id=2, name="B")
    assert titles.many([(1,), {"author_id": 2}, (1,)]) == [["one"], [], ["one"]]
    counts = counting(monkeypatch)
    with django_assert_num_queries(0):
        assert titles.many([(2,), (1,), {"author_id": 1, "shout": False}]) == [[], ["one"], ["one"]]
    assert counts.exchanges == 1  # the entries, with all of their tags
    Book.objects.filter(id=1).update(title="new")
    assert titles.many([(2,), (1,)]) == [[], ["new"]]
    assert titles.many([]) == []
    with pytest.raises(TypeError, match="many\\(\\) takes a list of tuples or dicts of arguments, not one with 1"):
        titles.many([1])  # type: ignore[list-item]


# Names


def test_names(author: Author) -> None:
    """They are readable, listed, and found by patterns."""
    assert titles.cache_key(1) == "tests.functions.test_memoize.titles(author_id=1, shout=False)"
    assert describe.cache_key(author) == "tests.functions.test_memoize.describe(who=library.Author 1, books=())"
    titles(1)
    titles(2)
    assert names.names("tests.functions.test_memoize.titles") == [titles.cache_key(1), titles.cache_key(2)]
    assert names.invalidate_pattern("*titles(author_id=1,*") == 1
    with pytest.raises(NotCached):
        titles.peek(1)
    assert titles.peek(2) == []


@pytest.mark.parametrize(
    "value", ["x" * 1000, "\n\0", [1, {"a": (None, 2.5)}], {1, 2}, memoryview(b"a"), Author, b"\n"]
)
def test_names_are_short_and_printable(value: object) -> None:
    """And the same each time, and others for others."""

    @memoize
    def function(value: object) -> None: ...

    name = function.cache_key(value)
    assert name == function.cache_key(value)
    assert len(name) <= 200
    assert name.isprintable()
    assert function.cache_key("x" * 1000) != function.cache_key("x" * 1001)


# Functions


def multiplier(factor: object) -> Any:
    """Makes functions."""

    @memoize
    def multiply(number: int) -> Any:
        return number * factor  # type: ignore[operator]

    return multiply


def test_functions_of_a_factory_are_told_apart() -> None:
    """By the free variables that have a name."""
    twice, thrice = multiplier(2), multiplier(3)
    assert (twice(2), thrice(2), multiplier(2)(2), multiplier("a")(2)) == (4, 6, 4, "aa")
    assert "multiply(factor=2)" in repr(twice)
    assert twice.invalidate_all() == 1
    assert thrice.peek(2) == 6


def around(function: Callable[[int], int]) -> Any:
    """Makes functions of functions."""

    @memoize
    def call(number: int) -> int:
        return function(number)

    return call


def test_functions_around_functions_are_told_apart() -> None:
    """By what those are made of: their names may be the same."""

    def adds(number: int) -> Callable[[int], int]:
        return lambda given: given + number

    assert [around(each)(1) for each in (lambda a: a + 1, lambda a: a + 2, lambda a: a * 3, adds(4), adds(5))] == [
        2,
        3,
        3,
        5,
        6,
    ]


def test_lambdas_are_told_apart() -> None:
    """Though all have one name; and a local function may call itself."""
    one, two, three = memoize(lambda: 1), memoize(lambda: 2), memoize(lambda a=None: (..., a, [1, 2, 3][:2]))
    assert (one(), two(), three(), one(), two()) == (1, 2, (..., None, [1, 2]), 1, 2)

    @memoize
    def factorial(number: int) -> int:
        return number * factorial(number - 1) if number else 1

    assert factorial(5) == factorial(5) == 120
    assert factorial.peek(3) == 6


def test_label() -> None:
    """Overrides what the function is called, so that two may share results, or one may move."""
    one, two = (memoize(label="shared")(each) for each in (lambda: 1, lambda: 2))
    assert one() == two() == 1
    assert names.labels() == ["shared"]


def test_generators(author: Author) -> None:
    """The items are kept, and each call iterates over them anew."""
    told: Runs = []

    @memoize(on_hit=lambda key, result, call: told.append(result), tags=lambda call, result: result)
    def read() -> Iterator[str]:
        for book in Book.objects.all():
            yield book.title

    assert [list(read()), list(read())] == [["one"], ["one"]]
    one, other = read(), read()
    assert next(one) == next(other) == "one"
    assert list(one) == []
    assert told == [["one"]] * 3
    assert list(read.peek()) == list(read.refresh()) == ["one"]
    assert [list(each) for each in read.many([(), {}])] == [["one"], ["one"]]
    Book.objects.update(title="new")
    assert list(read()) == ["new"]


def test_it_looks_like_the_function() -> None:
    """Its name, its text and its signature are the function's, and it is pickled by its name, as one."""
    assert titles.__name__ == "titles"
    assert titles.__doc__ == "Of one author."
    assert list(inspect.signature(titles).parameters) == ["author_id", "shout"]
    assert isinstance(titles.__wrapped__, FunctionType)  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(titles)) is copy.deepcopy(titles) is titles
    assert repr(titles) == "<memoized tests.functions.test_memoize.titles>"


@pytest.mark.parametrize("target", [int, "key", property(lambda self: 1), 7])
def test_what_is_no_function(target: Any) -> None:
    """The error says where the decorator goes."""
    with pytest.raises(TypeError, match=r"@memoize takes a function, not .* by name, as in @memoize"):
        memoize(target)


# Off


@pytest.mark.seeds("CE-12")
def test_switched_off(author: Author, configure: Configure) -> None:
    """It is the plain function, from one moment to the next: nothing is read, stored or told, any argument will do."""
    told: Runs = []

    @memoize(on_hit=lambda *_: told.append(1), on_miss=lambda *_: told.append(1))
    def given(value: object) -> object:
        return object()

    def items() -> Iterator[int]:
        yield 1

    kept = memoize(lambda: [1])
    first = kept()
    with everfresh.disabled():
        assert given(object()) is not given(1)
        assert kept() is not first
        assert kept.many([()])[0] is not first
        assert inspect.isgenerator(memoize(items)())
        with pytest.raises(NotCached):
            kept.peek()
    configure(ENABLED=False)
    assert given(object()) is not given(1)
    assert told == []


def test_in_a_transaction_that_wrote(author: Author, elsewhere: Elsewhere) -> None:
    """It is the plain function there, and nobody else sees what it sees."""
    told: Runs = []
    read = memoize(on_miss=lambda *_: told.append(1))(lambda: [book.title for book in Book.objects.all()])
    read()
    with transaction.atomic():
        Book.objects.update(title="uncommitted")
        assert read() == ["uncommitted"]
        assert elsewhere(read) == ["one"]
        transaction.set_rollback(True)
    assert read() == ["one"]
    assert len(told) == 1


def test_events(author: Author) -> None:
    """Under the function's label."""
    seen: list[Read] = []
    with listening(lambda event: seen.append(event) if isinstance(event, Read) else None):
        titles(1)
        titles(1)
    assert [(each.label, each.outcome) for each in seen if each.label.endswith("titles")] == [
        ("tests.functions.test_memoize.titles", Outcome.FILL),
        ("tests.functions.test_memoize.titles", Outcome.HIT),
    ]


def test_safe_text_is_another_argument() -> None:
    """Else what was made of it, unescaped, would be shown for the same text from anybody; both have one name."""

    @memoize
    def shown(text: str) -> str:
        return format_html("<p>{}</p>", text)

    for _ in range(2):
        assert shown(mark_safe("<b>")) == "<p><b></p>"
        assert shown("<b>") == "<p>&lt;b&gt;</p>"
    shown.invalidate("<b>")
    for text in ("<b>", mark_safe("<b>")):
        with pytest.raises(NotCached):
            shown.peek(text)


def scaled(factor: int) -> Callable[[Callable[[int], int]], Callable[[int], int]]:
    """A decorator as most are: what it makes has the name of what it is given."""

    def decorate(function: Callable[[int], int]) -> Callable[[int], int]:
        @functools.wraps(function)
        def call(number: int) -> int:
            return factor * function(number)

        return call

    return decorate


def plain(number: int) -> int:
    """What is decorated."""
    return number


def test_decorated_functions_are_told_apart() -> None:
    """Though all have the name of the one function that they were made of, which is their label."""
    by_hand = [memoize(each) for each in (plain, scaled(2)(plain), scaled(3)(plain), scaled(2)(scaled(3)(plain)))]
    for _ in range(2):
        assert [each(1) for each in by_hand] == [1, 2, 3, 6]
    assert {repr(each) for each in by_hand} == {f"<memoized {__name__}.plain>"}


class Shelf:
    """Has methods of all kinds."""

    def __init__(self, length: int) -> None:
        self.length = length

    def free(self) -> int:
        """What differs from instance to instance."""
        return self.length

    @classmethod
    def kind(cls) -> str:
        """What differs from class to class."""
        return cls.__name__


class TopShelf(Shelf):
    pass


def test_methods_that_are_bound() -> None:
    """Those of an instance are refused, for nothing tells them apart; those of classes are told apart."""
    with pytest.raises(TypeError, match=r"not the method Shelf\.free of one instance"):
        memoize(Shelf(1).free)
    kinds = [memoize(Shelf.kind), memoize(TopShelf.kind)]
    assert [each() for each in kinds] == [each() for each in kinds] == ["Shelf", "TopShelf"]


def test_what_next_raises_passes() -> None:
    """Like any other exception."""

    @memoize
    def first(name: str) -> Author:
        return next(iter(Author.objects.filter(name=name)))

    with pytest.raises(StopIteration):
        first("none")
    Author.objects.create(name="none")
    assert first("none").name == "none"


def test_an_argument_may_be_called_self() -> None:
    """Of a function that is no method."""

    @memoize
    def given(self: int) -> int:
        return self

    assert given(self=1) == given.refresh(self=1) == given.peek(self=1) == 1
    given.invalidate(self=1)
    assert given.cache_key(self=2) != given.cache_key(self=1)


def test_the_order_of_a_dict_counts() -> None:
    """For columns may be made of one; that of arguments which are given by name does not."""

    @memoize
    def columns(given: dict[str, int]) -> list[str]:
        return list(given)

    for given in ({"a": 1, "b": 2}, {"b": 2, "a": 1}) * 2:
        assert columns(given) == list(given)

    @memoize
    def named(**given: int) -> int:
        return sum(given.values())

    assert named.cache_key(a=1, b=2) == named.cache_key(b=2, a=1)


@pytest.mark.parametrize(
    "given",
    [
        lambda: Author.objects.prefetch_related(Prefetch("books", Book.objects.filter(pages=99))).get(),
        lambda: Author.objects.prefetch_related(Prefetch("books", Book.objects.all(), to_attr="read")).get(),
        lambda: Author.objects.annotate(count=Count("books")).get(),
    ],
    ids=["filtered", "listed", "annotated"],
)
def test_what_a_query_put_into_an_instance_counts(given: Callable[[], Author], author: Author) -> None:
    """Also where a result for the plain row is stored."""

    def seen(author: Author) -> Any:
        books = [book.title for book in author.books.all()]
        return books, getattr(author, "read", None), getattr(author, "count", None)

    stored = memoize(seen)
    stored(author)
    assert stored(given()) == seen(given())


def test_functions_of_a_factory_that_nothing_tells_apart() -> None:
    """What nothing names in keys is an error where it is decorated, and a label of its own is the way out."""

    def asking(client: object, label: str | None = None) -> Callable[[], str]:
        return memoize(label=label)(lambda: type(client).__name__)

    with pytest.raises(TypeError, match=r"uses 'client' of the function around it, .*Give it a label= of its own"):
        asking(object())
    assert asking(object(), "one")() == "object"
    assert asking(Lock(), "two")() == "lock"
