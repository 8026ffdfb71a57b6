"""Namespaces of keys: one change makes all keys of a namespace others (CM-H4)."""

from __future__ import annotations

from secrets import token_hex

from django.core.cache import caches

from everfresh.conf import settings

__all__ = ["ns_flush", "ns_key"]


def ns_key(namespace: str, key: str) -> str:
    """*key* in the namespace as it is now."""
    name = f"__namespace_{namespace}__"
    # A random prefix, so that one that was evicted does not come back with the keys of before.
    prefix = caches[settings().cache].get_or_set(name, lambda: token_hex(8), None)
    return f"{prefix}:{key}"


def ns_flush(namespace: str) -> None:
    """Make all keys of the namespace others."""
    caches[settings().cache].delete(f"__namespace_{namespace}__")
