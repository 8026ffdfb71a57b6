"""Database aliases: which of them are one database, which may lag behind, and which see it in a way of their own."""

from __future__ import annotations

import os
from functools import cache, lru_cache

from django.db import DEFAULT_DB_ALIAS, connections

from everfresh.exceptions import Unencodable
from everfresh.keys import encode

__all__ = ["logical_database", "may_lag", "point_of_view"]


def _names(alias: str) -> tuple[str, str]:
    given = connections[alias].settings_dict
    return given["ENGINE"], str(given["NAME"])


def _first_of_its_name(alias: str) -> str:
    # "default" is the one that is written, wherever in DATABASES it stands.
    aliases = sorted(connections, key=lambda other: other != DEFAULT_DB_ALIAS)
    return next(other for other in aliases if _names(other) == _names(alias))


@lru_cache(maxsize=1024)
def _logical(alias: str, name: str, process: int) -> str:
    first = _first_of_its_name(alias)
    in_memory = connections[alias].vendor == "sqlite" and (name == ":memory:" or "mode=memory" in name)
    return f"{first}:{name}@{process}" if in_memory else f"{first}:{name}"


def logical_database(alias: str) -> str:
    """The name that all aliases of one database share in this project's tags and keys.

    It holds the database's own name, so that test databases and their parallel clones are kept apart, and for
    a database in this process's memory the process. It holds no host: a pooler, a socket and a replica are other
    roads to the same rows. Databases of one name on several servers share their tags, which only costs precision.
    """
    if alias not in connections.settings:
        # A connection of Django's own making, as the one that creates test databases.
        return alias
    return _logical(alias, str(connections[alias].settings_dict["NAME"]), os.getpid())


def may_lag(alias: str) -> bool:
    """May *alias* lead to a replica, whose rows are older than the tags?

    It may when another alias, named earlier, leads to a database of the same name on another server, or when
    the settings declare it a mirror.
    """
    return _may_lag(alias, str(connections[alias].settings_dict["NAME"]))


@lru_cache(maxsize=1024)
def _may_lag(alias: str, _name: str) -> bool:
    given = connections[alias].settings_dict
    first = connections[_first_of_its_name(alias)].settings_dict
    return bool(given["TEST"].get("MIRROR")) or any(given[part] != first[part] for part in ("HOST", "PORT"))


@cache
def point_of_view(alias: str) -> bytes:
    """What, besides the logical database, decides what a query through *alias* finds: part of keys, not of tags.

    A user with row security, a search path among the options, a time zone: two aliases of one database may see
    other rows in it, or read other values from them.
    """
    given = connections[alias].settings_dict
    try:
        return encode((given.get("USER"), given.get("TIME_ZONE"), given.get("OPTIONS")))
    except Unencodable:
        return encode(alias)
