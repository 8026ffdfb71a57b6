"""What can be said of a cached answer: a name, the changes that end it, what else it depends on; clean and reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Count, QuerySet
from django.test import override_settings

import everfresh
from everfresh import CacheManager
from everfresh.testing import raising_stale_answers
from tests.conftest import Configure
from tests.library.models import Author, Book, Publisher, Shop
from tests.protocol.schedule import truth
from tests.rows.conftest import Costs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("library")]


# The changes that end an answer


def create() -> None:
    """A row comes."""
    Book.objects.create(author_id=1, title="new")


def update() -> None:
    """A row changes, in its filters too."""
    Book.objects.filter(pk=2).update(title="changed", author_id=1, status=7)


def delete() -> None:
    """A row goes."""
    Book.objects.filter(pk=4).delete()


CHANGES = {"create": create, "update": update, "delete": delete}

QUERIES: dict[str, Callable[..., Any]] = {
    "by value": lambda **terms: list(Book.objects.filter(author_id=1).cache(**terms).values_list("title", flat=True)),
    "by columns": lambda **terms: list(Book.objects.order_by().cache(**terms).values_list("title", flat=True)),
    "any": lambda **terms: [book.title for book in Book.objects.filter(pages__gt=1).cache(**terms)],
    "join": lambda **terms: [book.title for book in Book.objects.filter(author__name="A").cache(**terms)],
    "count": lambda **terms: Book.objects.filter(author_id=1, title__lt="z").cache(**terms).count(),
    "any of two": lambda **terms: [book.title for book in Book.objects.filter(author_id=1).cache("author", **terms)],
}


@pytest.mark.seeds("OC-16")
@pytest.mark.parametrize("query", list(QUERIES.values()), ids=list(QUERIES))
@pytest.mark.parametrize("change", ["create", "update", "delete"])
@pytest.mark.parametrize(
    "expire_on",
    [(), ("create",), ("update",), ("delete",), ("create", "delete"), ("create", "update", "delete")],
    ids=lambda events: "+".join(events) or "never",
)
def test_only_the_changes_named_end_an_answer(
    costs: Costs, query: Callable[..., Any], change: str, expire_on: tuple[str, ...]
) -> None:
    """A change that is named ends the answer, another one leaves it; and so it is said by default, of all three."""
    read = lambda: query(expire_on=expire_on)  # noqa: E731
    before = read()
    query()

    CHANGES[change]()

    assert (1 if change in expire_on else 0) == costs(read)[1]
    assert (truth(read) if change in expire_on else before) == costs.result
    assert truth(query) == query()


@pytest.mark.seeds("OC-16")
def test_unknown_writes_end_everything(costs: Costs) -> None:
    """Writes whose rows are not known, and ``everfresh.invalidate()``, end every answer, whatever it minds."""
    read = lambda: list(Book.objects.filter(author_id=1).cache(expire_on=[]))  # noqa: E731
    for write in (
        lambda: transaction.get_connection().cursor().execute("UPDATE library_book SET views = 1"),
        lambda: everfresh.invalidate(Book),
        lambda: everfresh.invalidate(None),
    ):
        read()
        assert 0 == costs(read)[1]
        write()
        assert 1 == costs(read)[1]


@pytest.mark.seeds("OC-16")
def test_changes_are_of_the_models_own_rows(costs: Costs) -> None:
    """What else a query reads counts as ever: an author that is created is no book that is created."""
    read = lambda: list(Book.objects.cache(expire_on=["delete"]).filter(author__name="New"))  # noqa: E731
    assert [] == read()
    author = Author.objects.create(id=50, name="New")
    assert 1 == costs(read)[1]
    Book.objects.create(author=author)
    assert 0 == costs(read)[1]


@pytest.mark.seeds("OC-16")
def test_inherited_tables_are_own_rows(costs: Costs) -> None:
    """A row of a model that inherits a table is one row in two tables."""
    read = lambda: [shop.name for shop in Shop.objects.cache(expire_on=["update"])]  # noqa: E731
    assert [] == read()
    shop = Shop.objects.create(name="S")
    assert ([], 0) == (costs(read) and costs.result, costs(read)[1])
    shop.name = "T"
    shop.save()
    assert ["T"] == read()


def test_inside_a_transaction() -> None:
    """What one's own transaction wrote ends the answer there, where the change is one that it minds."""
    read = lambda *on: Book.objects.cache(expire_on=on).count()  # noqa: E731
    assert (10, 10) == (read("delete"), read("create"))

    with transaction.atomic():
        create()
        assert 11 == read("create")

    assert 11 == read("create")


def test_verify_leaves_older_answers_alone(configure: Configure) -> None:
    """An answer that may be older than the database is none that ``VERIFY`` calls stale."""
    configure(VERIFY=1.0)
    read = lambda: Book.objects.cache(expire_on=["delete"]).count()  # noqa: E731
    with raising_stale_answers():
        read()
        create()
        assert 10 == read()


def test_wrong_change() -> None:
    """Another word is refused, with those there are."""
    with pytest.raises(
        ValueError, match=r"expire_on takes a list of 'create', 'update' and 'delete', not \['save'\]\."
    ):
        Book.objects.cache(expire_on=["save"])
    with pytest.raises(ValueError, match="not 'create'"):
        Book.objects.cache(expire_on="create")


@pytest.mark.seeds("OC-16")
def test_explained() -> None:
    """``explain_cache()`` shows what is left of the clauses."""
    explained = Book.objects.filter(author_id=1).order_by().values("title").cache(expire_on=["create"]).explain_cache()

    assert ("{library_book!}", "{library_book+} and {library_book.author_id=1}") == explained.clauses


# Names


@pytest.mark.seeds("OC-4", "OC-5")
def test_one_query_under_two_names(costs: Costs) -> None:
    """Two names are two answers, each with its own timeout and its own changes; chaining keeps them."""
    strict = Book.objects.cache(key="strict", timeout=60).filter(author_id=1)
    lazy = Book.objects.cache(key="lazy", expire_on=["delete"], timeout=3600).filter(author_id=1)
    assert strict.explain_cache().key != lazy.explain_cache().key
    assert (60, 3600) == (strict.explain_cache().timeout, lazy.explain_cache().timeout)
    for read in (lambda: len(strict.all()), lambda: len(lazy.all())):
        assert 1 == costs(read)[1]
        assert 0 == costs(read)[1]

    create()

    assert (6, 5) == (len(strict.all()), len(lazy.all()))


@pytest.mark.seeds("OC-4", "OC-5")
def test_a_name_is_no_query() -> None:
    """Two queries of one name keep their own answers: a name is added to what tells queries apart."""
    first = Book.objects.filter(author_id=1).cache(key="books")
    second = Book.objects.filter(author_id=2).cache(key="books")

    for _ in range(2):
        assert ({1}, {2}) == ({book.author_id for book in first.all()}, {book.author_id for book in second.all()})
    assert Book.objects.cache().count() == Book.objects.cache(key="books").count() == 10


@pytest.mark.seeds("OC-2", "OC-4")
def test_prefixes(costs: Costs) -> None:
    """``key_prefix`` tells answers apart as well, and is not the same as a name of that text."""
    keys = {
        Book.objects.cache(**terms).explain_cache().key
        for terms in ({}, {"key": "a"}, {"key_prefix": "a"}, {"key": "a", "key_prefix": "a"}, {"key": "aa"})
    }

    assert 5 == len(keys)


@pytest.mark.seeds("OC-2", "OC-5")
def test_a_manager_says_it_for_all(costs: Costs) -> None:
    """What a ``CacheManager`` is given holds for its querysets, until they say otherwise."""
    manager: CacheManager[Book] = CacheManager(
        cache_all=True, timeout=90, key_prefix="mine", expire_on=["delete"], depends_on=["library.Publisher"]
    )
    manager.model = Book
    explained = manager.all().explain_cache()

    assert (90, "") == (explained.timeout, explained.reason)
    assert "{library_book-}" in explained.clauses[1]
    assert any("library_publisher*" in clause for clause in explained.clauses)
    assert explained.key != Book.objects.cache(expire_on=["delete"], depends_on=[Publisher]).explain_cache().key
    assert 30 == manager.cache(timeout=30).explain_cache().timeout
    assert None is manager.cache(timeout=None).explain_cache().timeout
    assert "{library_book*}" in manager.cache(expire_on=["create", "update", "delete"]).explain_cache().clauses


# Other models


DEPENDENT: dict[str, Callable[[bool], Any]] = {
    "list": lambda rows: list(Book.objects.filter(author_id=1).cache(depends_on=[Publisher], rows=rows)),
    "row": lambda rows: list(Book.objects.filter(pk=1).cache(depends_on=["library.Publisher"], rows=rows)),
    "count": lambda rows: Book.objects.cache(depends_on=[Publisher], rows=rows).count(),
}


@pytest.mark.seeds("OC-15")
@pytest.mark.parametrize("rows", [False, True], ids=["plain", "rows"])
@pytest.mark.parametrize("query", list(DEPENDENT.values()), ids=list(DEPENDENT))
def test_depends_on_another_model(costs: Costs, query: Callable[[bool], Any], rows: bool) -> None:
    """Any write to a model that was named ends the answer, and nothing else does that did not before."""
    read = lambda: query(rows)  # noqa: E731
    read()
    for write in (
        lambda: Publisher.objects.create(id=9, name="new"),
        lambda: Publisher.objects.filter(pk=1).update(country="XX"),
        lambda: Publisher.objects.filter(pk=9).delete(),
    ):
        write()
        assert 1 == costs(read)[1]
        assert 0 == costs(read)[1]
    Author.objects.filter(pk=1).update(bio="new")
    assert 0 == costs(read)[1]


@pytest.mark.seeds("OC-15")
def test_depends_on_inherited_and_excluded_models(configure: Configure) -> None:
    """Tables that are inherited count too; a model whose writes are not looked at cannot be depended on."""
    clauses = Book.objects.cache(depends_on=[Shop]).explain_cache().clauses
    assert {"{library_shop*}", "{library_place*}"} <= set(clauses)

    configure(EXCLUDE=["library.Shop"])

    reason = Book.objects.cache(depends_on=[Shop]).explain_cache().reason
    assert "it is to depend on the table 'library_shop', which the settings exclude" == reason
    assert 10 == len(Book.objects.cache(depends_on=[Shop]))


# clean, reset, execute

READS: dict[str, tuple[Callable[[QuerySet[Book]], Any], Any]] = {
    "list": (list, []),
    "get": (lambda q: q.get(pk=2), None),
    "first": (lambda q: q.first(), None),
    "count": (lambda q: q.count(), 0),
    "exists": (lambda q: q.exists(), False),
    "aggregate": (lambda q: q.aggregate(n=Count("pk")), {"n": None}),
    "values": (lambda q: list(q.values("title")), []),
}


@pytest.mark.seeds("OC-14")
@pytest.mark.parametrize("rows", [False, True], ids=["list", "rows"])
@pytest.mark.parametrize(("read", "nothing"), list(READS.values()), ids=list(READS))
def test_clean(costs: Costs, read: Callable[[QuerySet[Book]], Any], nothing: Any, rows: bool) -> None:
    """Evaluating a cleaned queryset forgets the answer, asks neither store nor database for it, and finds nothing."""
    cached = Book.objects.filter(author_id=1).cache(rows=rows)
    asked = lambda: read(cached.all())  # noqa: E731
    asked()
    assert 0 == costs(asked)[1]

    assert (["drop"], 0) == costs(lambda: read(cached.clean()))
    assert nothing == costs.result

    assert 1 == costs(asked)[1]
    assert 0 == costs(asked)[1]


@pytest.mark.seeds("OC-14")
@pytest.mark.parametrize("rows", [False, True], ids=["list", "rows"])
@pytest.mark.parametrize(("read", "nothing"), list(READS.values()), ids=list(READS))
def test_reset(costs: Costs, read: Callable[[QuerySet[Book]], Any], nothing: Any, rows: bool) -> None:
    """Evaluating a reset queryset asks the database, and what it says takes the place of what was stored."""
    cached = Book.objects.filter(author_id=1).cache(rows=rows)
    asked = lambda: read(cached.all())  # noqa: E731
    asked()

    trips, queries = costs(lambda: read(cached.reset()))
    assert 1 == queries
    assert "read" not in trips
    assert truth(asked) == costs.result != nothing

    assert 0 == costs(asked)[1]


@pytest.mark.seeds("OC-14")
def test_reset_and_clean_are_lazy(costs: Costs) -> None:
    """Before they are evaluated, neither does anything."""
    list(Book.objects.cache())

    assert ([], 0) == costs(lambda: (Book.objects.cache().reset(), Book.objects.cache().clean()))
    assert 0 == costs(lambda: list(Book.objects.cache()))[1]


@pytest.mark.seeds("OC-14")
def test_reset_overwrites_what_may_be_older() -> None:
    """A list that does not mind creates shows them once it was reset, to everybody."""
    cached = Book.objects.cache(expire_on=["delete"])
    before = len(cached.all())
    create()
    assert before == len(cached.all())

    assert before + 1 == len(cached.reset())

    assert before + 1 == len(cached.all())


@pytest.mark.seeds("OC-14")
def test_cache_takes_it_back() -> None:
    """After ``cache()`` it is an ordinary cached queryset again, after ``nocache()`` a plain one."""
    assert 10 == len(Book.objects.clean().cache()) == len(Book.objects.clean().nocache())
    assert 10 == len(Book.objects.reset().cache())


@pytest.mark.seeds("OC-14")
def test_clean_forgets_a_row(costs: Costs) -> None:
    """Of a row that is asked for by its key, the row's own entry is forgotten, and no other."""
    list(Book.objects.cache(rows=True))

    assert Book.objects.cache(rows=True).clean().get(pk=3) is None

    assert 1 == costs(lambda: Book.objects.cache(rows=True).get(pk=3))[1]
    assert 0 == costs(lambda: Book.objects.cache(rows=True).get(pk=4))[1]


@pytest.mark.seeds("OC-14")
def test_clean_forgets_one_name(costs: Costs) -> None:
    """The answer under another name stays."""
    one, other = Book.objects.cache(key="one"), Book.objects.cache(key="other")
    list(one.all()), list(other.all())

    list(one.clean())

    assert (1, 0) == (costs(lambda: list(one.all()))[1], costs(lambda: list(other.all()))[1])


@pytest.mark.seeds("OC-14")
def test_clean_where_nothing_is_cached() -> None:
    """Where there is nothing to be forgotten, it finds nothing all the same."""
    assert [] == list(Book.objects.order_by("?").clean())
    assert [] == list(Book.objects.none().clean())
    with everfresh.disabled():
        assert [] == list(Book.objects.clean())
    with override_settings(EVERFRESH={"ENABLED": False}):
        assert [] == list(Book.objects.clean())
    with override_settings(EVERFRESH={"MODELS": {"library.Book": None}}):
        assert (0, None) == (Book.objects.clean().count(), Book.objects.clean().get(pk=1))


def test_clean_and_reset_in_a_transaction(costs: Costs) -> None:
    """Both work on what the transaction keeps to itself as well."""
    with transaction.atomic():
        read = lambda: Book.objects.cache().count()  # noqa: E731
        create()
        assert 11 == read()
        assert 0 == costs(read)[1]
        Book.objects.cache().clean().count()
        assert 1 == costs(read)[1]
        assert 1 == costs(lambda: Book.objects.cache().reset().count())[1]
        assert 0 == costs(read)[1]


@pytest.mark.seeds("OC-14")
def test_execute(costs: Costs) -> None:
    """``execute()`` evaluates at once, once, and gives the queryset back."""
    queryset = Book.objects.cache()

    assert 1 == costs(queryset.execute)[1]
    assert costs.result is queryset
    assert ([], 0) == costs(lambda: list(queryset.execute()))
    assert 0 == costs(lambda: Book.objects.cache().execute())[1]
    assert 10 == len(Book.objects.execute())


def test_prefetch_knows_nothing_of_terms(costs: Costs) -> None:
    """What is said of a list holds for no rows that ``prefetch_related()`` brings along; reset is done to both."""
    read = lambda: [  # noqa: E731
        len(author.books.all())
        for author in Author.objects.cache(expire_on=[], key="a", depends_on=[Shop]).prefetch_related("books")
    ]
    assert [5, 5, 0] == read()
    create()
    assert [6, 5, 0] == read()
    reset = Author.objects.cache().prefetch_related("books").reset()
    assert 2 == costs(lambda: list(reset))[1]
