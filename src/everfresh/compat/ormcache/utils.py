"""Keys (OC-3)."""

from __future__ import annotations

from django.db import router
from django.db.models import Model

from everfresh.queries.families import family_of

__all__ = ["get_cache_key_for_pk"]


def get_cache_key_for_pk(model: type[Model], pk: object) -> str:
    """The key of the one entry that holds the row of *model* with this primary key."""
    return family_of(model, router.db_for_read(model)).wanted(pk, None).key
