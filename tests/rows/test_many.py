"""Rows by many keys, lists in several entries, and what is looked up before it is created."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from everfresh import CacheManager
from everfresh.rows import Pointing
from everfresh.stores import current_store
from everfresh.testing import raising_stale_answers
from tests.conftest import Configure
from tests.library.models import Author, Book, OrderLine, Shop
from tests.protocol.schedule import truth
from tests.rows.conftest import Costs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("library")]


def manager_of(model: Any, **said: Any) -> CacheManager[Any]:
    """A manager as ``cached = CacheManager(…)`` on the model would be."""
    manager: CacheManager[Any] = CacheManager(**said)
    manager.model = model
    manager.name = "cached"
    return manager


# get_many


@pytest.mark.seeds("OC-10", "OC-11", "OC-19")
def test_get_many(costs: Costs) -> None:
    """One round trip where all rows are there; one query for those that are not; in the order asked for."""
    cached = manager_of(Book)
    assert 1 == costs(lambda: cached.get_many([3, 1]))[1]

    # 1 the rows, 2 versions, 3 the missing ones stored, 4 does it all hold together still?
    assert (["read_many", "begin_fill", "fill_many", "read_many"], 1) == costs(lambda: cached.get_many([5, 3, 99, 1]))
    assert [5, 3, 1] == list(costs.result)
    assert all(key == book.pk for key, book in costs.result.items())

    assert (["read_many"], 0) == costs(lambda: cached.get_many(iter(["3", 99, 5, 5])))
    assert [3, 5] == list(costs.result)
    Book.objects.filter(pk=3).update(title="new")
    assert "new" == cached.get_many([3])[3].title
    assert {} == cached.get_many([])


def test_get_many_of_some(costs: Costs) -> None:
    """Of a queryset that has conditions, only rows that meet them are found."""
    cached = manager_of(Book).filter(author_id=1)

    assert [2, 4] == list(cached.get_many([1, 2, 3, 4]))
    assert [2, 4] == list(cached.get_many([1, 2, 3, 4]))
    assert ["A"] == [each.author.name for each in cached.select_related("author").get_many([2]).values()]


def test_get_many_in_a_coroutine() -> None:
    """``aget_many()`` is the same for coroutines."""

    async def read() -> dict[Any, Any]:
        return await manager_of(Book).aget_many([2, 1])  # type: ignore[no-any-return]

    assert [2, 1] == list(async_to_sync(read)())


def test_get_many_by_composite_keys() -> None:
    """Keys of several columns are found, by the database: they have no rows of their own."""
    shop = Shop.objects.create(name="S")
    line = OrderLine.objects.create(order=shop.orders.create(), position=1)

    assert {line.pk: line} == manager_of(OrderLine).get_many([line.pk])


# get_or_create


@pytest.mark.seeds("OC-8")
def test_get_or_create(costs: Costs) -> None:
    """What is there comes from the cache without a query; what is not is created, and found from then on."""
    cached = manager_of(Author, cache_all=True, rows=True)
    assert cached.get(name="A") == cached.get_or_create(name="A")[0]
    assert (["read_many", "read_many"], 0) == costs(lambda: cached.get_or_create(name="A", defaults={"bio": "x"}))
    assert False is costs.result[1]

    made, created = cached.get_or_create(name="New", defaults={"bio": "mine"})
    assert (True, "mine") == (created, truth(lambda: Author.objects.get(name="New")).bio)
    assert (made, False) == cached.get_or_create(name="New")
    assert 0 == costs(lambda: cached.get_or_create(name="New"))[1]
    made.delete()
    assert cached.get_or_create(name="New")[1]


def test_get_or_create_where_nothing_is_cached(costs: Costs) -> None:
    """Django's own, with its own queries, where a ``get()`` would not be cached."""
    assert ([], 1) == costs(lambda: manager_of(Author).get_or_create(name="A"))
    assert (False, True) == (costs.result[1], manager_of(Author).get_or_create(name="New")[1])


def test_get_or_create_of_several() -> None:
    """Several that fit are an error, as in Django."""
    with pytest.raises(Book.MultipleObjectsReturned):
        manager_of(Book, cache_all=True, rows=True).get_or_create(author_id=1)


# Lists in several entries


def chunked() -> list[Book]:
    """Ten books."""
    return list(Book.objects.cache(rows=True))


@pytest.fixture
def chunks(configure: Configure) -> None:
    """Three keys fit into an entry."""
    configure(LIMITS={"KEYS_PER_CHUNK": 3})


def further() -> list[str]:
    """The keys of the entries in which the list goes on."""
    from everfresh import codec
    from everfresh.queries.bodies import POINTERS
    from everfresh.rows import _further

    [wanted] = Pointing.of(Book.objects.cache(rows=True), None).wanted()
    entry = current_store().read(wanted.key, wanted.names).entry
    packed = codec.unpack_body(entry, len(wanted.names)) if entry else None
    assert packed is not None
    head = POINTERS.decode(packed)
    assert not isinstance(head, codec.Miss)
    return [each.key for each in _further(wanted, head)]


@pytest.mark.seeds("OC-13")
@pytest.mark.usefixtures("chunks")
def test_a_long_list(costs: Costs) -> None:
    """A list longer than an entry takes is stored in several, and read in one more round trip, however many."""
    # 1 the list, 2 versions and lease, 3 rows' versions, 4 rows, 5 the other entries, 6 the first and the lease back
    assert (["read_many", "begin_fill", "begin_fill", "fill_many", "fill_many", "fill"], 1) == costs(chunked)
    assert 3 == len(further())

    # 1 the beginning, 2 the rest, 3 the rows
    assert (["read_many"] * 3, 0) == costs(chunked)
    assert truth(chunked) == costs.result
    Book.objects.filter(pk=7).update(title="new")
    assert "new" == chunked()[6].title


@pytest.mark.seeds("OC-13")
@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_entry_is_a_miss(costs: Costs, lost: int) -> None:
    """Whichever of its entries is lost, the list is asked for again, whole."""
    chunked()
    before = further()
    current_store().drop([before[lost]])

    assert 1 == costs(chunked)[1]
    assert truth(chunked) == costs.result
    assert not set(before) & set(further())
    assert 0 == costs(chunked)[1]


@pytest.mark.seeds("OC-13")
@pytest.mark.usefixtures("chunks")
def test_a_list_that_shrinks_leaves_nothing_readable(costs: Costs) -> None:
    """A list stored anew goes on in entries of new names: those of the older one are never read again."""
    chunked()
    before = further()
    Book.objects.filter(pk__gt=4).delete()
    assert [1, 2, 3, 4] == [book.pk for book in chunked()] == [book.pk for book in chunked()]
    assert (1, set()) == (len(further()), set(before) & set(further()))

    Book.objects.filter(pk__gt=2).delete()
    assert [1, 2] == [book.pk for book in chunked()]
    assert [] == further()
    assert (["read_many"] * 2, 0) == costs(chunked)


@pytest.mark.seeds("OC-13")
@pytest.mark.usefixtures("chunks")
def test_an_entry_that_cannot_be_stored(configure: Configure, costs: Costs) -> None:
    """A list of which one entry is not stored is not stored at all; one of too many rows neither."""
    configure(LIMITS={"KEYS_PER_CHUNK": 3, "ROWS": 9})
    assert truth(chunked) == chunked()
    assert 1 == costs(chunked)[1]

    configure(LIMITS={"KEYS_PER_CHUNK": 3, "SIZE": 1})
    assert 1 == costs(chunked)[1] == costs(chunked)[1]


@pytest.mark.usefixtures("chunks")
def test_long_lists_are_not_called_stale(configure: Configure) -> None:
    """With ``VERIFY``, a long list without an order is not taken for stale where the database orders it otherwise."""
    configure(LIMITS={"KEYS_PER_CHUNK": 3}, VERIFY=1.0)
    with raising_stale_answers():
        for _ in range(2):
            list(Book.objects.order_by().cache(rows=True))
