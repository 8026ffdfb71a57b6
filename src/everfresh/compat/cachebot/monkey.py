"""cachebot's ways for models declared afterwards. `install` changes nothing of this: it is the project's own choice."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.db import models
from django.db.models import QuerySet, base
from django.db.models.manager import BaseManager

from everfresh.compat.cachebot import queryset
from everfresh.compat.cachebot.managers import CacheBotManager

__all__ = ["patch_all", "patch_manager", "patch_queryset"]


def patch_manager() -> None:
    """Make ``CacheBotManager`` the manager of models declared from now on, named or not (CB-19)."""
    models.Manager = base.Manager = CacheBotManager  # type: ignore[attr-defined,misc]


def patch_queryset() -> None:
    """Give every queryset, and every manager, ``select_reverse()`` and ``post_update`` (CB-19)."""
    if hasattr(QuerySet, "select_reverse"):
        return
    QuerySet.select_reverse = queryset.select_reverse  # type: ignore[attr-defined]
    BaseManager.select_reverse = _on_queryset  # type: ignore[attr-defined]
    QuerySet.update = _telling(QuerySet.update)  # type: ignore[method-assign]


def patch_all(manager: bool = True, queryset: bool = True) -> None:
    """Both, or one (CB-19)."""
    if manager:
        patch_manager()
    if queryset:
        patch_queryset()


def _on_queryset(self: Any, *paths: str) -> Any:
    return self.get_queryset().select_reverse(*paths)


def _telling(original: Any) -> Any:
    @wraps(original)
    def update(self: Any, **kwargs: Any) -> int:
        return queryset.update(self, original(self, **kwargs))

    return update
