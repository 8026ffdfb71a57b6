"""The names of cacheme 0.1 and of django-cacheme 0.1: ``from everfresh.compat.cacheme import cacheme, nodes``.

What is different, and why, is in the manual: migrating from cacheme.
"""

from __future__ import annotations

from everfresh.compat.cacheme import nodes
from everfresh.compat.cacheme.cache_model import CacheMe, cacheme
from everfresh.compat.cacheme.conf import CACHEME
from everfresh.compat.cacheme.nodes import Field, InvalidNode, ModelInvalidNode, Node

__all__ = ["CACHEME", "CacheMe", "Field", "InvalidNode", "ModelInvalidNode", "Node", "cacheme", "nodes"]
