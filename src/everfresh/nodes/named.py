"""Results by their names: what a computed value is called, how long it lives, and what it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from asgiref.sync import sync_to_async

from everfresh.conf import seconds
from everfresh.exceptions import NotCached
from everfresh.keys import digest, encode
from everfresh.names import invalidate_label, invalidate_name
from everfresh.naming import entry_key
from everfresh.nodes.declared import Declared
from everfresh.nodes.invalid import flat_tags
from everfresh.recorded import Computation, count_current, look_recorded, member
from everfresh.recording import note_untracked

__all__ = ["Node", "NodeManager", "node_classes"]

_classes: dict[str, type[Node]] = {}


class NodeManager:
    """What can be done with the nodes of one class: its ``objects``."""

    def __init__(self, node: type[Node]) -> None:
        self.node = node

    def get(self, **fields: Any) -> Any:
        """The value of the node with these fields, where it is stored and current.

        Raises:
            NotCached: where it is not.
            TypeError: for fields that the node does not have, and without those that it needs.
        """
        node = self.node(**fields)
        [answer] = look_recorded([node.named()])
        if answer is None:
            # Whoever records this depends on what happens to be stored, which nothing tells of.
            note_untracked(lambda: f"a look at what is stored of {node!r}")
            raise node._not_cached()
        return answer.value

    def invalid(self, using: str | None = None, /, **fields: Any) -> int:
        """Invalidate the node with these fields, or all of the class; returns how many were current until now.

        Inside a transaction on the database *using* (left out: the default one) it takes effect at its COMMIT, else at
        once.

        Raises:
            StoreUnreachable: when the store does not answer.
            TypeError: for fields that the node does not have, and without those that it needs.
        """
        if not fields:
            return invalidate_label(_label(self.node), using=using)
        computation = self.node(**fields).named()
        key, _, _ = member(computation).partition(" ")
        count = count_current([key])
        invalidate_name(computation.name, using=using)
        return count

    async def aget(self, **fields: Any) -> Any:
        """See `get`."""
        return await sync_to_async(self.get)(**fields)

    async def ainvalid(self, using: str | None = None, /, **fields: Any) -> int:
        """See `invalid`."""
        return await sync_to_async(self.invalid)(using, **fields)


class _Objects:
    def __get__(self, instance: object, owner: type[Node]) -> NodeManager:
        return NodeManager(owner)


class Node(Declared):
    """The name of a computed value, made of fields.

    Its ``Meta`` takes ``timeout`` and ``grace``, in seconds or as timedeltas, which go before those of the decorator.

    Source: cacheme's ``Node`` (CE-17).
    """

    _known_options = frozenset({"abstract", "grace", "timeout"})

    objects: ClassVar[_Objects] = _Objects()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        times = {"grace", "timeout"}
        cls._options = {name: seconds(value) if name in times else value for name, value in cls._options.items()}
        if not cls._options["abstract"]:
            _classes[_label(cls)] = cls

    def invalid_nodes(self) -> Any:
        """What the value depends on besides what is read to compute it.

        A string, an invalid node, ``None``, or a list of such things, as deep as you like.
        """
        return None

    def hit(self, key: str, result: Any) -> object:
        """It comes from the cache."""

    def miss(self, key: str) -> object:
        """It is about to be computed."""

    def named(self, computation: Computation | None = None) -> Computation:
        """*computation*, or one of which nothing else is said, under the name of this node."""
        label, name = _label(type(self)), str(self)
        tags, also = flat_tags(self.invalid_nodes(), by=f"invalid_nodes() of {type(self).__name__}")
        given = computation or Computation(key="")
        return replace(
            given,
            key=entry_key("f", digest(encode(("node", label, name)))),
            label=label,
            name=name,
            timeout=self._options.get("timeout", given.timeout),
            grace=self._options.get("grace", given.grace),
            tags=(*given.tags, *tags),
            also=(*given.also, *also),
        )

    def _not_cached(self) -> NotCached:
        return NotCached(f"No current result of {_label(type(self))} is stored under {str(self)!r}.")


def node_classes() -> Mapping[str, type[Node]]:
    """The classes of nodes that are defined in this process, by their labels: ``app.module.Class``."""
    return MappingProxyType(_classes)


def _label(node: type[Node]) -> str:
    return f"{node.__module__}.{node.__qualname__}"
