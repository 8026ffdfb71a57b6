"""Tags as projects write them, that take from their context in ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.template import Context, Library

__all__ = ["register"]

register = Library()

runs: list[str] = []
"""What was really rendered."""

during: list[Callable[[], object]] = []
"""What is to happen in the middle of a rendering, once each."""


@register.simple_tag
def run(name: str = "") -> str:
    """Notes that it was rendered."""
    runs.append(name)
    if during:
        during.pop()()
    return ""


@register.simple_tag(takes_context=True)
def fetch(context: Context, name: str) -> Any:
    """Looks a name up by itself."""
    return context.get(name, "")


@register.simple_tag(takes_context=True)
def has(context: Context, name: str) -> bool:
    """Asks whether there is such a name."""
    return name in context


@register.simple_tag(takes_context=True)
def visitor(context: Context) -> Any:
    """Takes the request as the context has it."""
    return context.request.META["REMOTE_ADDR"]


@register.simple_tag(takes_context=True)
def everything(context: Context) -> str:
    """Wants all names."""
    return str(sorted(context.flatten()))


@register.inclusion_tag("card")
def card(title: Any) -> dict[str, Any]:
    """A template of its own, with a context of its own."""
    return {"title": title}


@register.simple_tag
def fail() -> None:
    """Raises."""
    raise LookupError
