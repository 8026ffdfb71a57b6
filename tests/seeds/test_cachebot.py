"""cachebot's test matrix: ask twice, write, ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db.models import Q, QuerySet

from everfresh import disabled
from tests.seeds.photos.models import First, Generic, Many, NeverGot, Second, Third
from tests.seeds.reads import DB_THEN_CACHE, asked, origin

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:Calling select_related"),  # without fields, as cachebot's users wrote it
]


@dataclass
class Chain:
    """A row of each model, each pointing to the one before."""

    first: First
    second: Second
    third: Third
    many: Many

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


@pytest.fixture
def chain() -> Chain:
    """The rows, and others that no query is about."""
    for text in ("other", "text"):
        first = First.objects.create(text=f"{text} 1")
        second = Second.objects.create(text=f"{text} 2", obj=first)
        third = Third.objects.create(text=f"{text} 3", obj=second)
        many = Many.objects.create(text=f"{text} 4")
        many.firsts.add(first)
        many.thirds.add(third)
    return Chain(first, second, third, many)


Query = Callable[[Chain], Any]
ALL = ("first", "second", "third")

LOOKUPS: dict[str, tuple[Query, tuple[str, ...]]] = {
    "id": (lambda of: {"id": of.third.id}, ("third",)),
    "text": (lambda of: {"text": of.third.text}, ("third",)),
    "obj": (lambda of: {"obj": of.second}, ("second", "third")),
    "obj__id": (lambda of: {"obj__id": of.second.id}, ("second", "third")),
    "obj__text": (lambda of: {"obj__text": of.second.text}, ("second", "third")),
    "obj__obj": (lambda of: {"obj__obj": of.first}, ALL),
    "obj__obj__id": (lambda of: {"obj__obj__id": of.first.id}, ALL),
    "obj__obj__text": (lambda of: {"obj__obj__text": of.first.text}, ALL),
    "obj__obj__in list": (lambda of: {"obj__obj__in": [of.first]}, ALL),
    "obj__obj__in queryset": (lambda of: {"obj__obj__in": First.objects.filter(text=of.first.text)}, ALL),
}
"""Of the model Third: conditions, and the rows whose saving counts."""


def _manager() -> Any:
    return Third.objects


CASES: dict[str, tuple[Query, tuple[str, ...]]] = {
    # Rows, however cache() is called, and dicts.
    **{
        f"filter {name}": (lambda of, given=given: _manager().cache().filter(**given(of)), rows)
        for name, (given, rows) in LOOKUPS.items()
    },
    **{
        f"filter {name}, then cache": (lambda of, given=given: _manager().filter(**given(of)).cache(), rows)
        for name, (given, rows) in LOOKUPS.items()
    },
    **{
        f"get {name}": (lambda of, given=given: _Got(lambda: _manager().get(**given(of))), rows)
        for name, (given, rows) in LOOKUPS.items()
    },
    **{
        f"count {name}": (lambda of, given=given: _Got(lambda: _manager().cache().filter(**given(of)).count()), rows)
        for name, (given, rows) in LOOKUPS.items()
    },
    **{
        f"values {name}": (lambda of, given=given: _manager().values().cache().filter(**given(of)), rows)
        for name, (given, rows) in LOOKUPS.items()
    },
    "values('text') before": (lambda of: _manager().values("text").cache().filter(obj__obj=of.first), ALL),
    "values('text') after": (lambda of: _manager().cache().filter(obj__obj=of.first).values("text"), ALL),
    "values_list('text')": (
        lambda of: _manager().cache().filter(obj__obj=of.first).values_list("text", flat=True),
        ALL,
    ),
    "values of relations before": (
        lambda of: _manager().values("obj__text", "obj__obj__text").cache().filter(id=of.third.id),
        ALL,
    ),
    "values of relations after": (
        lambda of: _manager().cache().filter(id=of.third.id).values("obj__text", "obj__obj__text"),
        ALL,
    ),
    "Q or Q": (lambda of: _manager().cache().filter(Q(text="nobody's") | Q(obj=of.second)), ("second", "third")),
    "Q or Q, the other": (lambda of: _manager().cache().filter(Q(text=of.third.text) | Q(obj=0)), ("third",)),
    "cache('obj__obj')": (lambda of: _manager().cache("obj__obj").filter(obj__obj=of.first), ALL),
    "cache('obj__obj_id')": (lambda of: _manager().cache("obj__obj_id").filter(obj__obj=of.first), ALL),
    "cache('obj__obj'), of its text": (lambda of: _manager().cache("obj__obj").filter(obj__obj__text="text 1"), ALL),
    "exclude id": (lambda of: _manager().cache().exclude(id=of.third.id + 1), ("third",)),
    "exclude text": (lambda of: _manager().cache().exclude(text="in no row"), ("third",)),
    # cachebot's tests also count a save of the excluded First, which cannot change the answer.
    "exclude obj__obj": (lambda of: _manager().cache().exclude(obj__obj=of.first.id + 1), ("second", "third")),
    "filter and exclude id": (
        lambda of: _manager().cache().filter(id=of.third.id).exclude(id=of.third.id + 1),
        ("third",),
    ),
    "filter and exclude text": (
        lambda of: _manager().cache().filter(text=of.third.text).exclude(text="in no row"),
        ("third",),
    ),
    "filter and exclude obj__obj": (
        lambda of: _manager().cache().filter(obj__obj=of.first).exclude(obj__obj=of.first.id + 1),
        ALL,
    ),
    "select_related": (lambda of: _manager().select_related().cache().filter(id=of.third.id), ALL),
    "select_related, after": (lambda of: _manager().cache().filter(id=of.third.id).select_related("obj__obj"), ALL),
    "reverse": (lambda of: First.objects.cache().filter(second=of.second), ("first", "second")),
    "reverse of reverse": (lambda of: First.objects.cache().filter(second__third=of.third), ALL),
    "reverse, values": (lambda of: First.objects.cache().values().filter(second=of.second), ("first", "second")),
    "reverse of reverse, values": (lambda of: First.objects.cache().values().filter(second__third=of.third), ALL),
    "reverse, exclude": (
        # Only the excluded Second counts, which is another.
        lambda of: First.objects.cache().exclude(second=of.second.id - 1),
        ("first",),
    ),
    "many": (lambda of: Many.objects.cache().filter(firsts=of.first), ("many", "first")),
    "many, its text": (lambda of: Many.objects.cache().filter(thirds__text=of.third.text), ("many", "third")),
    "many, values": (lambda of: Many.objects.cache().filter(firsts=of.first).values("text"), ("many", "first")),
    "reverse many": (lambda of: First.objects.cache().filter(many=of.many), ("first", "many")),
}


class _Got:
    """A read that gives one thing, asked like a queryset."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    def __iter__(self) -> Any:
        try:
            yield self._read()
        except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
            yield type(error)


def read(query: Query, of: Chain) -> list[Any]:
    """The answer, comparable."""
    return sorted(repr(vars(row) | {"_state": None} if hasattr(row, "_state") else row) for row in query(of))


def check(query: Query, of: Chain) -> None:
    """It is the database's."""
    with disabled():
        expected = read(query, of)
    assert read(query, of) == expected


PARAMETERS = [pytest.param(query, names, id=case) for case, (query, names) in CASES.items()]


@pytest.mark.seeds("CB-2", "CB-3", "CB-4", "CB-5", "CB-6", "CB-7", "CB-8", "CB-9", "CB-16")
@pytest.mark.parametrize(("query", "names"), PARAMETERS)
def test_save(chain: Chain, query: Query, names: tuple[str, ...]) -> None:
    """Each row that the query is about is saved."""
    for name in names:
        assert asked(lambda: read(query, chain)) == DB_THEN_CACHE, name
        chain[name].save()
        assert origin(lambda: read(query, chain)) == "cache", f"{name}, of which nothing was altered"

        chain[name].text += "!"
        chain[name].save()

        assert origin(lambda: read(query, chain)) == "database", name
        check(query, chain)
        chain[name].text = chain[name].text[:-1]
        chain[name].save()


@pytest.mark.seeds("CB-3", "CB-16")
@pytest.mark.parametrize(("query", "names"), PARAMETERS)
def test_delete(chain: Chain, query: Query, names: tuple[str, ...]) -> None:
    """Each row that the query is about is deleted, those that point to others first."""
    for name in [name for name in ("many", *reversed(ALL)) if name in names]:
        read(query, chain)
        key = chain[name].id

        chain[name].delete()
        chain[name].id = key  # for the queries that name it

        check(query, chain)


@pytest.mark.seeds("CB-3", "CB-9", "CB-16")
@pytest.mark.parametrize(("query", "names"), PARAMETERS)
def test_insert(chain: Chain, query: Query, names: tuple[str, ...]) -> None:
    """Rows that it would find as well are inserted."""
    assert asked(lambda: read(query, chain)) == DB_THEN_CACHE

    first = First.objects.create(text=chain.first.text)
    second = Second.objects.create(text=chain.second.text, obj=chain.first)
    third = Third.objects.create(text=chain.third.text, obj=chain.second)
    check(query, chain)
    Many.objects.create(text="new").firsts.add(chain.first, first)
    chain.many.firsts.add(first)
    chain.many.thirds.add(third)
    Second.objects.filter(pk=second.pk).update(obj=first)

    check(query, chain)


@pytest.mark.seeds("CB-7")
def test_get_then_create() -> None:
    """That nothing is there is cached, and known to be otherwise once something is."""

    def missing() -> None:
        with pytest.raises(First.DoesNotExist):
            First.objects.get(text="new")

    assert asked(missing) == DB_THEN_CACHE
    First.objects.create(text="new")
    assert asked(lambda: First.objects.get(text="new")) == DB_THEN_CACHE


@pytest.mark.seeds("CB-7")
def test_get_or_create() -> None:
    """What it makes is found, and then cached."""
    assert First.objects.get_or_create(text="new")[1]
    assert asked(lambda: First.objects.get(text="new")) == DB_THEN_CACHE
    assert not First.objects.get_or_create(text="new")[1]


@pytest.mark.seeds("CB-1", "CB-7")
def test_managers_decide() -> None:
    """cache_get=False: no get() is cached; cache_all: every read is, get() too."""
    row = NeverGot.objects.create(text="a")

    assert asked(lambda: NeverGot.objects.get(text="a")) == ["database"] * 2
    assert asked(lambda: NeverGot.all_cached.get(pk=row.pk)) == DB_THEN_CACHE
    assert asked(lambda: list(NeverGot.all_cached.filter(text="a"))) == DB_THEN_CACHE
    assert asked(lambda: list(NeverGot.objects.filter(text="a"))) == ["database"] * 2


@pytest.mark.seeds("CB-S4", "CB-2")
def test_blacklist(configure: Any) -> None:
    """A table that is excluded is never cached, even with cache() and cache_get."""
    configure(EXCLUDE=["photos.First"])
    First.objects.create(text="a")

    assert asked(lambda: list(First.objects.cache())) == ["database"] * 2
    assert asked(lambda: First.objects.get(text="a")) == ["database"] * 2


@pytest.mark.seeds("CB-8")
@pytest.mark.parametrize("shape", [{}, {"text": 1}, {"obj__text": 1, "obj__obj__text": 1}])
def test_values_give_what_was_asked_for(chain: Chain, shape: dict[str, int]) -> None:
    """No column is added that nobody asked for."""
    queryset: QuerySet[Any] = Third.objects.values(*shape).filter(obj__obj=chain.first)

    assert [list(queryset.cache()) for _ in range(2)] == [list(queryset)] * 2


@pytest.mark.seeds("CB-9")
def test_empty_results_are_cached() -> None:
    """An empty list is an answer."""
    assert asked(lambda: list(Third.objects.cache().filter(text="nobody's"))) == DB_THEN_CACHE


@pytest.mark.seeds("CB-5")
def test_many_to_many_writes(chain: Chain) -> None:
    """add(), remove(), set() and clear(), from either end."""

    def by_first() -> list[Many]:
        return list(Many.objects.cache().filter(firsts=chain.first))

    def by_many() -> list[First]:
        return list(First.objects.cache().filter(many=chain.many))

    def both() -> tuple[int, int]:
        return len(by_first()), len(by_many())

    assert both() == (1, 1)
    chain.many.firsts.remove(chain.first)
    assert both() == (0, 0)
    chain.first.many_set.add(chain.many)
    assert both() == (1, 1)
    chain.many.firsts.clear()
    assert both() == (0, 0)
    chain.first.many_set.set([chain.many])
    assert both() == (1, 1)


@pytest.mark.seeds("CB-5")
def test_generic_relations(chain: Chain) -> None:
    """A generic foreign key, from either end."""
    generic = Generic.objects.create(text="a", obj=chain.many)

    def by_relation() -> list[Generic]:
        return list(chain.many.generics.cache())

    def by_filter() -> list[Many]:
        return list(Many.objects.cache().filter(generics__text="a"))

    assert asked(by_relation) == asked(by_filter) == DB_THEN_CACHE
    generic.obj = chain.first
    generic.save()
    assert by_relation() == by_filter() == []
    chain.many.generics.create(text="a")
    assert (len(by_relation()), len(by_filter())) == (1, 1)
