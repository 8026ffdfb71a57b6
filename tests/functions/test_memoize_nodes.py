"""Functions whose results are named by nodes."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from everfresh import invalidate_tags, memoize, names
from everfresh.exceptions import NotCached
from everfresh.nodes import Field, ModelInvalidNode, Node
from tests.library.models import Author

pytestmark = pytest.mark.django_db(transaction=True)

told: list[object] = []


class AuthorRow(ModelInvalidNode):
    id = Field()

    def key(self) -> str:
        return f"author:{self.id}"

    class Meta:
        model = Author


class NameNode(Node):
    """Tells what becomes of it."""

    id = Field()

    def key(self) -> str:
        return f"name:{self.id}"

    def invalid_nodes(self) -> Any:
        return AuthorRow(id=self.id)

    def hit(self, key: str, result: Any) -> None:
        told.append((key, result))

    def miss(self, key: str) -> None:
        told.append(key)


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    """Before each test."""
    told.clear()


@pytest.mark.seeds("CE-3", "CE-17")
def test_named_by_a_node() -> None:
    """Under its key, its class's name, its tags; rows that the function does not read count too."""
    runs = []

    @memoize(node=lambda call: NameNode(id=call.id), tags="names")
    def function(id: int) -> int:  # noqa: A002
        runs.append(id)
        return len(runs)

    assert function(1) == function(1) == NameNode.objects.get(id=1) == 1
    assert function.cache_key(1) == "name:1"
    assert names.names(f"{__name__}.NameNode") == ["name:1"]
    Author.objects.create(id=1, name="A")
    assert function(1) == 2
    Author.objects.create(id=2, name="B")
    assert function(1) == 2
    invalidate_tags("names")
    assert function(1) == 3
    function.invalidate(1)
    assert function(1) == 4
    assert NameNode.objects.invalid() == 1
    assert function(1) == function.refresh(1) - 1 == 5


@pytest.mark.seeds("CE-3", "CE-5")
def test_callbacks() -> None:
    """The node's; the decorator's go before them."""

    @memoize(node=lambda call: NameNode(id=call.id))
    def nodes_own(id: int) -> str:  # noqa: A002
        return "value"

    @memoize(
        node=lambda call: NameNode(id=call.id),
        on_hit=lambda name, result, call: told.append("hit"),
        on_miss=lambda name, call: told.append("miss"),
    )
    def decorators(id: int) -> str:  # noqa: A002
        return "value"

    nodes_own(0)
    nodes_own(0)
    decorators(1)
    decorators(1)
    assert told == ["name:0", ("name:0", "value"), "miss", "hit"]


def test_awaited() -> None:
    """Coroutine functions too."""

    @memoize(node=lambda call: NameNode(id=call.id))
    async def function(id: int) -> str:  # noqa: A002
        return "value"

    assert async_to_sync(function)(1) == async_to_sync(function)(1) == "value"
    assert told == ["name:1", ("name:1", "value")]


@pytest.mark.seeds("CE-3")
def test_key_and_node() -> None:
    """One of them names it."""
    with pytest.raises(TypeError, match="takes key= or node=, not both: a node has a key"):
        memoize(key=lambda call: "a", node=lambda call: NameNode(id=1))(lambda: 1)


@pytest.mark.seeds("CE-3", "CE-9")
def test_meta_before_the_decorator() -> None:
    """What the node's class says of time goes first."""

    class Never(Node):
        def key(self) -> str:
            return "never"

        class Meta:
            timeout = 0

    @memoize(node=lambda call: Never(), timeout=60)
    def function() -> int:
        return 1

    assert function() == 1
    with pytest.raises(NotCached):
        Never.objects.get()


@pytest.mark.seeds("CE-4", "CE-18")
def test_nodes_as_tags() -> None:
    """An invalid node is a name among others, and a row of a model where it stands for one."""
    runs = []

    @memoize(tags=lambda call: [AuthorRow(id=call.id), "names"])
    def function(id: int) -> int:  # noqa: A002
        runs.append(id)
        return len(runs)

    assert function(1) == function(1) == 1
    Author.objects.create(id=1, name="A")
    assert function(1) == 2
    assert AuthorRow.objects.invalid(id=1) == 1
    assert function(1) == 3


@pytest.mark.seeds("CE-4")
def test_rows_after_the_call() -> None:
    """A write between the call and the naming of its rows would be missed, so that is an error."""

    @memoize(tags=lambda call, result: AuthorRow(id=result), label="late")
    def function() -> int:
        return 1

    with pytest.raises(TypeError, match="tags= of late gave rows of a model to depend on after the call"):
        function()
