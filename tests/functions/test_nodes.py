"""Nodes: names of results, made of fields, and names of what drops them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import override_settings

import everfresh
from everfresh import names
from everfresh.events import Outcome
from everfresh.exceptions import NotCached
from everfresh.nodes import Field, InvalidNode, ModelInvalidNode, Node, flat_tags, node_classes
from everfresh.reading import Answer
from everfresh.recorded import Computation, read_recorded
from tests.conftest import Elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


class UserNode(InvalidNode):
    id = Field()

    def key(self) -> str:
        return f"user:{self.id}"


class PageNode(Node):
    user = Field()
    number = Field()

    def key(self) -> str:
        return f"page:{self.user}>{self.number}>body"

    def invalid_nodes(self) -> Any:
        return [UserNode(id=self.user), [None, ("pages", {f"page {self.number}"})]]


def ask(node: Node, compute: Callable[[], Any] = lambda: 1) -> Answer[Any]:
    """Read through the cache what *node* names."""
    return read_recorded(node.named(), compute)


# Fields


@pytest.mark.seeds("CE-17")
def test_fields() -> None:
    """They are arguments, all needed, and attributes."""
    node = PageNode(user=1, number=0)

    assert (node.user, node.number) == (1, 0)
    assert str(node) == "page:1>0>body"
    assert repr(node) == "PageNode(user=1, number=0)"
    with pytest.raises(TypeError, match="PageNode needs a value for its field 'number'; its fields are user, number"):
        PageNode(user=1)
    with pytest.raises(TypeError, match="PageNode has no field 'page'; its fields are user, number"):
        PageNode(user=1, page=2)


def test_without_fields() -> None:
    """A node may be one thing only."""

    class Front(Node):
        def key(self) -> str:
            return "front"

    assert ask(Front()).value == Front.objects.get() == 1
    with pytest.raises(TypeError, match="Front has no field 'id'; it has none"):
        Front(id=1)


@pytest.mark.seeds("CE-F7")
def test_inheritance() -> None:
    """Fields and options come from each parent; what a class takes away it does not have."""

    class Timed(Node):
        since = Field()

        class Meta:
            abstract = True
            timeout = timedelta(minutes=1)

    class Paged(Node):
        page = Field()
        size = Field()

        class Meta:
            abstract = True
            timeout = 5
            grace = 7

    class Listed(Timed, Paged):
        name = Field()
        size = None

        def key(self) -> str:
            return f"{self.name}:{self.since}:{self.page}"

    class Long(Listed):
        class Meta(Listed.Meta):
            timeout = 3

    assert str(Listed(name="a", since="b", page=0)) == "a:b:0"
    given = Listed(name="a", since="b", page=0).named()
    assert (given.timeout, given.grace) == (60, 7)
    given = Long(name="a", since="b", page=0).named()
    assert (given.timeout, given.grace) == (3, 7)
    known = {each for label, each in node_classes().items() if "test_inheritance" in label}
    assert known == {Listed, Long}


def test_options() -> None:
    """An unknown one is an error, where the class is made; so is a negative timeout."""
    with pytest.raises(
        TypeError, match="The Meta of Wrong has no option 'time_out'; it takes abstract, grace, timeout"
    ):

        class Wrong(Node):
            class Meta:
                time_out = 1

    with pytest.raises(ValueError, match="negative"):

        class Negative(Node):
            class Meta:
                timeout = -1

    with pytest.raises(TypeError, match="The Meta of Nothing has the model None; it takes a model"):

        class Nothing(ModelInvalidNode):
            pass


def test_names_that_are_taken() -> None:
    """A field cannot hide what the class does."""
    with pytest.raises(TypeError, match="A field of Wrong cannot be called 'key'"):

        class Wrong(Node):
            key = Field()


@pytest.mark.seeds("CE-17")
def test_key_is_needed() -> None:
    """And it is a string."""

    class Nameless(Node):
        pass

    class Numbered(Node):
        def key(self) -> Any:
            return 1

    with pytest.raises(NotImplementedError, match=r"Nameless has no key\(\)"):
        Nameless().named()
    with pytest.raises(TypeError, match=r"key\(\) of Numbered is to return a string, not 1"):
        Numbered().named()


# Results


@pytest.mark.seeds("CE-2", "CE-17")
def test_get() -> None:
    """What is stored, falsy values included; keys keep all their parts, and values of all kinds are told apart."""
    some = uuid.uuid4()
    for user in (0, "a>b", some, (1, 2)):
        for number in (0, 1):
            ask(PageNode(user=user, number=number), lambda user=user, number=number: [str(user), number, None])
    ask(PageNode(user=7, number=7), lambda: None)

    assert PageNode.objects.get(user=some, number=1) == [str(some), 1, None]
    assert PageNode.objects.get(user=0, number=0) == ["0", 0, None]
    assert PageNode.objects.get(user=7, number=7) is None
    with pytest.raises(NotCached, match=r"No current result of .*PageNode is stored under 'page:9>9>body'"):
        PageNode.objects.get(user=9, number=9)
    with pytest.raises(TypeError, match="needs a value"):
        PageNode.objects.get(user=9)


@pytest.mark.seeds("CE-17", "CE-F4")
def test_get_nothing_old() -> None:
    """Neither what was invalidated nor what is over."""

    class Short(Node):
        def key(self) -> str:
            return "short"

        class Meta:
            timeout = 0
            grace = 60

    ask(Short())
    with pytest.raises(NotCached):
        Short.objects.get()
    ask(PageNode(user=1, number=1))
    everfresh.invalidate_tags("pages")
    with pytest.raises(LookupError):
        PageNode.objects.get(user=1, number=1)


def test_one_key_of_two_classes() -> None:
    """Each class has results of its own, whatever keys it makes."""

    class Other(PageNode):
        pass

    ask(PageNode(user=1, number=1), lambda: "page")
    assert ask(Other(user=1, number=1), lambda: "other").value == "other"
    assert PageNode.objects.get(user=1, number=1) == "page"


@pytest.mark.seeds("CE-8", "CE-17")
def test_invalid() -> None:
    """One, or all of the class; the count is of those that were current."""
    for number in range(3):
        ask(PageNode(user=1, number=number))

    assert PageNode.objects.invalid(user=1, number=0) == 1
    assert PageNode.objects.invalid(user=1, number=0) == 0
    assert PageNode.objects.get(user=1, number=1) == 1
    assert PageNode.objects.invalid() == 2
    assert PageNode.objects.invalid() == 0
    assert ask(PageNode(user=1, number=0)).outcome is Outcome.FILL


@pytest.mark.seeds("CE-18")
def test_invalid_nodes() -> None:
    """Everything under the name, whatever its class; by the name itself, too."""
    for user in (1, 2):
        for number in (1, 2):
            ask(PageNode(user=user, number=number))

    assert UserNode.objects.invalid(id=1) == 2
    assert UserNode.objects.invalid(id=1) == 0
    assert PageNode.objects.get(user=2, number=1) == 1
    everfresh.invalidate_tags(str(UserNode(id=2)))
    with pytest.raises(NotCached):
        PageNode.objects.get(user=2, number=1)
    assert names.invalidate_label(names.tag_label("page 1")) == 0
    ask(PageNode(user=2, number=1))
    assert names.invalidate_label(names.tag_label("page 1")) == 1


def test_invalid_at_commit(elsewhere: Elsewhere) -> None:
    """In a transaction it takes effect with it, or never."""
    ask(PageNode(user=1, number=1))
    with transaction.atomic():
        UserNode.objects.invalid(id=1)
        assert elsewhere(lambda: PageNode.objects.get(user=1, number=1)) == 1
        transaction.set_rollback(True)
    assert PageNode.objects.get(user=1, number=1) == 1
    with transaction.atomic():
        PageNode.objects.invalid(user=1, number=1)
        assert elsewhere(lambda: PageNode.objects.get(user=1, number=1)) == 1
    with pytest.raises(NotCached):
        PageNode.objects.get(user=1, number=1)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_invalid_of_another_database(elsewhere: Elsewhere) -> None:
    """With the transaction on the database that is named."""
    ask(PageNode(user=1, number=1))
    with transaction.atomic(using="other"):
        UserNode.objects.invalid("other", id=1)
        assert elsewhere(lambda: PageNode.objects.get(user=1, number=1)) == 1
    with pytest.raises(NotCached):
        PageNode.objects.get(user=1, number=1)


def test_awaited() -> None:
    """Each has a twin to await."""

    async def use() -> tuple[object, ...]:
        got = await PageNode.objects.aget(user=1, number=1)
        return got, await UserNode.objects.ainvalid(id=1), await PageNode.objects.ainvalid(user=1, number=1)

    ask(PageNode(user=1, number=1), lambda: "page")
    assert async_to_sync(use)() == ("page", 1, 0)


@pytest.mark.seeds("CE-F5")
def test_namespaces() -> None:
    """Projects with prefixes of their own do not meet, and none is made when the module is imported."""
    ask(PageNode(user=1, number=1))
    with override_settings(EVERFRESH={"PREFIX": "another"}):
        with pytest.raises(NotCached):
            PageNode.objects.get(user=1, number=1)
        assert UserNode.objects.invalid(id=1) == 0
    assert PageNode.objects.get(user=1, number=1) == 1


def test_what_the_decorator_says() -> None:
    """It counts where the node says nothing."""

    class Timed(PageNode):
        class Meta:
            timeout = 9

    given = Computation(key="k", timeout=1, grace=2, tags=("t",))

    assert Timed(user=1, number=1).named(given).timeout == 9
    assert Timed(user=1, number=1).named(given).grace == 2
    assert PageNode(user=1, number=1).named(given).timeout == 1
    assert PageNode(user=1, number=1).named(given).tags == ("t", "user:1", "pages", "page 1")


# Tags


@pytest.mark.seeds("CE-4")
def test_tags_in_lists() -> None:
    """One, several, nested ones; each once, and nothing for None."""
    assert flat_tags("a", by="who") == (("a",), ())
    assert flat_tags(None, by="who") == ((), ())
    assert flat_tags(["a", ("b", ["a", None]), UserNode(id=1), frozenset({"c"})], by="who") == (
        ("a", "b", "user:1", "c"),
        (),
    )
    with pytest.raises(TypeError, match="who gave 1, where a tag is a string or an invalid node"):
        flat_tags(["a", 1], by="who")
