"""The error tree.

Errors that reach a user of the library::

    EverfreshError
     +- StaleAnswer              a hit was computed again and differs, though nothing was written since
     +- RowsMissing              a cached list points to rows that are gone, and the policy is "raise"
     +- NotCached                a result was asked for that is not stored, or not current (a LookupError)
     +- InvalidationNotSent      a write's tags could not be marked and the policy is "raise"
     +- StoreMisconfigured       the cache alias cannot hold Everfresh's entries
     +- StoreUnreachable         the store does not answer, and no other answer will do

Signals between the layers, never seen outside the library::

    Uncacheable                  this query has no coherent cached answer, and why
    Unencodable                  this value has no stable bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EverfreshError",
    "InvalidationNotSent",
    "NotCached",
    "RowsMissing",
    "StaleAnswer",
    "StoreMisconfigured",
    "StoreUnreachable",
    "Uncacheable",
    "Unencodable",
]


class EverfreshError(Exception):
    """Base of every error this library raises on purpose. Do not raise it directly."""


class InvalidationNotSent(EverfreshError):
    """The tags of a write could not be marked before its COMMIT, and ``ON_MARK_FAILURE`` is ``"raise"``."""


class NotCached(EverfreshError, LookupError):
    """A stored result was asked for, and nothing is stored, or it is not current any more."""


class StaleAnswer(EverfreshError):
    """A cached answer is not what the database gives now, and no write explains it. Please report it."""


class RowsMissing(EverfreshError):
    """A cached list points to rows that are gone, and ``on_missing`` of the model's rule is ``"raise"``.

    Attributes:
        model: the model of the rows.
        keys: their primary keys.
    """

    def __init__(self, model: type, keys: Sequence[object]) -> None:
        self.model = model
        self.keys = tuple(keys)
        some = ", ".join(map(repr, self.keys[:10]))
        super().__init__(f"{len(self.keys)} rows of {model.__name__} are gone from the database: {some}.")


class StoreMisconfigured(EverfreshError):
    """The cache alias named in the settings cannot serve as a store."""


class StoreUnreachable(EverfreshError):
    """The store was asked what only it knows, such as which results are stored, and does not answer."""


class Uncacheable(Exception):
    """A query whose answer must come from the database; the message is the reason in words."""

    @property
    def reason(self) -> str:
        """Why, as one short phrase that ``explain_cache()`` shows."""
        return str(self.args[0])


class Unencodable(Exception):
    """A value of a type that has no stable, unambiguous bytes."""
