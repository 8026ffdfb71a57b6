"""cachebot's signal. There are no models: nothing has to be remembered in a table."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.dispatch import Signal, receiver

from everfresh import invalidate
from everfresh.exceptions import EverfreshError

__all__ = ["CacheBotException", "post_update"]

CacheBotException = EverfreshError

post_update = Signal()
"""``sender``: a model, ``queryset``: what was updated, ``rows``: how many, where Everfresh saw it itself (CB-11)."""


@receiver(post_update, dispatch_uid="everfresh.compat.cachebot")
def invalidate_rows(queryset: QuerySet[Any], rows: int | None = None, **_: Any) -> None:
    """Somebody else says that the rows of *queryset* were updated, by a way of their own."""
    if rows is None:
        invalidate(queryset)


def __getattr__(name: str) -> Any:
    if name == "CacheBotSignals":
        raise ImportError(
            "Everfresh has no CacheBotSignals: which writes make an answer stale follows from its query, so no table "
            "of used paths has to be kept. Remove the import, and drop the table cachebot_cachebotsignals."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
