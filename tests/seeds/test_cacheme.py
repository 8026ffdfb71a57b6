"""cacheme and django-cacheme: what their documentation and their tests show, by the names they had."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.db import connections, transaction
from django.test import override_settings

import everfresh
from everfresh.compat.cacheme import CACHEME, CacheMe, cacheme, nodes
from everfresh.exceptions import NotCached
from everfresh.names import invalidate_label
from tests.conftest import Elsewhere
from tests.seeds.shelves.models import Reader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def as_at_start() -> Iterator[None]:
    """No test leaves settings to the next one."""
    yield
    CACHEME.updated.clear()


def hang_up() -> None:
    """At the end of a thread: leave no connection of its own open."""
    connections.close_all()
    caches.close_all()


def counted(**said: Any) -> Callable[..., int]:
    """A function that tells how often it ran."""
    runs: list[object] = []

    @cacheme(**{"key": lambda c: "counted", **said})
    def function(*args: object, **kwargs: object) -> int:
        runs.append(args)
        return len(runs)

    return function  # type: ignore[no-any-return]


# The decorator


class Page:
    base = 3

    @cacheme(key=lambda c: str(c.self.base + c.a + c.args[0] + c.kwargs["f"] + c.d))
    def total(self, a: int, *args: int, d: int = 0, **kwargs: int) -> int:
        """The sum."""
        return self.base + a + args[0] + kwargs["f"] + d

    @classmethod
    @cacheme(key=lambda c: f"named:{c.cls.__name__}")
    def named(cls) -> str:
        return cls.__name__


@pytest.mark.seeds("CE-1", "CE-F7")
def test_container() -> None:
    """Every argument, those left out included; on functions and methods."""
    page = Page()

    assert page.total(1, 2, f=14, q=5) == 20
    assert cacheme.tags["total"].keys == {"CM:20"}
    assert Page.total.__doc__ == "The sum."
    assert Page.named() == Page.named() == "Page"

    @cacheme(key=lambda c: str(c.function(2)))
    def apply(function: Callable[[int], int]) -> int:
        return function(3)

    assert apply(lambda value: value + 1) == 4, "a function among the arguments is no method of the container"


@pytest.mark.seeds("CE-2", "CE-F5")
def test_fields_of_keys() -> None:
    """``>`` separates, as often as one likes; None is a result."""
    runs = []

    @cacheme(key=lambda c: f"Book:{c.part}")
    def function(part: str) -> None:
        runs.append(part)

    for part in ("1>owner", "1>owner>name", "1>owner>name"):
        function(part)
    assert runs == ["1>owner", "1>owner>name"]
    cacheme.create_invalidation(key="Book:1>owner")
    function("1>owner>name")
    assert len(runs) == 2
    function("1>owner")
    assert len(runs) == 3


@pytest.mark.seeds("CE-4", "CE-14")
@pytest.mark.parametrize("keys", [["test_invalid"], "test_invalid", [["test_invalid", None]], {"test_invalid", "b"}])
def test_invalid_keys(keys: object) -> None:
    """One, several, nested."""
    function = counted(invalid_keys=lambda c: keys)

    assert (function(), function()) == (1, 1)
    cacheme.create_invalidation(invalid_key="test_invalid")
    assert (function(), function()) == (2, 2)
    cacheme.create_invalidation(invalid_key="other")
    assert function() == 2


def _by_result(c: Any) -> list[str]:
    return [f"n:{n}" for n in c.cacheme_result]


class ByResult:
    def __call__(self, c: Any) -> list[str]:
        return _by_result(c)


@pytest.mark.seeds("CE-4")
@pytest.mark.parametrize(
    "keys",
    [
        _by_result,
        ByResult(),
        lambda c: list(filter(lambda key: int(key[2:]) in c.cacheme_result, ["n:1", "n:2", "n:3"])),
    ],
)
def test_keys_of_the_result(keys: Any) -> None:
    """What was computed decides what drops it."""
    given = [1, 2]

    @cacheme(key=lambda c: "by result", invalid_keys=keys)
    def function() -> list[int]:
        return list(given)

    assert function() == [1, 2]
    given[:] = [3]
    cacheme.create_invalidation(invalid_key="n:3")
    assert function() == [1, 2]
    cacheme.create_invalidation(invalid_key="n:2")
    assert function() == [3]
    cacheme.create_invalidation(invalid_key="n:2")
    assert function() == [3]


def test_result_in_a_function_that_is_called() -> None:
    """It is not there yet, and the error says how to say that it is needed."""
    function = counted(invalid_keys=lambda c: [_by_result(c)])

    with pytest.raises(AttributeError, match="cacheme_result is known after the call only"):
        function()


class ReaderRow(nodes.ModelInvalidNode):
    id = nodes.Field()

    def key(self) -> str:
        return f"reader:{self.id}"

    class Meta:
        model = Reader


@pytest.mark.seeds("CE-4", "CE-18")
def test_nodes_among_invalid_keys() -> None:
    """An invalid node is one; one of rows must be known before the call."""
    function = counted(invalid_keys=lambda c: [ReaderRow(id=1)])
    assert (function(), function()) == (1, 1)
    Reader.objects.create(id=1)
    assert function() == 2

    late = counted(key=lambda c: "late", invalid_keys=lambda c: [ReaderRow(id=c.cacheme_result)])
    with pytest.raises(TypeError, match="gave rows of a model to depend on after the call"):
        late()


@pytest.mark.seeds("CE-5")
def test_callbacks() -> None:
    """With the key as it is stored; first a miss, then a hit."""
    told: list[object] = []
    function = counted(
        hit=lambda key, result, c: told.append((key, result, c.args)),
        miss=lambda key, c: told.append((key, c.args)),
    )

    function("a")
    function("b")
    assert told == [("CM:counted", ("a",)), ("CM:counted", 1, ("b",))]


@pytest.mark.seeds("CE-6", "CE-F1")
def test_skip() -> None:
    """True, or a function that decides; what it does not skip is cached, and nothing is told of what it does."""
    told: list[str] = []
    always = counted(skip=True, hit=lambda *_: told.append("hit"), miss=lambda *_: told.append("miss"))
    assert [always({"test": n}) for n in range(3)] == [1, 2, 3]

    sometimes = counted(key=lambda c: "sometimes", skip=lambda c: "skip" in c.args[0])
    assert [sometimes({}), sometimes({"skip": 1}), sometimes({}), sometimes({})] == [1, 2, 1, 1]
    assert told == []


@pytest.mark.seeds("CE-7", "CE-F4")
def test_timeout() -> None:
    """Of each key by itself; None and, as there, 0 are for ever."""
    with override_settings(EVERFRESH={"PREFIX": "timeout", "JITTER": 0.0}):
        short, forever = counted(timeout=0.2), counted(key=lambda c: "forever", timeout=0)
        assert [short(), short(), forever(), forever()] == [1, 1, 1, 1]
        Event().wait(0.4)
        assert [short(), forever()] == [2, 1]


@pytest.mark.seeds("CE-8", "CE-22")
def test_tags() -> None:
    """The name of the function, or what it is given; the count is of what was current."""

    @cacheme(key=lambda c: "INST:1")
    def inst_1() -> str:
        return "test"

    two, three = counted(key=lambda c: "INST:2", tag="two"), counted(key=lambda c: "INST:3", tag="three")
    inst_1()
    two()
    three()
    assert cacheme.tags["inst_1"].keys == {"CM:INST:1"}
    assert cacheme.tags["inst_1"].objects.invalid() == 1
    assert cacheme.tags["two"].objects.invalid() == 1
    assert cacheme.tags["two"].objects.invalid() == 0
    cacheme.tags["three"].invalid_all()
    assert (two(), three()) == (2, 2)
    assert {"inst_1", "two", "three"} <= set(cacheme.tags)
    assert len(cacheme.tags) == len(set(cacheme.tags))
    with pytest.raises(KeyError, match="nobody: nothing that this process has imported has this tag"):
        cacheme.tags["nobody"]


def same_name() -> int:
    """Called like another one."""
    return 1


@pytest.mark.seeds("CE-8", "CE-F5")
def test_functions_of_one_name() -> None:
    """They meet under the name, and each is found by its path; a key is no tag."""
    runs = []

    def make() -> Any:
        @cacheme(key=lambda c: "other name")
        def same_name() -> int:
            runs.append(1)
            return len(runs)

        return same_name

    one, other = cacheme(key=lambda c: "same_name")(same_name), make()
    assert (one(), other()) == (1, 1)
    assert cacheme.tags[f"{__name__}.same_name"].objects.invalid() == 1
    assert other() == 1
    one()
    assert cacheme.tags["same_name"].objects.invalid() == 2
    cacheme.create_invalidation(invalid_key="same_name")


@pytest.mark.seeds("CE-9")
@pytest.mark.parametrize(
    ("said", "invalidate", "others"),
    [
        pytest.param({}, lambda: cacheme.create_invalidation(invalid_key="k"), "old", id="STALE"),
        pytest.param({"stale": True}, lambda: cacheme.create_invalidation(key="slow"), "old", id="stale"),
        pytest.param({"stale": False}, lambda: cacheme.create_invalidation(invalid_key="k"), "new", id="not stale"),
        pytest.param({}, lambda: cacheme.tags["slow"].objects.invalid(stale=True), "old", id="by tag"),
        pytest.param({}, lambda: cacheme.tags["slow"].objects.invalid(stale=False), "new", id="by tag, not stale"),
        pytest.param({}, lambda: cacheme.create_invalidation(pattern="CM:sl*"), "new", id="by pattern"),
    ],
)
def test_stale(said: dict[str, Any], invalidate: Callable[[], object], others: str) -> None:
    """While one computes, others get the old result or wait for the new one, as was said."""
    computing, go = Event(), Event()
    value = ["old"]

    @cacheme(key=lambda c: "slow", invalid_keys=lambda c: "k", **said)
    def slow() -> str:
        computing.set()
        assert go.wait(20)
        return value[0]

    def work() -> str:
        try:
            return str(slow())
        finally:
            hang_up()

    go.set()
    assert slow() == "old"
    value[0] = "new"
    go.clear()
    computing.clear()
    invalidate()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(work)
        assert computing.wait(20)
        second = pool.submit(work)
        if others == "old":
            assert second.result(20) == "old"
        go.set()
        assert (first.result(20), second.result(20)) == ("new", others)


@pytest.mark.seeds("CE-9")
def test_global_stale() -> None:
    """STALE is asked for when the function is called."""
    function = counted()
    function()
    with override_settings(CACHEME={"STALE": False}):
        assert CACHEME.grace(None) is None
        assert CACHEME.grace(True) == 60
    assert CACHEME.grace(None) == 60
    assert CACHEME.grace(False) is None


@pytest.mark.seeds("CE-10", "CE-F3")
def test_thundering_herd() -> None:
    """One computes, the others get what it gives, falsy as it may be."""
    together, runs = Barrier(4), []

    @cacheme(key=lambda c: "herd")
    def herd() -> int:
        runs.append(1)
        Event().wait(0.2)
        return 0

    def work(_: int) -> int:
        try:
            together.wait(20)
            return int(herd())
        finally:
            hang_up()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 0, 0, 0]
    assert len(runs) == 1


@pytest.mark.seeds("CE-11")
def test_sources() -> None:
    """A subclass finds what else invalidates, and listens to it."""
    connected: list[object] = []

    class Mine(CacheMe):
        def collect_sources(self) -> list[object]:
            return [*(super().collect_sources()), self.kwargs["mine"]]

        def connect(self, source: Any) -> None:
            connected.append(source)

    @Mine(key=lambda c: "sources", invalid_sources=["apple"], mine="pear")
    def function() -> int:
        return 1

    assert (function(), function()) == (1, 1)
    assert connected == ["apple", "pear"]
    assert counted(invalid_sources=["apple"])() == 1


@pytest.mark.seeds("CE-12", "CE-F6")
def test_switched_off() -> None:
    """Nothing is read, stored or told; asked for at each call, by Django's settings or by update_settings()."""
    told: list[object] = []
    function = counted(hit=lambda *_: told.append(1), miss=lambda *_: told.append(1))
    with override_settings(CACHEME={"ENABLE_CACHE": False}):
        assert (function(), function()) == (1, 2)
    assert (function(), function()) == (3, 3)
    cacheme.update_settings({"ENABLE_CACHE": False})
    assert function() == 4
    assert len(told) == 2


@pytest.mark.seeds("CE-13")
def test_log(caplog: pytest.LogCaptureFixture) -> None:
    """What was computed, and how long that took, for those who listen."""
    function = counted()
    with caplog.at_level(logging.DEBUG, "cacheme"):
        function()
        function()
    [record] = [each for each in caplog.records if each.name == "cacheme"]
    assert record.getMessage().startswith('[CACHEME FUNC LOG] key: "CM:counted", time: ')
    assert 0 <= float(record.getMessage().split()[-2]) < 5000


@pytest.mark.seeds("CE-13", "CE-F11")
def test_compression() -> None:
    """Is by size, and what was compressed stays readable whatever the setting says."""
    with override_settings(CACHEME={"COMPRESS": True}):
        function = counted(key=lambda c: "big")
        function()
    assert function() == 1


# Settings


@pytest.mark.seeds("CE-12", "CE-F6")
def test_settings(settings: Any) -> None:
    """Each has a default, and an unknown one is an error."""
    assert (CACHEME.ENABLE_CACHE, CACHEME.REDIS_CACHE_ALIAS, CACHEME.REDIS_CACHE_PREFIX) == (True, "default", "CM:")
    assert (CACHEME.THUNDERING_HERD_RETRY_COUNT, CACHEME.THUNDERING_HERD_RETRY_TIME, CACHEME.STALE) == (5, 20, True)
    with pytest.raises(AttributeError, match="setting not found"):
        _ = CACHEME.NOTHING
    settings.CACHEME = {"STALE": False}
    assert (CACHEME.STALE, CACHEME.ENABLE_CACHE) == (False, True)
    cacheme.update_settings({"STALE": True, "mine": "bar"})
    assert (CACHEME.STALE, CACHEME.mine) == (True, "bar")
    cacheme.set_connection(object())


@pytest.mark.seeds("CE-1", "CE-F5")
def test_prefixes() -> None:
    """Asked for at each call; projects with two of them share nothing."""
    function = counted()
    assert function() == 1
    with override_settings(CACHEME={"REDIS_CACHE_PREFIX": "MY:"}):
        assert function() == 2
        cacheme.create_invalidation(key="counted")
        assert function() == 3
        assert cacheme.tags["function"].keys >= {"MY:counted"}
    assert function() == 1


def test_without_a_key() -> None:
    """It must be named somehow."""
    with pytest.raises(TypeError, match="cacheme takes key= or node=: a function of the call that names its result"):
        cacheme()
    with pytest.raises(TypeError, match="key= of cacheme gave 7, where a key is a string"):
        counted(key=lambda c: 7)()


# Invalidation


@pytest.mark.seeds("CE-14")
def test_create_invalidation(elsewhere: Elsewhere) -> None:
    """By key, invalid key and pattern, and all of them at once; in a transaction at its COMMIT."""
    functions = [
        counted(key=lambda c: "test>me"),
        counted(key=lambda c: "b", invalid_keys=lambda c: "second"),
        counted(key=lambda c: "TEST:PATTERN:1>x"),
        counted(key=lambda c: "TEST:OTHER:1"),
    ]
    assert [each() for each in functions] == [1, 1, 1, 1]
    with transaction.atomic():
        cacheme.create_invalidation(key="test>me", invalid_key="second", pattern="CM:TEST:PATTERN*")
        assert elsewhere(lambda: [each() for each in functions]) == [1, 1, 1, 1]
    assert [each() for each in functions] == [2, 2, 2, 1]
    cacheme.create_invalidation()
    assert [each() for each in functions] == [2, 2, 2, 1]


@pytest.mark.seeds("CE-14")
@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("CM:k*", 4),
        ("k*", 0),
        ("CM:k[12]", 2),
        ("CM:k[^12]", 1),
        ("CM:k?", 3),
        (r"CM:k\*", 1),
        ("CM:k1", 1),
        (r"CM:\k\1", 1),
        ("CM:k1>part", 1),
    ],
)
def test_patterns(pattern: str, count: int) -> None:
    """Of Redis, for the key up to its first ``>``, or for all of it."""
    functions = [counted(key=lambda c, key=key: key) for key in ("k1>part", "k2", "k*", "k10")]
    for each in functions:
        each()
    cacheme.create_invalidation(pattern=pattern)

    assert sum(each() == 2 for each in functions) == count


@pytest.mark.slow
@pytest.mark.seeds("CE-14")
def test_pattern_of_many(store_kind: str) -> None:
    """Ten thousand keys; where the store is no Redis some chunks of them, for it takes long to put them there."""
    count = 10_000 if store_kind == "redis" else 1_200

    @cacheme(key=lambda c: f"many:{c.n}")
    def function(n: int) -> int:
        return value[0]

    value = [1]
    for n in range(count):
        function(n)
    value[0] = 2
    cacheme.create_invalidation(pattern="CM:many:*")
    assert {function(n) for n in (0, 600, count - 1)} == {2}


# Defects


@pytest.mark.seeds("CE-9", "CE-10", "CE-F2")
def test_error_in_the_function() -> None:
    """It passes, and neither the old result nor a wait comes after it."""
    fails = [False]
    runs = []

    @cacheme(key=lambda c: "fails", invalid_keys=lambda c: "fail")
    def function() -> int:
        runs.append(1)
        if fails[0]:
            raise LookupError
        return len(runs)

    assert function() == 1
    cacheme.create_invalidation(invalid_key="fail")
    fails[0] = True
    for _ in range(2):
        with pytest.raises(LookupError):
            function()
    fails[0] = False
    assert function() == 4


@pytest.mark.seeds("CE-4", "CE-F3")
def test_invalidation_while_it_is_computed() -> None:
    """What was computed from before it is not kept."""
    runs = []

    @cacheme(key=lambda c: "overtaken", invalid_keys=lambda c: "over", stale=False)
    def function() -> int:
        runs.append(1)
        if len(runs) == 1:
            everfresh.invalidate_tags("over")
        return len(runs)

    assert (function(), function(), function()) == (1, 2, 2)


@pytest.mark.seeds("CE-F7")
def test_arguments_in_threads() -> None:
    """Calls in several threads have arguments, keys and tags of their own."""

    @cacheme(key=lambda c: f"thread:{c.n}", invalid_keys=lambda c: f"n:{c.n}")
    def function(n: int) -> int:
        return n

    def work(n: int) -> int:
        try:
            return int(function(n))
        finally:
            hang_up()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == list(range(40))
    assert invalidate_label("tag:n:7") == 1


@pytest.mark.seeds("CE-F11")
def test_coroutines() -> None:
    """Are awaited."""
    runs = []

    @cacheme(key=lambda c: "awaited")
    async def function() -> int:
        runs.append(1)
        return len(runs)

    assert async_to_sync(function)() == async_to_sync(function)() == 1


# Nodes


class InvalidUserNode(nodes.InvalidNode):
    user = nodes.Field()

    def key(self) -> str:
        return f"user:{self.user}"


class ConstantNode(nodes.Node):
    id = nodes.Field()

    def key(self) -> str:
        return "test"

    def invalid_nodes(self) -> Any:
        return InvalidUserNode(user=self.id)


class DynamicNode(nodes.Node):
    id = nodes.Field()

    def key(self) -> str:
        return f"test:{self.id}"

    def invalid_nodes(self) -> Any:
        return [InvalidUserNode(user=self.id)]

    class Meta:
        stale = False


def by_node(node: Callable[[Any], Any], **said: Any) -> Callable[[int], int]:
    """A function named by a node."""

    @cacheme(node=node, **said)
    def function(id: int) -> int:  # noqa: A002
        return id

    return function  # type: ignore[no-any-return]


@pytest.mark.seeds("CE-3", "CE-17")
def test_nodes() -> None:
    """The node names the result; key and invalid keys of the decorator do not count."""
    constant = by_node(lambda c: ConstantNode(id=c.id), key=lambda c: "key", invalid_keys=lambda c: "k")
    dynamic = by_node(lambda c: DynamicNode(id=c.id))

    assert (constant(1), constant(2)) == (1, 1)
    assert (dynamic(1), dynamic(2)) == (1, 2)
    assert str(DynamicNode(id=1)) == "CM:test:1"
    cacheme.create_invalidation(key="key", invalid_key="k")
    assert constant(2) == 1
    cacheme.create_invalidation(invalid_key=str(InvalidUserNode(user=1)))
    assert (constant(2), constant(3)) == (2, 2)
    cacheme.create_invalidation(key="test")
    assert constant(3) == 3
    assert InvalidUserNode.objects.invalid(user=3) == 1


@pytest.mark.seeds("CE-8", "CE-17", "CE-22")
def test_tags_of_nodes() -> None:
    """Each class has one, called like it."""
    by_node(lambda c: ConstantNode(id=c.id))(1)

    assert cacheme.tags["ConstantNode"].keys == {"CM:test"}
    assert cacheme.tags["ConstantNode"].objects.invalid() == 1
    assert cacheme.tags["ConstantNode"].objects.invalid() == 0


@pytest.mark.seeds("CE-17", "CE-F4")
def test_messages_of_nodes() -> None:
    """As there."""
    for node, field in ((ConstantNode, "id"), (InvalidUserNode, "user")):
        with pytest.raises(Exception, match=f"^{field} is required for {node.__name__}$"):
            node()
    with pytest.raises(Exception, match=r"^Node CM:test:1 does not exist$"):
        DynamicNode.objects.get(id=1)
    by_node(lambda c: DynamicNode(id=c.id))(1)
    assert DynamicNode.objects.get(id=1) == 1
    assert DynamicNode.objects.invalid(id=1) == 1
    with pytest.raises(NotCached):
        DynamicNode.objects.get(id=1)


@pytest.mark.seeds("CE-5", "CE-17")
def test_callbacks_of_nodes() -> None:
    """Those of the decorator go before them."""
    told: list[object] = []

    class Telling(ConstantNode):
        def hit(self, key: str, result: Any) -> None:
            told.append((key, result, self.id))

        def miss(self, key: str) -> None:
            told.append((key, self.id))

    function = by_node(lambda c: Telling(id=c.id))
    function(1)
    function(1)
    assert told == [("CM:test", 1), ("CM:test", 1, 1)]
    by_node(lambda c: Telling(id=c.id), hit=lambda *_: told.append("hit"))(1)
    assert told[2:] == ["hit"]


@pytest.mark.seeds("CE-3", "CE-9", "CE-17")
def test_stale_of_nodes() -> None:
    """The class's first, then the decorator's, then STALE; and its timeout counts."""

    class Timed(ConstantNode):
        class Meta:
            timeout = 30

    said = [
        by_node(lambda c, node=node: node(id=1), stale=stale)
        for node in (Timed, DynamicNode)
        for stale in (None, False)
    ]
    graces = [each._recipe.computation(each._recipe.call((1,), {})).grace for each in said]  # type: ignore[attr-defined]
    assert graces == [60, None, None, None]
    assert said[0]._recipe.computation(said[0]._recipe.call((1,), {})).timeout == 30  # type: ignore[attr-defined]


@pytest.mark.seeds("CE-18", "CE-19", "CE-F7")
def test_inherited_fields() -> None:
    """Of compat's classes too; and rows of models, in the words of the seed."""

    class Child(ReaderRow):
        class Meta(ReaderRow.Meta):
            pass

    assert str(Child(instance=Reader(id=4))) == "reader:4"
    with pytest.raises(Exception, match=r"^id is required for Child$"):
        Child()
