"""The nodes of cacheme, with its messages, its prefix, and ``stale`` where Everfresh has ``grace``."""

from __future__ import annotations

from dataclasses import replace

from everfresh import nodes
from everfresh.compat.cacheme.conf import CACHEME
from everfresh.exceptions import NotCached
from everfresh.nodes import Field
from everfresh.nodes.declared import Declared
from everfresh.recorded import Computation

__all__ = ["Field", "InvalidNode", "ModelInvalidNode", "Node"]


class _Required(Declared):
    def _lacks(self, name: str) -> TypeError:
        return TypeError(f"{name} is required for {type(self).__name__}")

    class Meta:
        abstract = True


class Node(_Required, nodes.Node):
    """The name of a result; its ``str()`` has the prefix (CE-17).

    Its Meta takes ``stale`` and ``timeout``.
    """

    _known_options = nodes.Node._known_options | {"stale"}

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{CACHEME.REDIS_CACHE_PREFIX}{super().__str__()}"

    def named(self, computation: Computation | None = None) -> Computation:
        """See `everfresh.nodes.Node.named`."""
        computation = super().named(computation)
        if "stale" in self._options:
            computation = replace(computation, grace=CACHEME.grace(self._options["stale"]))
        return computation

    def _not_cached(self) -> NotCached:
        return NotCached(f"Node {self} does not exist")


class InvalidNode(_Required, nodes.InvalidNode):
    """A name that results depend on (CE-18)."""

    class Meta:
        abstract = True


class ModelInvalidNode(_Required, nodes.ModelInvalidNode):
    """Rows of a model that results depend on (CE-19, CE-20)."""

    class Meta:
        abstract = True
