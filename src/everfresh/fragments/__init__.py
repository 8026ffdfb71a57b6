"""Fragments of templates: what a part of a template renders to, kept for as long as nothing changes that it shows."""

from __future__ import annotations

from everfresh.fragments.rendering import (
    MISSING,
    TEXT,
    Fragment,
    Note,
    Surroundings,
    Wanted,
    invalidate_fragment,
    lifetime,
    render,
    texts,
)

__all__ = [
    "MISSING",
    "TEXT",
    "Fragment",
    "Note",
    "Surroundings",
    "Wanted",
    "invalidate_fragment",
    "lifetime",
    "render",
    "texts",
]
