"""Nodes: classes that say how results are named, and what drops them.

A `Node` names one result: its key, how long it lives, what it depends on. An `InvalidNode` names something that results
depend on; whoever changes that says so by the same name. A `ModelInvalidNode` stands for rows of a model, and nobody
has to say anything.
"""

from __future__ import annotations

from everfresh.nodes.declared import Field
from everfresh.nodes.invalid import InvalidNode, InvalidNodeManager, ModelInvalidNode, flat_tags
from everfresh.nodes.named import Node, NodeManager, node_classes

__all__ = [
    "Field",
    "InvalidNode",
    "InvalidNodeManager",
    "ModelInvalidNode",
    "Node",
    "NodeManager",
    "flat_tags",
    "node_classes",
]
