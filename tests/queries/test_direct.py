"""Direct keys: what ``get()`` and foreign keys give by them is what plain Django gives, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import Decimal
from enum import IntEnum
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import FieldError
from django.db import DatabaseError, OperationalError, connection, models, transaction
from django.db.models import F, Manager, QuerySet, Value
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.manager import BaseManager
from django.utils.functional import SimpleLazyObject
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

import everfresh
from everfresh import CacheManager, direct
from everfresh.events import Outcome
from everfresh.signals import stale_answer
from tests.conftest import Configure, Elsewhere
from tests.counting import Counts, counting
from tests.library.models import Counted, OrderLine
from tests.protocol.schedule import observed, truth
from tests.queries.keyed import IDENT, Keyed, KeyedChild, Owner, Pointer, declared, populate, same_as_plain, told
from tests.settings import DB

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

TEXT_HAS_TAGS = pytest.mark.skipif(DB == "mariadb", reason="Text has no value tags there.")


@pytest.fixture(autouse=True)
def rows(transactional_db: None, configure: Configure) -> None:
    """A few rows of each model; every ``get()`` is cached."""
    populate()
    configure(CACHE_GET=True)


@pytest.fixture
def counts(rows: None, monkeypatch: pytest.MonkeyPatch) -> Counts:
    """What is asked of the store and of the database."""
    return counting(monkeypatch)


def outcomes(read: Callable[[], Any]) -> list[Outcome]:
    """The outcomes of the reads in *read*."""
    with observed() as seen:
        told(read)
    return seen


# What it costs


READS = [
    pytest.param(lambda: Keyed.objects.get(pk=1), id="pk"),
    pytest.param(lambda: Keyed.objects.get(id=1), id="id"),
    pytest.param(lambda: Keyed.objects.get(number=2), id="unique"),
    pytest.param(lambda: Keyed.objects.get(ident=IDENT), id="uuid"),
    pytest.param(lambda: Keyed.objects.get(code="a"), id="text", marks=TEXT_HAS_TAGS),
    pytest.param(lambda: Keyed.objects.get(twin=1), id="one-to-one"),
    pytest.param(lambda: Keyed.objects.get(twin_id=1), id="its column"),
    pytest.param(lambda: Keyed.objects.get(twin__id=1), id="its target"),
    pytest.param(lambda: Keyed.objects.all().get(pk=1), id="all"),
    pytest.param(lambda: Keyed.objects.using("default").get(pk=1), id="using"),
    pytest.param(lambda: Keyed._base_manager.get(pk=1), id="base manager"),
    pytest.param(lambda: Keyed.objects.cache().get(pk=1), id="cache"),
    pytest.param(lambda: Keyed.objects.cache(timeout=60).get(pk=1), id="timeout"),
    pytest.param(lambda: KeyedChild.objects.get(pk=3), id="inherited"),
    pytest.param(lambda: KeyedChild.objects.get(number=3), id="column of the parent"),
    pytest.param(lambda: KeyedChild.objects.get(keyed_ptr__id=3), id="link to the parent"),
    pytest.param(lambda: Pointer.objects.get(child=3), id="key of its own that is another's"),
    pytest.param(lambda: Keyed(twin_id=1).twin, id="to one"),
    pytest.param(lambda: Keyed(above_id=1).above, id="foreign key"),
    pytest.param(lambda: Keyed(owner_id="a").owner, id="foreign key to text", marks=TEXT_HAS_TAGS),
    pytest.param(lambda: Pointer(keyed_id=IDENT).keyed, id="foreign key to a UUID"),
    pytest.param(lambda: Pointer(numbered_id=2).numbered, id="foreign key to a number"),
    pytest.param(lambda: Pointer(child_id=3).child, id="foreign key that is the primary key"),
    pytest.param(lambda: Keyed.objects.get(pk=99), id="nothing"),
    pytest.param(lambda: Keyed(above_id=99).above, id="to nothing"),
]


@pytest.mark.parametrize("read", READS)
def test_costs(counts: Counts, read: Callable[[], Any]) -> None:
    """A miss asks what Django asks, in its words; a hit asks the store once, and the database nothing."""
    told(lambda: truth(read))
    counts.clear()
    plain = told(lambda: truth(read))
    asked = list(counts.statements)
    assert 1 == len(asked)
    counts.clear()

    assert plain == told(read)
    assert asked == counts.statements
    assert ["read", "begin_fill", "fill"] == counts.trips
    counts.clear()

    with mock.patch.object(QuerySet, "filter", side_effect=AssertionError):
        # No query is built.
        assert plain == told(read)
    assert [] == counts.statements
    assert ["read"] == counts.trips


def test_many_ways_share_one_entry() -> None:
    """By whatever name the primary key is asked for, by whatever manager or foreign key: it is the same row."""
    ways: list[Callable[[], Any]] = [
        lambda: Keyed.objects.get(pk=1),
        lambda: Keyed.objects.get(id=1),
        lambda: Keyed._base_manager.all().get(pk=1),
        lambda: Keyed(above_id=1).above,
        lambda: Keyed(twin_id=1).twin,
    ]
    assert [Outcome.FILL, *[Outcome.HIT] * 4] == outcomes(lambda: [way() for way in ways])


# What it gives


class Number(int):
    """An integer that may mean something of its own."""


class Word(str):
    """A text that may mean something of its own."""

    __slots__ = ()


class Ordinal(IntEnum):
    """An integer with a name."""

    FIRST = 1


_NAMES: dict[Any, list[str]] = {
    Keyed: """pk id number small code slug ident day price many twin twin_id twin__id twin__pk twin__number above
        above_id owner owner_id owner__handle other_twin other_twin__id below keyedchild keyedchild__badge payload
        pk__ id__ code__ twin__ pk__exact id__exact id__in id__id code__exact __ nope""".split(),
    KeyedChild: "pk id keyed_ptr keyed_ptr_id keyed_ptr__id keyed_ptr__pk badge number code twin pointer ident".split(),
    Pointer: """pk child child_id child__id child__pk child__badge child__keyed_ptr child__keyed_ptr_id
        child__keyed_ptr__id keyed keyed_id numbered""".split(),
}
_WHERE = st.sampled_from([(model, name) for model, names in _NAMES.items() for name in names])
_VALUES = st.sampled_from(
    [
        *(1, 2, 3, 7, 0, -1, 2**15, 2**31, 2**63, 2**70, -(2**70), True, False, 1.0, 1.5, Number(1), Ordinal.FIRST),
        *("a", "b", "1", "3", "A", "a ", " a", "", "\x00", "a\x00", "\ud800", "x" * 99, Word("a"), "2020-01-01"),
        *(IDENT, str(IDENT), IDENT.hex, IDENT.int, Decimal(1), Decimal("1.50"), Decimal("1.500"), date(2020, 1, 1)),
        *(
            None,
            b"a",
            [1],
            (1,),
            {"a": 1},
            F("id"),
            F("number"),
            Value(1),
            Keyed(id=1),
            KeyedChild(id=3, keyed_ptr_id=3),
        ),
        *(SimpleLazyObject(lambda: 1), Owner(id=1, handle="a"), QuerySet(Keyed)),
    ]
)


@pytest.mark.usefixtures("rows")
@hypothesis_settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(where=_WHERE, value=_VALUES)
@example(where=(Keyed, "id__"), value=1)
@example(where=(Keyed, "twin__"), value=1)
@example(where=(Keyed, "small"), value=-1)
@example(where=(Keyed, "number"), value=True)
@example(where=(Keyed, "code"), value=1)
@example(where=(KeyedChild, "pk"), value=1)
def test_any_value_of_any_field(where: tuple[Any, str], value: Any) -> None:
    """The same instance, down to the order of what it holds, or the same error in the same words."""
    model, name = where
    same_as_plain(lambda: model.objects.get(**{name: value}))
    same_as_plain(lambda: model.objects.all().get(**{name: value}))


_MODES = [
    None,
    *(getattr(models, name) for name in ("FETCH_ONE", "FETCH_PEERS", "FETCH_RAISE") if hasattr(models, name)),
]


@pytest.mark.parametrize("mode", _MODES, ids=repr)
@pytest.mark.parametrize(
    ("model", "pk", "relation"),
    [
        *((Keyed, 1, name) for name in ("owner", "twin", "above", "other_twin", "keyedchild")),
        *((Keyed, 3, name) for name in ("twin", "above", "keyedchild")),
        *((KeyedChild, 3, name) for name in ("owner", "twin", "above", "keyed_ptr", "pointer")),
        *((Pointer, 3, name) for name in ("child", "keyed", "numbered")),
    ],
)
def test_any_relation(model: Any, pk: int, relation: str, mode: Any) -> None:
    """What a relation leads to is the same, and so is what both sides know of each other afterwards."""

    def follow() -> Any:
        found = model.objects.all() if mode is None else model.objects.fetch_mode(mode)
        one = found.get(pk=pk)
        other = getattr(one, relation)
        return told(lambda: one), told(lambda: other), getattr(one, relation) is other

    same_as_plain(follow)


def test_columns_that_are_not_what_they_were_when_loaded() -> None:
    """A foreign key is followed by the value that the instance has now, of whatever class it is."""
    for value in (1, "1", 1.0, True, 99, None, Number(1), "x"):
        same_as_plain(lambda value=value: Keyed(above_id=value).above)  # type: ignore[misc]


@pytest.mark.parametrize("several", [1, 2, 20, 21, 30])
def test_unique_columns_that_are_not(several: int) -> None:
    """Where the database does not know that a column is unique, it may have several rows: Django's own words tell."""
    Counted.objects.all().delete()
    Counted.objects.bulk_create([Counted(id=at, amount=5) for at in range(1, several + 1)])
    with declared(table="library_counted", amount=models.IntegerField(unique=True)) as model:
        same_as_plain(lambda: model.objects.get(amount=5))
        assert [Outcome.HIT] == outcomes(lambda: model.objects.get(amount=5))
        Counted.objects.create(id=99, amount=5)
        same_as_plain(lambda: model.objects.get(amount=5))
        Counted.objects.filter(id__gt=1).delete()
        assert 1 == model.objects.get(amount=5).pk


def test_keys_of_several_columns() -> None:
    """A composite key, and the columns that it is made of, take the way of all queries."""
    for values in ({"pk": (1, 1)}, {"pk": 1}, {"order": 1}, {"order_id": 1, "position": 1}):
        same_as_plain(lambda values=values: OrderLine.objects.get(**values))  # type: ignore[misc]


def test_values_that_are_not_shared() -> None:
    """What can be changed in one instance is not another's."""
    one, other, third = [Keyed.objects.get(pk=1) for _ in range(3)]
    one.payload["a"].append(2)
    other.payload = None

    assert {"a": [1]} == third.payload == Keyed.objects.get(pk=1).payload


@pytest.mark.skipif(DB != "postgresql", reason="Only PostgreSQL has arrays.")
def test_arrays_that_are_not_shared() -> None:
    """Nor is what the driver makes lists of."""
    from tests.library.models import Measured

    key = Measured.objects.create(numbers=[1]).pk
    Measured.objects.get(pk=key).numbers.append(2)
    Measured.objects.get(pk=key).numbers.append(3)
    assert [1] == Measured.objects.get(pk=key).numbers


# Who stands between


class _Hiding(QuerySet[Any]):
    def filter(self, *args: Any, **kwargs: Any) -> Any:
        return super().filter(*args, **kwargs).exclude(pk=1)


class _Fetching(QuerySet[Any]):
    def _fetch_all(self) -> None:
        super()._fetch_all()  # type: ignore[misc]
        for each in self._result_cache or ():  # type: ignore[attr-defined]
            each.was_fetched = True


class _Cloned(QuerySet[Any]):
    def _clone(self) -> Any:
        clone: Any = super()._clone()  # type: ignore[misc]
        clone.query.where = clone.query.where.clone()
        clone.query.add_q(~models.Q(pk=1))
        return clone


class _Made(QuerySet[Any]):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query.add_q(~models.Q(pk=1))


class _New(QuerySet[Any]):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(_Hiding)  # type: ignore[misc]


class _OwnGet(QuerySet[Any]):
    def get(self, *args: Any, **kwargs: Any) -> Any:
        found = QuerySet.get(self.exclude(pk=1), *args, **kwargs)
        found.was_got = True
        return found


class _Attributed(QuerySet[Any]):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__("exclude" if name == "filter" else name)


class _Elsewhere(QuerySet[Any]):
    @property
    def db(self) -> str:
        return "other"


class _Hidden(Manager[Any]):
    def get_queryset(self) -> Any:
        return super().get_queryset().exclude(pk=1)


class _OwnManagerGet(Manager[Any]):
    def get(self, *args: Any, **kwargs: Any) -> Any:
        return super().get(*args, **kwargs).above


class _Both(CacheManager, _Hidden):
    """The first one's querysets are the second one's."""


class _Hidden2(CacheManager, Manager.from_queryset(_Hiding)):  # type: ignore[misc]
    """A queryset class of the second one's, without the first one's methods."""

    _queryset_class = _Hiding


class _BothGet(CacheManager, _OwnManagerGet):
    """The first one's get() is the second one's."""


class _OwnDb(Manager[Any]):
    db = "nowhere"  # type: ignore[assignment]


def _manager_of(queryset: type[QuerySet[Any]]) -> Callable[[], Any]:
    return Manager.from_queryset(queryset)


MANAGERS = [
    *(
        pytest.param(_manager_of(each), id=each.__name__)
        for each in (_Hiding, _Fetching, _Cloned, _Made, _New, _OwnGet, _Attributed, _Elsewhere)
    ),
    pytest.param(_OwnGet.as_manager, id="as_manager"),
    pytest.param(BaseManager.from_queryset(_Hiding), id="base"),
    pytest.param(lambda: CacheManager.from_queryset(_Hiding)(cache_get=True), id="cached and hiding"),
    pytest.param(lambda: CacheManager.from_queryset(_OwnGet)(cache_get=True), id="cached and own get"),
    *(
        pytest.param(each, id=each.__name__)
        for each in (_Hidden, _OwnManagerGet, _Both, _Hidden2, _BothGet, _OwnDb, CacheManager)
    ),
]


@pytest.mark.parametrize("manager", MANAGERS)
def test_managers_of_their_own(manager: Callable[[], Any]) -> None:
    """Whatever a manager or its queryset class do on the way is done."""
    with declared(Keyed, own=manager(), meta={"default_manager_name": "own"}) as model:
        for key in (1, 2, 3, 99):
            told(lambda key=key: Keyed.objects.get(pk=key))  # type: ignore[misc]  # the entry is there
            same_as_plain(lambda key=key: model.own.get(pk=key))  # type: ignore[misc]
            same_as_plain(lambda key=key: model.own.all().get(pk=key))  # type: ignore[misc]
            same_as_plain(lambda key=key: model.own.using("default").get(id=key))  # type: ignore[misc]
            same_as_plain(lambda key=key: model.own.db_manager("default").get(id=key))  # type: ignore[misc]


@pytest.mark.parametrize("manager", [_Hidden, _manager_of(_Hiding), _OwnGet.as_manager, _Both], ids="abcd")
def test_base_managers_of_their_own(manager: Callable[[], Any]) -> None:
    """Foreign keys ask the base manager, whatever it does."""
    named = {"base_manager_name": "own"}
    with declared(Keyed, own=manager(), meta=named) as model, declared_pointing_to(model) as pointing:
        for key in (1, 2, 99):
            told(lambda key=key: Keyed.objects.get(pk=key))  # type: ignore[misc]
            same_as_plain(lambda key=key: pointing(amount_id=key).amount)  # type: ignore[misc]


def declared_pointing_to(model: Any) -> Any:
    """A model whose foreign key leads to *model*."""
    return declared(
        table="library_counted",
        amount=models.ForeignKey(model, models.DO_NOTHING, db_column="amount", related_name="+"),
    )


def test_rows_among_the_related_ones() -> None:
    """A related manager finds its own rows only, however they are asked for."""
    above, other = Keyed.objects.get(pk=2), Keyed.objects.get(pk=1)
    for one in (above, other):
        for key in (1, 2, 3, 99):
            same_as_plain(lambda one=one, key=key: one.below.get(pk=key))  # type: ignore[misc]
            same_as_plain(lambda one=one, key=key: one.below.all().get(pk=key))  # type: ignore[misc]


@pytest.mark.parametrize(
    "said",
    [
        "Keyed.objects.filter(many=1)",
        "Keyed.objects.exclude(pk=1)",
        "Keyed.objects.none()",
        "Keyed.objects.all()[:1]",
        "Keyed.objects.distinct()",
        'Keyed.objects.order_by("-pk")',
        'Keyed.objects.annotate(number2=F("number"))',
        'Keyed.objects.alias(number2=F("number"))',
        'Keyed.objects.only("code")',
        'Keyed.objects.defer("code")',
        'Keyed.objects.values("code")',
        'Keyed.objects.values_list("code", flat=True)',
        'Keyed.objects.select_related("owner")',
        'Keyed.objects.prefetch_related("below")',
        'Keyed.objects.extra(where=["id > 1"])',
        'Keyed.objects.extra(select={"two": "2"})',
        "Keyed.objects.all() | Keyed.objects.none()",
        "Keyed.objects.all().union(Keyed.objects.all())",
        'Keyed.objects.raw("SELECT * FROM library_keyed")',
        'Keyed.objects.dates("day", "year")',
        "_evaluated(Keyed.objects.all())",
        "_with_attribute(Keyed.objects.all())",
        'Keyed.objects.cache(key="a")',
        'Keyed.objects.cache(key_prefix="a")',
        'Keyed.objects.cache("owner")',
        "Keyed.objects.cache(grace=60)",
        "Keyed.objects.cache(timeout=0)",
        'Keyed.objects.cache(depends_on=["library.Tag"])',
        "Keyed.objects.cache(rows=True)",
        "Keyed.objects.nocache()",
        "Keyed.objects.reset()",
        'Keyed.objects.using("other")',
        'Keyed.objects.using("nowhere")',
        'Keyed.objects.db_manager("default", hints={"a": 1})',
    ],
)
def test_querysets_of_which_something_is_said(said: str) -> None:
    """What was said of the queryset counts."""
    for key in (1, 2, 99):
        told(lambda key=key: Keyed.objects.get(pk=key))  # type: ignore[misc]
        same_as_plain(lambda key=key: eval(said).get(pk=key))  # type: ignore[misc]


def _evaluated(queryset: Any) -> Any:
    assert list(queryset)
    return queryset


def _with_attribute(queryset: Any) -> Any:
    queryset.own = 1
    return queryset


def test_something_put_in_the_place_of_get() -> None:
    """Who replaces get() for a while, or what gives querysets, is asked."""
    Keyed.objects.get(pk=1)
    by_manager, by_key = (lambda: Keyed.objects.get(pk=1)), (lambda: Keyed(above_id=1).above)
    for owner, name, read in (
        (QuerySet, "get", by_manager),
        (QuerySet, "get", by_key),
        (BaseManager, "get_queryset", by_manager),
        (BaseManager, "get_queryset", by_key),
        (Keyed.objects, "get_queryset", by_manager),
        (Keyed._base_manager, "get_queryset", by_key),
        (ForwardManyToOneDescriptor, "get_queryset", by_key),
    ):
        with mock.patch.object(owner, name, side_effect=RecursionError), pytest.raises(RecursionError):
            read()


def test_descriptor_of_somebody_else() -> None:
    """A descriptor may have rows of its own to choose from."""

    class Descriptor(ForwardManyToOneDescriptor):
        def get_queryset(self, **hints: Any) -> Any:
            return super().get_queryset(**hints).exclude(pk=1)

    with declared(Keyed) as model:
        model.above = Descriptor(Keyed._meta.get_field("above"))
        for key in (1, 2):
            told(lambda key=key: Keyed.objects.get(pk=key))  # type: ignore[misc]
            same_as_plain(lambda key=key: model(above_id=key).above)  # type: ignore[misc]


class _Router:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        if model in (Keyed, Owner):
            self.asked.append((model, hints))
            return "other" if "instance" in hints else None
        return None


def test_routers(settings: Settings) -> None:
    """A router is asked what Django asks it, once, and its answer counts."""
    router = _Router()
    settings.DATABASE_ROUTERS = [router]
    Keyed.objects.using("other").create(id=1, code="there")
    for read in (
        lambda: Keyed.objects.get(pk=1),
        lambda: Keyed.objects.all().get(pk=1),
        lambda: Keyed.objects.db_manager(hints={"instance": 5}).get(pk=1),
        lambda: Keyed(above_id=1).above,
    ):
        router.asked.clear()
        plain = told(lambda read=read: truth(read))
        asked = list(map(repr, router.asked))
        for _ in range(3):
            router.asked.clear()
            assert plain == told(read)
            assert [text.partition(" at ")[0] for text in asked] == [
                text.partition(" at ")[0] for text in map(repr, router.asked)
            ]


# When it is not asked for


def test_switched_off(configure: Configure) -> None:
    """Nothing is read from the cache that is switched off for it, by whatever switch."""
    Keyed.objects.get(pk=1)
    with everfresh.disabled():
        assert [] == outcomes(lambda: Keyed.objects.get(pk=1))
    for switches in (
        {"ENABLED": False},
        {"EXCLUDE": ["library.Keyed"]},
        {"EXCLUDE": ["library.*"]},
        {"CACHE_GET": False},
        {"MODELS": {"library.Keyed": None}},
    ):
        configure(**{"ENABLED": True, "EXCLUDE": [], "MODELS": {}, "CACHE_GET": True, **switches})
        assert [] == outcomes(lambda: Keyed.objects.get(pk=1))
        assert [] == outcomes(lambda: Keyed(above_id=1).above)
    configure(ENABLED=True, EXCLUDE=[], MODELS={}, CACHE_GET=True)
    assert [Outcome.HIT] == outcomes(lambda: Keyed.objects.get(pk=1))


def test_reads_that_lock_or_prepare_a_write(counts: Counts) -> None:
    """They ask the database."""
    Keyed.objects.get(pk=1)
    with transaction.atomic():
        counts.clear()
        assert 1 == Keyed.objects.select_for_update().get(pk=1).pk
        assert (Keyed(id=1), False) == Keyed.objects.get_or_create(pk=1)
        assert {"SELECT": 2} == counts.verbs


def test_clean_and_reset(counts: Counts) -> None:
    """``clean()`` forgets the row and finds nothing, ``reset()`` stores it anew."""
    Keyed.objects.get(number=1)
    assert Keyed.objects.all().clean().get(number=1) is None
    assert [Outcome.FILL] == outcomes(lambda: Keyed.objects.get(number=1))
    _behind_its_back()
    assert 0 == Keyed.objects.get(number=1).many
    assert 9 == Keyed.objects.all().reset().get(number=1).many
    assert 9 == Keyed.objects.get(number=1).many


def _behind_its_back() -> None:
    with closing(connection.create_cursor()) as cursor:
        cursor.execute("UPDATE library_keyed SET many = 9 WHERE id = 1")


def test_what_is_told_of_the_origin(configure: Configure) -> None:
    """``FROM_CACHE`` tells of each instance where it came from."""
    configure(FROM_CACHE=True)
    assert [False, True] == [Keyed.objects.get(pk=1).from_cache for _ in range(2)]  # type: ignore[attr-defined]
    assert "from_cache" == list(vars(Keyed.objects.get(pk=1)))[-1]


def test_verified(configure: Configure) -> None:
    """Hits are verified as all are."""
    configure(VERIFY=1)
    heard: list[Any] = []

    def hear(event: Any, **_: Any) -> None:
        heard.append(event)

    stale_answer.connect(hear)
    try:
        Keyed.objects.get(number=1)
        _behind_its_back()
        Keyed.objects.get(number=1)
    finally:
        stale_answer.disconnect(hear)
    assert 1 == len(heard)


def test_a_failure_is_not_remembered() -> None:
    """Where the way to a row cannot be found for once, Django's own is taken, and looked for again."""
    with mock.patch.object(direct, "family_of", side_effect=OperationalError):
        assert 2 == Keyed.objects.get(number=2).pk
    Keyed.objects.get(number=2)
    with mock.patch.object(QuerySet, "filter", side_effect=AssertionError):
        assert 2 == Keyed.objects.get(number=2).pk


def test_errors_of_the_database() -> None:
    """What the database says of a question comes through, and nothing is stored."""
    with mock.patch.object(direct, "query_rows", side_effect=DatabaseError("No.")):
        for _ in range(2):
            assert (DatabaseError, "No.") == told(lambda: Keyed.objects.get(pk=1))
    assert [Outcome.FILL] == outcomes(lambda: Keyed.objects.get(pk=1))


def test_lookups_that_are_none() -> None:
    """A name that Django does not know is none here."""
    Keyed.objects.get(id=1)
    with pytest.raises(FieldError):
        Keyed.objects.get(id__=1)


# Writes


ASKED: list[dict[str, Any]] = [
    {"pk": 1},
    {"pk": 2},
    {"number": 1},
    {"number": 2},
    {"number": 9},
    {"small": 1},
    {"code": "a"},
    {"code": "c"},
    {"ident": IDENT},
    {"twin": 1},
    {"twin": 2},
    {"twin__id": 1},
]

WRITES: list[Callable[[], Any]] = [
    lambda: Keyed.objects.filter(pk=1).update(number=9),
    lambda: Keyed.objects.filter(pk=1).update(number=None),
    lambda: Keyed.objects.filter(number=2).update(many=F("many") + 1),
    lambda: Keyed.objects.filter(pk=2).update(small=4),
    lambda: Keyed.objects.filter(pk=3).update(twin_id=2),
    lambda: Keyed.objects.create(id=4, number=9, code="c"),
    lambda: Keyed.objects.bulk_create([Keyed(id=5, number=9, twin_id=2)]),
    lambda: Keyed.objects.bulk_update([Keyed(id=1, code="c")], ["code"]),
    lambda: Keyed.objects.filter(pk=1).delete(),
    lambda: KeyedChild.objects.filter(badge=7).update(number=9),
    lambda: KeyedChild.objects.get(pk=3).delete(),
    lambda: connection.cursor().execute("UPDATE library_keyed SET number = 9 WHERE id = 1"),
    lambda: Keyed(id=1, number=9, code="a", ident=IDENT).save(),
]


_NUMBERS = [str(at) for at in range(len(WRITES))]


def _everything() -> list[Any]:
    return [
        *(told(lambda values=values: Keyed.objects.get(**values)) for values in ASKED),
        *(told(lambda key=key: KeyedChild.objects.get(**key)) for key in ({"pk": 3}, {"badge": 7}, {"number": 9})),
        *(told(lambda key=key: Keyed(above_id=key).above) for key in (1, 2, 4)),
        *(told(lambda key=key: Pointer(numbered_id=key).numbered) for key in (1, 2, 9)),
    ]


@pytest.mark.parametrize("write", WRITES, ids=_NUMBERS)
def test_writes(write: Callable[[], Any]) -> None:
    """Each write is seen by whatever value the row had, or has now."""
    assert truth(_everything) == _everything() == _everything()
    write()
    assert truth(_everything) == _everything() == _everything()


@pytest.mark.parametrize("write", WRITES, ids=_NUMBERS)
def test_writes_that_are_taken_back(write: Callable[[], Any], elsewhere: Elsewhere) -> None:
    """A transaction sees its own writes, and nobody does once they are rolled back, by a savepoint or as a whole."""
    before = _everything()
    with transaction.atomic():
        try:
            with transaction.atomic():
                write()
                assert truth(_everything) == _everything() == _everything()
                raise RecursionError
        except RecursionError:
            assert before == truth(_everything) == _everything()
        write()
        assert truth(_everything) == _everything() == _everything()
        transaction.set_rollback(True)
    assert before == truth(_everything) == _everything() == elsewhere(_everything)


def test_broken_transaction() -> None:
    """Where the database refuses to be asked, nothing comes from the cache."""
    Keyed.objects.get(pk=1)
    Keyed(above_id=1).above  # noqa: B018
    with transaction.atomic():
        transaction.set_rollback(True)
        same_as_plain(lambda: Keyed.objects.get(pk=1))
        same_as_plain(lambda: Keyed(above_id=1).above)


def test_recorded() -> None:
    """What is computed from a row got by its key depends on the row, also where the row is a hit."""

    @everfresh.memoize
    def many(number: int) -> int:
        above = Keyed.objects.get(number=number).above
        return Keyed.objects.get(number=number).many + (above.many if above else 0)

    Keyed.objects.get(number=3)
    assert 0 == many(3) == many(3)
    Keyed.objects.filter(number=3).update(many=5)
    assert 5 == many(3)
    Keyed.objects.filter(pk=2).update(many=10)
    assert 15 == many(3) == many(3)


def test_other_threads_and_databases(elsewhere: Elsewhere) -> None:
    """One thread's rows are another's, and each database has its own."""
    Keyed.objects.using("other").create(id=1, code="there")
    assert ["a", "there"] == [Keyed.objects.using(alias).get(pk=1).code for alias in ("default", "other")]
    assert [Outcome.HIT] == elsewhere(lambda: outcomes(lambda: Keyed.objects.get(pk=1)))
    Keyed.objects.using("other").filter(pk=1).update(code="new")
    assert ["a", "new"] == [Keyed.objects.using(alias).get(pk=1).code for alias in ("default", "other")]
    assert ["other", "default"] == [Keyed.objects.using(alias).get(pk=1)._state.db for alias in ("other", "default")]
