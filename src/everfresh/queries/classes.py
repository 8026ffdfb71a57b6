"""Names of classes that hold in every process."""

from __future__ import annotations

import sys
from typing import Any

from everfresh.exceptions import Unencodable
from everfresh.keys import encode

__all__ = ["class_path", "path_bytes"]

_encoded_paths: dict[type, bytes] = {}


def path_bytes(kind: type) -> bytes:
    """The `class_path`, encoded."""
    path = _encoded_paths.get(kind)
    if path is None:
        path = _encoded_paths[kind] = encode(class_path(kind))
    return path


_paths: dict[type, str] = {}


def class_path(kind: type) -> str:
    """``module.qualname`` of a class that this name leads back to.

    Raises:
        Unencodable: for classes made inside functions: two of one name may render different SQL.
    """
    path = _paths.get(kind)
    if path is None:
        path = _paths[kind] = _importable_path(kind)
    return path


def _importable_path(kind: type) -> str:
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind:
        raise Unencodable(f"the class {kind.__module__}.{kind.__qualname__}, which has no importable name")
    return f"{kind.__module__}.{kind.__qualname__}"
