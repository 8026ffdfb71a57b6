"""Lists that point to rows, and rows by their keys: what a read gives, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Count, F, QuerySet, Value
from django.db.models.functions import Upper

import everfresh
from everfresh import codec
from everfresh.events import Outcome
from everfresh.queries.bodies import POINTERS, ROWS, Pointers
from everfresh.queries.families import family_of
from everfresh.rows import Pointing
from everfresh.stores import current_store
from everfresh.testing import raising_stale_answers
from tests.conftest import Configure
from tests.library.models import Author, Book, Node, OrderLine, Place, Profile, Publisher, Shop, SignedBook
from tests.protocol.schedule import truth
from tests.rows.conftest import Costs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("library")]


def books() -> QuerySet[Book]:
    """A cached list that points to books."""
    return Book.objects.filter(author_id=1).cache(rows=True)


def evict(*rows: Any) -> None:
    """Lose the entries of *rows*, as a full server may."""
    wanted = [family_of(type(row), "default").wanted(row.pk, None) for row in rows]
    current_store().drop([each.key for each in wanted])


def state(instances: Any) -> list[dict[str, Any]]:
    """Everything that instances hold, loaded relations included."""
    found = []
    for instance in instances:
        held = {name: value for name, value in vars(instance).items() if name != "_state"}
        related = {name: each and state([each]) for name, each in instance._state.fields_cache.items()}
        found.append({**held, "db": instance._state.db, "related": related, "adding": instance._state.adding})
    return found


# What it costs


@pytest.mark.seeds("OC-8", "OC-9", "OC-10")
def test_costs_of_a_list(costs: Costs) -> None:
    """A list of n rows: cold 1 query, warm 2 round trips and none, whatever n is."""
    # 1 the list, 2 its versions and the lease, 3 the rows' versions, 4 the rows, 5 the list and the lease back
    assert (["read_many", "begin_fill", "begin_fill", "fill_many", "fill"], 1) == costs(lambda: list(books()))
    cold = costs.result

    # 1 the list, 2 its rows
    assert (["read_many", "read_many"], 0) == costs(lambda: list(books()))
    assert 2 == costs.exchanges
    assert state(cold) == state(costs.result) == state(truth(lambda: list(books())))


@pytest.mark.seeds("OC-9")
def test_a_list_holds_no_row() -> None:
    """What is stored of a list are keys; what its readers see are the rows' entries."""
    list(books())
    [listed] = Pointing.of(books(), None).wanted()
    held = current_store().read(listed.key, listed.names)
    assert held.entry is not None
    packed = codec.unpack_body(held.entry, len(listed.names))
    assert packed is not None
    assert Pointers([(2,), (4,), (6,), (8,), (10,)], 0, bytes(8)) == POINTERS.decode(packed)

    row = family_of(Book, "default").wanted(4, None)
    versions = current_store().read(row.key, row.names).versions
    [[stored]] = family_of(Book, "default").fetch([4])
    forged = ROWS.encode([tuple("forged" if value == "4" else value for value in stored)])
    current_store().fill_many({row.key: codec.pack_entry(versions, forged, compress_above=8_192)}, None)

    assert ["2", "forged", "6", "8", "10"] == [book.title for book in books()]


@pytest.mark.seeds("OC-10", "OC-20")
def test_costs_of_related_models(costs: Costs) -> None:
    """Each model that ``select_related()`` brings along is one round trip more; nothing is joined."""
    read = lambda: list(Book.objects.cache(rows=True).select_related("author__publisher", "author__mentor"))  # noqa: E731
    assert 1 == costs(read)[1]

    # 1 the list, 2 books, 3 authors, 4 their publishers, 5 their mentors
    assert (["read_many"] * 5, 0) == costs(read)
    assert state(costs.result) == state(truth(read))


@pytest.mark.seeds("OC-11")
def test_one_row_evicted(costs: Costs) -> None:
    """Nine of ten rows are there: one query, for the one that is not; and then it is."""
    read = lambda: list(Book.objects.cache(rows=True))  # noqa: E731
    read()
    evict(Book(pk=7))

    # 1 the list, 2 rows, 3 versions of what is missing, 4 its row stored, 5 does it all hold together still?
    assert (["read_many", "read_many", "begin_fill", "fill_many", "read_many"], 1) == costs(read)
    assert "7" in costs.statements[-1] or "IN" in costs.statements[-1]
    assert [f"{at}" for at in range(1, 11)] == [book.title for book in costs.result]
    assert (["read_many", "read_many"], 0) == costs(read)


@pytest.mark.seeds("OC-11")
def test_missing_rows_of_two_models(costs: Costs) -> None:
    """What is missing of each model is one query: two models, two queries."""
    read = lambda: list(Book.objects.cache(rows=True).select_related("author"))  # noqa: E731
    read()
    evict(Book(pk=7), Book(pk=8), Author(pk=1))

    assert 2 == costs(read)[1]
    assert state(truth(read)) == state(costs.result)


@pytest.mark.seeds("OC-19")
@pytest.mark.parametrize(
    ("trip", "read"),
    [
        ("read", lambda: Book.objects.cache(rows=True).get(pk=3)),
        ("read_many", lambda: Book.objects.cache(rows=True).get(id="3")),
        ("read_many", lambda: list(Book.objects.cache(rows=True).filter(pk__in=[3]).order_by())),
        ("read_many", lambda: Book.objects.cache(rows=True).filter(pk=3).first()),
    ],
    ids=["pk", "text", "in", "first"],
)
def test_rows_by_key_need_no_list(costs: Costs, trip: str, read: Callable[[], Any]) -> None:
    """A row asked for by its primary key is one round trip, once anybody has read it, in whatever list."""
    list(Book.objects.cache(rows=True))

    assert ([trip], 0) == costs(read)
    assert truth(read) == costs.result


def test_work_of_rows_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No query of a list is made where none is wanted."""
    monkeypatch.delattr(QuerySet, "values_list")

    assert Pointing.of(Book.objects.filter(pk=1), None).listed is None


def test_layouts_are_worked_out_once() -> None:
    """What queries select that differ in their values only is laid out in the same way."""
    one, other = (Pointing.of(Book.objects.filter(author_id=author), None) for author in (1, 2))

    assert one.layout is other.layout


@pytest.mark.seeds("OC-19")
def test_rows_by_several_keys(costs: Costs) -> None:
    """Some rows by their keys: one query for those that are not there, those that never were included."""
    Book.objects.cache(rows=True).get(pk=1)
    read = lambda: sorted(book.pk for book in Book.objects.order_by().cache(rows=True).filter(pk__in=[1, 2, 3, 99]))  # noqa: E731

    # 1 the rows, 2 versions, 3 the missing rows stored, 4 does it all hold together still?
    assert (["read_many", "begin_fill", "fill_many", "read_many"], 1) == costs(read)
    assert (["read_many"], 0) == costs(read)
    assert [1, 2, 3] == costs.result


@pytest.mark.seeds("OC-19")
def test_more_than_keys_asked_for(costs: Costs) -> None:
    """With another condition, an order or a limit it is a list like any other; the answer is the database's."""
    base = Book.objects.cache(rows=True)
    for read in (
        lambda: list(base.filter(pk__in=[1, 2, 3], author_id=1)),
        lambda: list(base.filter(pk__in=[3, 1, 2]).order_by("-pk")),
        lambda: list(base.filter(pk__in=[1, 2, 3]).order_by("-title")[:2]),
        lambda: list(base.filter(pk__in=[1, 2, 3]).order_by("pk")[1:]),
        lambda: list(base.exclude(pk=1)),
        lambda: list(base.filter(pk=1, author__name="A")),
    ):
        assert truth(read) == read()
        assert 0 == costs(read)[1]
        assert truth(read) == costs.result


@pytest.mark.parametrize("order", ["books", "-books__title", F("books").desc(), "books__author__books"])
def test_one_key_that_is_found_several_times(order: Any) -> None:
    """An order by what a row has several of gives it that often, though one key is asked for."""
    read = lambda: [author.pk for author in Author.objects.cache(rows=True).filter(pk=1).order_by(order)]  # noqa: E731

    assert len(truth(read)) > 1
    assert truth(read) == read() == read()


@pytest.mark.parametrize("order", [["pk"], ["-id", "title"], []])
def test_one_key_in_an_order_of_its_own(costs: Costs, order: list[str]) -> None:
    """One row by its key needs no list, in whatever order of its own columns."""
    read = lambda: list(Book.objects.cache(rows=True).filter(pk=1).order_by(*order))  # noqa: E731
    assert truth(read) == read()

    assert (["read_many"], 0) == costs(read)


def test_negative_entries(costs: Costs) -> None:
    """That there is no such row is remembered, until there is."""
    read = lambda: Book.objects.cache(rows=True).filter(pk=99).first()  # noqa: E731
    assert read() is None
    assert (["read_many"], 0) == costs(read)

    Book.objects.create(id=99, author_id=1, title="new")

    assert "new" == read().title


# What it gives


SHAPES: dict[str, Callable[[Any], Any]] = {
    "order": lambda q: q.order_by("-title"),
    "order by a relation": lambda q: q.order_by("author__name", "-pk"),
    "slice": lambda q: q.order_by("-pk")[2:5],
    "limit": lambda q: q.filter(author__in=[1, 2])[:3],
    "duplicates": lambda q: q.filter(coauthors__in=[1, 2, 3]),
    "distinct": lambda q: q.filter(coauthors__in=[1, 2, 3]).distinct(),
    "annotations": lambda q: q.annotate(n=Count("coauthors"), loud=Upper("title")),
    "filter by an annotation": lambda q: q.annotate(n=F("pages") + 1).filter(n__gt=100),
    "annotation and relation": lambda q: q.annotate(one=Value(1)).select_related("author"),
    "alias": lambda q: q.alias(n=Count("coauthors")).filter(n=2),
    "relation": lambda q: q.select_related("author"),
    "nullable relation": lambda q: q.select_related("author__publisher"),
    "deep relation": lambda q: q.select_related("author__mentor__publisher"),
    "filter by a relation": lambda q: q.filter(author__publisher__name="P"),
    "exclude by a relation": lambda q: q.exclude(author__mentor__name="A"),
    "empty": lambda q: q.filter(title="nobody"),
}


@pytest.mark.seeds("OC-10")
@pytest.mark.parametrize("make", list(SHAPES.values()), ids=list(SHAPES))
def test_answers_are_the_databases(make: Callable[[Any], Any]) -> None:
    """Order, duplicates, slices, annotations, nullable and nested relations: cold, warm and partly evicted."""
    Book.objects.get(pk=1).coauthors.set([1, 2, 3])
    Book.objects.get(pk=2).coauthors.set([1, 2])
    read = lambda: list(make(Book.objects.cache(rows=True)))  # noqa: E731
    expected = state(truth(read))

    assert expected == state(read())
    assert expected == state(read())
    evict(Book(pk=2), Book(pk=5), Author(pk=1), Publisher(pk=1))
    assert expected == state(read())
    assert expected == state(read())


@pytest.mark.seeds("OC-20")
def test_nullable_relations() -> None:
    """An author without publisher or mentor has none, though rows of both are in the cache."""
    read = lambda: list(Author.objects.cache(rows=True).select_related("publisher", "mentor__mentor"))  # noqa: E731

    for _ in range(2):
        first, second, third = read()
        assert (first.mentor, third.publisher) == (None, None)
        assert (second.publisher.name, second.mentor.name, third.mentor.mentor.name) == ("Q", "A", "A")


def test_other_shapes_of_instances(costs: Costs) -> None:
    """Proxies share the rows of what they stand for; UUID keys are keys; inherited tables are the database's answer."""
    node = Node.objects.create(label="root")
    Shop.objects.create(name="S", city="X")
    OrderLine.objects.create(order=Shop.objects.get().orders.create(), position=1)
    list(Book.objects.cache(rows=True))
    assert (["read"], 0) == costs(lambda: SignedBook.objects.cache(rows=True).get(pk=3))
    assert type(costs.result) is SignedBook
    for read in (
        lambda: list(Node.objects.cache(rows=True)),
        lambda: Node.objects.cache(rows=True).get(pk=str(node.pk)),
        lambda: list(Shop.objects.cache(rows=True)),
        lambda: list(Place.objects.cache(rows=True)),
        lambda: list(OrderLine.objects.cache(rows=True)),
        lambda: list(Book.objects.cache(rows=True).only("title")),
        lambda: list(Book.objects.cache(rows=True).defer("title")),
        lambda: list(Book.objects.cache(rows=True).values("title")),
        lambda: list(Book.objects.filter(pk=1).order_by().cache(rows=True).union(Book.objects.filter(pk=2).order_by())),
    ):
        assert truth(read) == read() == read()


def test_rows_of_one_read_are_its_own() -> None:
    """Instances are not shared: changing one changes no other reader's."""
    one, other = books()[:1], books()[:1]
    one[0].title = "mine"

    assert "2" == other[0].title == books()[0].title


# Relations of instances


@pytest.mark.seeds("OC-20")
@pytest.mark.usefixtures("related_rows")
def test_following_a_foreign_key(costs: Costs) -> None:
    """``book.author`` is one round trip, and no query once anybody has read that author."""
    book = Book.objects.get(pk=1)
    list(Author.objects.cache())

    assert (["read"], 0) == costs(lambda: book.author)
    assert truth(lambda: Author.objects.get(pk=2)) == costs.result

    Author.objects.filter(pk=2).update(name="new")
    assert "new" == Book.objects.get(pk=1).author.name


@pytest.mark.usefixtures("related_rows")
def test_following_a_one_to_one(costs: Costs) -> None:
    """A profile whose primary key is the author is a row by its key from both sides, and its absence is remembered."""
    Profile.objects.create(author_id=1, motto="M")
    Author.objects.get(pk=1).profile  # noqa: B018
    Profile.objects.get(pk=1).author  # noqa: B018
    author, profile, alone = truth(
        lambda: (Author.objects.get(pk=1), Profile.objects.get(pk=1), Author.objects.get(pk=3))
    )

    assert 0 == costs(lambda: author.profile.motto)[1]
    assert 0 == costs(lambda: profile.author.name)[1]
    for _ in range(2):
        with pytest.raises(Profile.DoesNotExist):
            alone.profile  # noqa: B018
        alone = truth(lambda: Author.objects.get(pk=3))
    assert 0 == costs(lambda: hasattr(alone, "profile"))[1]


@pytest.mark.seeds("OC-10", "OC-20")
def test_prefetch_by_foreign_key(costs: Costs) -> None:
    """``prefetch_related()`` by a foreign key is served from the rows it points to."""
    read = lambda: [book.author.name for book in Book.objects.cache(rows=True).prefetch_related("author")]  # noqa: E731
    read()

    # 1 the list, 2 books, 3 authors
    assert (["read_many"] * 3, 0) == costs(read)
    assert truth(read) == costs.result


def test_prefetch_of_many(costs: Costs) -> None:
    """The books of authors are a list that points to rows as well."""
    read = lambda: [  # noqa: E731
        [book.title for book in author.books.all()]
        for author in Author.objects.cache(rows=True).prefetch_related("books")
    ]
    read()

    # 1 the list of authors, 2 authors, 3 the list of books, 4 books
    assert (["read_many"] * 4, 0) == costs(read)
    assert truth(read) == costs.result
    Book.objects.filter(pk=1).update(title="new")
    assert truth(read) == read()


@pytest.mark.seeds("OC-22")
def test_related_managers(costs: Costs) -> None:
    """``author.books.cache(rows=True)`` is such a list too; what is created or deleted through it comes and goes."""
    author = Author.objects.get(pk=1)
    read = lambda: [book.title for book in author.books.cache(rows=True)]  # noqa: E731
    read()
    assert (["read_many"] * 2, 0) == costs(read)

    made = author.books.create(title="new")
    assert "new" in read()
    made.delete()
    assert truth(read) == read()
    author.books.filter(pk=2).delete()
    assert truth(read) == read()


@pytest.mark.seeds("OC-22")
def test_generic_relations(costs: Costs) -> None:
    """So are the objects of a generic relation."""
    book = Book.objects.get(pk=1)
    book.reviews.create(stars=1)
    read = lambda: [review.stars for review in book.reviews.order_by("pk").cache(rows=True)]  # noqa: E731
    read()
    assert (["read_many"] * 2, 0) == costs(read)

    book.reviews.create(stars=5)
    assert [1, 5] == read()
    Book.objects.get(pk=2).reviews.create(stars=4)
    assert 0 == costs(read)[1]
    assert (["read_many"] * 2, 0) == costs(read)
    book.reviews.filter(stars=1).delete()
    assert [5] == read()
    book.reviews.update(stars=2)
    assert [2] == read()


# What writes do to it


@pytest.mark.seeds("OC-8", "OC-17")
def test_saving_a_row_drops_no_list(costs: Costs) -> None:
    """A row that is saved or updated is shown by every list that has it, and no list is asked for again."""
    lists: list[Callable[[], list[Book]]] = [
        lambda: list(Book.objects.cache(rows=True)),
        lambda: list(Book.objects.filter(author_id=1).cache(rows=True)),
        lambda: list(Book.objects.order_by("-pk").cache(rows=True)[:9]),
    ]
    for read in lists:
        read()
    book = Book.objects.get(pk=2)
    book.title = "saved"
    book.save()

    # The row is read again, once; the lists are still there.
    assert (["read_many", "read_many", "begin_fill", "fill_many", "read_many"], 1) == costs(lists[0])
    assert "WHERE" in costs.statements[-1]
    for read in lists:
        # Once, where the store can, a list is stamped with the versions that moved without ending it.
        assert 0 == costs(read)[1]
        assert (["read_many"] * 2, 0) == costs(read)
        assert "saved" in [book.title for book in costs.result]

    Book.objects.filter(pk__in=[2, 4]).update(title="updated")
    assert 1 == costs(lists[0])[1]
    for read in lists:
        assert 0 == costs(read)[1]
        assert (["read_many"] * 2, 0) == costs(read)
        assert 2 == [book.title for book in costs.result].count("updated")


@pytest.mark.seeds("OC-8")
def test_a_write_that_moves_a_row_drops_the_list(costs: Costs) -> None:
    """A row that comes to match, ceases to, or changes its place makes the list a new one."""
    mine = lambda: [book.pk for book in Book.objects.filter(author_id=1).cache(rows=True)]  # noqa: E731
    by_title = lambda: [book.pk for book in Book.objects.order_by("title").cache(rows=True)]  # noqa: E731
    for write in (
        lambda: Book.objects.filter(pk=2).update(author_id=2),
        lambda: Book.objects.filter(pk=1).update(author_id=1),
        lambda: Book.objects.filter(pk=3).update(title="999"),
        lambda: Book.objects.create(author_id=1, title="0"),
        lambda: Book.objects.filter(pk=4).delete(),
        lambda: Book.objects.bulk_create([Book(author_id=1, title="b")]),
        lambda: Author.objects.filter(pk=1).delete(),
    ):
        mine(), by_title()
        write()
        assert truth(mine) == mine() == mine()
        assert truth(by_title) == by_title() == by_title()


@pytest.mark.seeds("OC-17")
def test_only_what_depends_on_a_row(costs: Costs) -> None:
    """The row's tags are the map from a row to what depends on it: those entries are stale, no others."""
    reads = [lambda at=at: Book.objects.cache(rows=True).get(pk=at) for at in range(1, 11)]
    for read in reads:
        read()
    Book.objects.filter(pk=3).update(price=Decimal(7))

    assert [1 if at == 3 else 0 for at in range(1, 11)] == [costs(read)[1] for read in reads]


@pytest.mark.seeds("OC-16")
def test_purge_of_a_table(costs: Costs) -> None:
    """``everfresh.invalidate(Model)`` ends everything of a table, whatever there is of it, by moving one tag."""
    reads: list[Callable[[], Any]] = [
        lambda: list(Book.objects.cache(rows=True)),
        lambda: Book.objects.cache(rows=True).get(pk=1),
        lambda: list(Book.objects.filter(author_id=1).cache(rows=True, expire_on=["delete"])),
        lambda: Book.objects.cache().count(),
    ]
    list(Author.objects.cache(rows=True))
    for read in reads:
        read()

    trips, _ = costs(lambda: everfresh.invalidate(Book))
    assert ["mark", "done"] == [trip for trip in trips if trip in ("mark", "done")][:2]

    assert 0 == costs(lambda: list(Author.objects.cache(rows=True)))[1]
    for read in reads[1::-1] + reads[2:]:
        assert 1 == costs(read)[1]


@pytest.mark.seeds("OC-17")
def test_explained() -> None:
    """``explain_cache()`` tells of the list, which other columns of a row do not touch, or of the rows themselves."""
    explained = Book.objects.filter(author_id=1).order_by("pk").cache(rows=True).explain_cache()
    assert (
        "{library_book!}",
        "{library_book#author_id, library_book#id, library_book+, library_book-} and {library_book.author_id=1}",
    ) == explained.clauses
    assert explained.key != Book.objects.filter(author_id=1).order_by("pk").cache().explain_cache().key

    one, two = (Book.objects.filter(pk__in=keys).order_by().cache(rows=True).explain_cache() for keys in ([1], [2, 1]))
    assert ("{library_book!}", "{library_book.id=1}") == one.clauses
    assert ("{library_book!}", "{library_book.id=1}", "{library_book.id=2}") == two.clauses
    assert [one.key] == [key for key in two.key.split() if key in one.key]


# Settings


@pytest.mark.seeds("OC-21")
def test_where_rows_are_switched_on(costs: Costs, configure: Configure) -> None:
    """By the model's rule, and taken back by the queryset; ``nocache()`` asks the database always."""
    configure(MODELS={"library.Book": {"ops": "all", "rows": True}})
    read = lambda: list(Book.objects.all())  # noqa: E731
    read()

    assert (["read_many"] * 2, 0) == costs(read)
    assert 1 == costs(lambda: list(Book.objects.cache(rows=False)))[1]
    assert (["read"], 0) == costs(lambda: list(Book.objects.cache(rows=False)))
    assert ([], 1) == costs(lambda: list(Book.objects.nocache()))


def test_outcomes(outcomes: list[Outcome]) -> None:
    """A read is a hit where no query was asked for any of it, and a fill where some was."""
    list(books())
    list(books())
    evict(Book(pk=2))
    list(books())

    assert [Outcome.FILL, Outcome.HIT, Outcome.FILL] == outcomes


def test_from_cache(configure: Configure) -> None:
    """Instances say where they came from."""
    configure(FROM_CACHE=True)

    assert [False, True] == [books()[0].from_cache for _ in range(2)]  # type: ignore[attr-defined]


def test_verified(configure: Configure) -> None:
    """With ``VERIFY`` both the list and its rows are computed again, and found to be as they are."""
    configure(VERIFY=1.0)
    with raising_stale_answers():
        for _ in range(2):
            list(Book.objects.cache(rows=True).select_related("author__publisher"))


def test_timeout_of_nothing(costs: Costs) -> None:
    """With ``timeout=0`` neither the list nor a row is stored."""
    read = lambda: list(books().cache(timeout=0))  # noqa: E731

    assert 1 == costs(read)[1]
    assert 1 == costs(read)[1]
    assert 1 == costs(lambda: list(books()))[1]
