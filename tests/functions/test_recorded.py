"""Functions whose dependencies record themselves: never stale, and dropped by nothing that they did not read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count, F, Sum
from django.test import override_settings

import everfresh
from everfresh import ages
from everfresh.conf import settings
from everfresh.events import Outcome
from everfresh.queries.terms import any_write
from everfresh.reading import Answer
from everfresh.recorded.reasons import reason_not_to_store
from everfresh.recording import Recording, recording
from everfresh.stores import GuardedStore
from tests.conftest import Elsewhere
from tests.functions.computing import ask, computation
from tests.library.models import Author, Book, Publisher

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def author() -> Author:
    """One author with one book."""
    author = Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author=author, title="one", pages=10)
    return author


def titles() -> list[str]:
    """Plain querysets: nothing asks for caching but that somebody records."""
    return [book.title for book in Book.objects.filter(author_id=1)]


def test_second_call_is_a_hit(author: Author, django_assert_num_queries: Any) -> None:
    """It runs once, and asks the database nothing after that."""
    assert ask(titles).outcome is Outcome.FILL
    with django_assert_num_queries(0):
        assert ask(titles) == Answer(["one"], Outcome.HIT)


def test_what_it_read_drops_it(author: Author) -> None:
    """Whatever write changes what it read, by whatever path."""
    ask(titles)
    Book.objects.create(id=2, author=author, title="two")
    assert ask(titles) == Answer(["one", "two"], Outcome.FILL)
    Book.objects.filter(id=1).update(title="new")
    assert ask(titles).value == ["new", "two"]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM library_book WHERE id = 2")
    assert ask(titles).value == ["new"]


def test_what_it_did_not_read_does_not(author: Author) -> None:
    """Another author's book is nothing to it."""
    ask(titles)
    Book.objects.create(id=9, author=Author.objects.create(id=9, name="B"), title="other")
    Publisher.objects.create(name="P")

    assert ask(titles).outcome is Outcome.HIT


def test_what_reads_a_hit_is_kept(author: Author) -> None:
    """A write moves tags of what it leaves as it is; what is computed of that is kept all the same, and is not stale.

    Those tags have no version then, and get one when the next query of their table is read.
    """

    def pages() -> Any:
        return Book.objects.filter(author_id=1).aggregate(pages=Sum("pages"))["pages"]

    for inner in (pages, lambda: ask(pages, "pages").value):

        def both(inner: Callable[[], Any] = inner) -> Any:
            return inner(), titles()

        key = f"both {inner.__qualname__}"
        before = ask(both, key).value
        Book.objects.filter(id=1).update(title=f"after {key}")
        assert ask(both, key) == Answer((before[0], [f"after {key}"]), Outcome.FILL)
        assert ask(both, key).outcome is Outcome.HIT
        Book.objects.filter(id=1).update(pages=F("pages") + 1)
        assert ask(both, key).value == (before[0] + 1, [f"after {key}"])


def test_what_reads_rows_of_a_hit_is_kept(author: Author) -> None:
    """The same for a list whose rows come from their own entries."""

    def both() -> Any:
        listed = Book.objects.filter(author_id=1, status=2).cache(rows=True)
        return [book.title for book in listed], titles()

    Book.objects.create(id=2, author=author, title="two", status=2)
    assert ask(both).value == (["two"], ["one", "two"])
    Book.objects.filter(id=1).update(title="new")
    assert ask(both) == Answer((["two"], ["new", "two"]), Outcome.FILL)
    assert ask(both).outcome is Outcome.HIT
    Book.objects.filter(id=1).update(status=2)
    assert ask(both).value == (["new", "two"], ["new", "two"])
    Book.objects.filter(id=2).update(title="newer")
    assert ask(both).value == (["new", "newer"], ["new", "newer"])


@pytest.mark.parametrize("between", [{"title": "three"}, {"pages": 11}, {"status": 2}], ids=str)
@pytest.mark.parametrize("of", ["computed", "rows"])
def test_what_reads_a_hit_while_it_changes_is_not_stale(
    author: Author, of: str, between: dict[str, Any], monkeypatch: Any
) -> None:
    """A write comes between the look at the hit and the versions of those of its tags that have none."""

    def pages() -> Any:
        return ask(lambda: Book.objects.filter(author_id=1).aggregate(pages=Sum("pages"))["pages"], "pages").value

    def rows() -> Any:
        return [book.pages for book in Book.objects.filter(author_id=1, status=2).order_by("id").cache(rows=True)]

    inner = pages if of == "computed" else rows

    def both() -> Any:
        return inner(), titles()

    Book.objects.create(id=2, author=author, title="other", status=2, pages=5)
    inner()
    Book.objects.filter(id=1).update(title="two")
    begin_fill = GuardedStore.begin_fill
    left = [between]

    def write_before(store: GuardedStore, key: str, tags: Any, seconds: float) -> Any:
        if key == "-" and left:
            Book.objects.filter(id=1).update(**left.pop())
        return begin_fill(store, key, tags, seconds)

    monkeypatch.setattr(GuardedStore, "begin_fill", write_before)
    ask(both, "both")
    assert not left
    with everfresh.disabled():
        now = both()
    assert ask(both, "both").value == now


def test_what_it_read_depends_on_what_it_read_before(author: Author) -> None:
    """Not only the queries of one run: another run may read other rows, and they count from then on."""

    def mentor_name() -> str | None:
        mentor = Author.objects.get(id=1).mentor
        return mentor.name if mentor else None

    assert ask(mentor_name).value is None
    other = Author.objects.create(id=2, name="M")
    assert ask(mentor_name).outcome is Outcome.HIT
    Author.objects.filter(id=1).update(mentor=other)
    assert ask(mentor_name).value == "M"
    Author.objects.filter(id=2).update(name="N")
    assert ask(mentor_name).value == "N"


@pytest.mark.parametrize("value", [None, 0, "", [], False, {}, {"a": 1}, (1, 2), {1, 2}])
def test_falsy_and_plain_values_are_values(author: Author, value: object) -> None:
    """`None` and its like are answers, and come back with their types."""
    runs = []

    def function() -> object:
        runs.append(1)
        return value

    assert ask(function).value == ask(function).value == value
    assert type(ask(function).value) is type(value)
    assert len(runs) == 1


def test_instances_and_querysets_are_pickled(author: Author, django_assert_num_queries: Any) -> None:
    """A queryset that is returned is evaluated while it is recorded."""
    ask(lambda: Book.objects.filter(author=author))
    with django_assert_num_queries(0):
        found = ask(lambda: Book.objects.filter(author=author)).value
        assert [book.title for book in found] == ["one"]
        assert Book(id=1) in found
    Book.objects.filter(id=1).update(title="new")
    assert [book.title for book in ask(lambda: Book.objects.filter(author=author)).value] == ["new"]


def test_no_pickles_by_setting(author: Author, configure: Any) -> None:
    """PICKLE off: what has no exact bytes is not stored, and values are."""
    configure(PICKLE=False)
    ask(lambda: author, "instance")
    ask(titles, "values")

    assert ask(lambda: author, "instance").outcome is Outcome.MISS
    assert ask(titles, "values").outcome is Outcome.HIT


def test_another_secret_is_a_miss(author: Author) -> None:
    """Nobody without the secret can have a pickle opened; a secret that was rotated out may still have signed it."""
    with override_settings(SECRET_KEY="first"):
        ask(lambda: author)
    with override_settings(SECRET_KEY="second", SECRET_KEY_FALLBACKS=["first"]):
        assert ask(lambda: author).outcome is Outcome.HIT
    with override_settings(SECRET_KEY="second"):
        assert ask(lambda: author).outcome is Outcome.FILL


def test_error_stores_nothing(author: Author) -> None:
    """An exception passes, and the next call runs again."""

    def fails() -> None:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            ask(fails)
    assert ask(titles).outcome is Outcome.FILL


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: connection.cursor().execute("SELECT 1 FROM library_book").fetchall(), id="raw SQL"),
        pytest.param(lambda: [book.id for book in Book.objects.raw("SELECT * FROM library_book")], id="raw()"),
        pytest.param(lambda: list(Book.objects.nocache()), id="nocache"),
        pytest.param(lambda: list(Book.objects.select_for_update(of=()).order_by("?")), id="volatile"),
        pytest.param(lambda: list(Book.objects.iterator()), id="iterator"),
    ],
)
def test_untracked_read(
    read: Callable[[], Any], author: Author, caplog: pytest.LogCaptureFixture, db_kind: str, namespace: str
) -> None:
    """What nobody can follow is not stored, and a warning names it, once."""
    if db_kind != "sqlite" and "execute" in str(read.__code__.co_names):
        pytest.skip("only SQLite's cursor gives itself back")

    def function() -> int:
        with transaction.atomic():
            read()
        return 1

    with caplog.at_level(logging.WARNING, "everfresh"):
        for _ in range(2):
            assert ask(function, label=f"{namespace}()").outcome is Outcome.MISS
    assert caplog.text.count(f"{namespace}() is not cached") == 1


def test_warnings_do_not_grow_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """What was warned of long ago is forgotten: without a label, there is one for each key."""
    recorded = Recording(untracked=["raw SQL"])

    def warned(number: int) -> int:
        key = f"untracked {number}"
        reason_not_to_store(recorded, computation(key))
        return caplog.text.count(f"{computation(key).key} is not cached")

    with caplog.at_level(logging.WARNING, "everfresh"):
        assert warned(0) == warned(0) == 1
        for number in range(1, 2_000):
            warned(number)
            caplog.clear()
        assert warned(0) == 1


def test_declared_dependency(author: Author) -> None:
    """Who says what is read answers for raw SQL."""
    declared = any_write(["library.Book"], "default")
    also = list(declared.named([f"{settings().prefix()}:t:{name}" for name in declared.names]))

    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM library_book")
            return int(cursor.fetchone()[0])

    assert ask(count, also=also, is_declared=True).outcome is Outcome.FILL
    assert ask(count, also=also, is_declared=True).outcome is Outcome.HIT
    Book.objects.create(id=2, author=author, title="two")
    assert ask(count, also=also, is_declared=True) == Answer(2, Outcome.FILL)


def test_nested(author: Author) -> None:
    """The outer one depends on what the inner one read, be it computed or from the cache."""

    def inner() -> list[str]:
        return ask(titles, "inner").value  # type: ignore[no-any-return]

    ask(titles, "inner")
    assert ask(inner, "outer of a hit").outcome is Outcome.FILL
    Book.objects.filter(id=1).update(title="new")
    assert ask(inner, "outer of a fill").value == ["new"]
    assert ask(inner, "outer of a hit").value == ["new"]
    Book.objects.filter(id=1).update(title="newer")
    assert ask(inner, "outer of a fill").value == ask(inner, "outer of a hit").value == ["newer"]


def test_write_between_two_reads_of_it(author: Author, elsewhere: Elsewhere) -> None:
    """Parts of two moments are nobody's answer: given once, as without a cache, and not stored."""

    def sums() -> tuple[int, int]:
        first = Book.objects.aggregate(n=Count("id"))["n"]
        elsewhere(lambda: Book.objects.create(id=2, author_id=1, title="two"))
        return first, Book.objects.filter(author_id=1).count()

    assert ask(sums).outcome is Outcome.MISS


def test_in_a_transaction_that_wrote(author: Author, elsewhere: Elsewhere) -> None:
    """It is computed, with what the transaction sees, and nobody else gets to see that."""
    ask(titles)
    with transaction.atomic():
        Book.objects.filter(id=1).update(title="uncommitted")
        assert ask(titles) == Answer(["uncommitted"], Outcome.BYPASS, "a transaction has written, or reads a snapshot")
        assert elsewhere(lambda: ask(titles).value) == ["one"]
        transaction.set_rollback(True)
    assert ask(titles) == Answer(["one"], Outcome.HIT)


def test_stricter_lifetime_inside(author: Author) -> None:
    """What was read for ten seconds makes the whole last no longer."""
    with recording() as recorded:
        list(Book.objects.cache(timeout=10))
        list(Author.objects.cache(timeout=20))
        list(Publisher.objects.cache())
    assert recorded.timeout == 10


def test_timeout_of_zero_stores_nothing(author: Author) -> None:
    """As everywhere."""
    ask(titles, "zero", timeout=0)
    assert ask(titles, "zero", timeout=0).outcome is Outcome.MISS


def test_disabled_inside(author: Author) -> None:
    """Where the cache is off nothing can be followed."""

    def function() -> list[str]:
        with everfresh.disabled():
            return titles()

    assert ask(function).outcome is ask(function).outcome is Outcome.MISS


def test_databases_of_one_alias_are_told_apart(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clones for parallel tests, and projects that share a cache: what was read elsewhere is no answer here."""
    ask(titles)
    monkeypatch.setitem(connection.settings_dict, "NAME", f"{connection.settings_dict['NAME']}_2")

    assert ask(lambda: ["there"]).value == ["there"]


def test_too_many_tags_are_those_of_tables(author: Author, configure: Any) -> None:
    """Past the limit of tags, any write to a table counts; what was read before it stays precise."""
    configure(LIMITS={"RECORDED_TAGS": 40})
    Author.objects.bulk_create(Author(id=number, name=f"A{number}") for number in range(2, 60))

    def names() -> list[str]:
        return [Author.objects.get(id=number).name for number in range(1, 60)]

    with recording() as recorded:
        names()
    assert len(recorded.versions) < 60
    assert ask(names).outcome is Outcome.FILL
    assert ask(names).outcome is Outcome.HIT
    Author.objects.filter(id=59).update(name="new")
    assert ask(names).value[-1] == "new"
    Author.objects.filter(id=2).update(name="new")
    assert ask(names).value[1] == "new"


def test_too_many_tags_and_a_write_between(author: Author, configure: Any, elsewhere: Elsewhere) -> None:
    """The version of a table that stands for its rows is one from before they were read."""
    configure(LIMITS={"RECORDED_TAGS": 10})
    Author.objects.bulk_create(Author(id=number, name=f"A{number}") for number in range(2, 20))

    def names() -> list[str]:
        first = [Author.objects.get(id=number).name for number in range(1, 16)]
        elsewhere(lambda: Author.objects.filter(id=15).update(name="new"))
        return first + [Author.objects.get(id=number).name for number in range(16, 20)]

    ask(names)
    assert ask(lambda: [Author.objects.get(id=number).name for number in range(1, 20)]).value[14] == "new"


def test_nested_error_that_is_caught(author: Author) -> None:
    """Who catches the error of an inner computation depends on what that one read before it raised."""

    def inner() -> str:
        return Author.objects.get(id=7).name

    def outer() -> str:
        try:
            return ask(inner, "inner").value  # type: ignore[no-any-return]
        except Author.DoesNotExist:
            return "nobody"

    assert ask(outer, "outer").value == "nobody"
    Author.objects.create(id=7, name="B")
    assert ask(outer, "outer").value == "B"


def test_nested_that_is_never_stored(author: Author) -> None:
    """What must not be kept is not kept as a part of something else."""
    assert ask(lambda: ask(titles, "inner", timeout=0).value, "outer").outcome is Outcome.MISS
    assert ask(lambda: list(Author.objects.cache(timeout=0)), "other").outcome is Outcome.MISS


def test_lives_no_longer_than_what_it_read(author: Author, configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest timeout of all that is inside is that of the whole."""
    configure(JITTER=0)
    given: list[float | None] = []
    monkeypatch.setattr(GuardedStore, "fill", lambda *arguments: given.append(arguments[-1]))
    ask(lambda: len(Author.objects.cache(timeout=10)), "shorter inside", timeout=60)
    ask(lambda: len(Author.objects.cache(key="other", timeout=100)), "longer inside", timeout=60)
    ask(lambda: len(Author.objects.cache(key="third", timeout=100)), "only inside")

    assert [each for each in given if each is not None][1::2] == [10, 60, 100]


def test_what_is_computed_from_a_stored_result_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep the one with the timeout is, and however long ago it was computed."""
    start = time.time()
    timed = partial(ask, lambda: 1, "timed", timeout=60)
    middle = partial(ask, lambda: timed().value, "middle")
    middle()
    monkeypatch.setattr(ages, "time", lambda: start + 50)
    with recording() as recorded:
        assert middle().outcome is Outcome.HIT
    assert recorded.timeout is not None
    assert 0 < recorded.timeout <= 10
    with recording() as recorded:
        timed()
    assert recorded.timeout is not None
    assert 0 < recorded.timeout <= 10


def test_what_nothing_limits_limits_nothing() -> None:
    """Though it is stored with a name, and lists have an end."""
    ask(lambda: 1, label="a", name="b")
    with recording() as recorded:
        assert ask(lambda: 1, label="a", name="b").outcome is Outcome.HIT
    assert recorded.timeout is None
