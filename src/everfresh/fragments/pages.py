"""Django's paginators and pages, as things that a part of a template uses.

They hold rows that somebody may have read before, of a list that somebody has counted before. Both are asked for again
inside the part, so that what it shows depends on them.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from everfresh.given import as_given

__all__ = ["asked_again", "held_by", "named_as"]


def named_as(value: Any) -> Any:
    """What to name in place of *value*: of a page which one it is, of which list; of anything else itself."""
    if isinstance(value, Page):
        return "page", type(value), value.number, named_as(value.paginator)
    if isinstance(value, Paginator):
        return "paginator", type(value), value.per_page, value.orphans, value.object_list
    return value


def held_by(value: Any) -> Any:
    """What to look for rows in, in place of *value*."""
    return value.object_list if isinstance(value, Page | Paginator) else value


def asked_again(value: Any) -> Any:
    """*value* to render with: a page or a paginator of a queryset that has read and counted nothing yet."""
    if isinstance(value, Paginator) and isinstance(value.object_list, QuerySet):
        paginator: Paginator[Any] = copy(value)
        for known in ("count", "num_pages", "page_range"):
            vars(paginator).pop(known, None)
        paginator.object_list = as_given(value.object_list)
        return paginator
    if isinstance(value, Page) and isinstance(value.paginator.object_list, QuerySet):
        page = copy(value)
        paginator = page.paginator = asked_again(value.paginator)
        start = (page.number - 1) * paginator.per_page
        end = start + paginator.per_page
        is_last = end + paginator.orphans >= paginator.count
        page.object_list = paginator.object_list[start : paginator.count if is_last else end]
        return page
    return as_given(value)
