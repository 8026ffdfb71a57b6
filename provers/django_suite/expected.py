"""Tests that check something a cache must change. They may fail with Everfresh; each says why."""

from __future__ import annotations

__all__ = ["EXPECTED"]

EXPECTED: dict[str, str] = {}
"""Reasons by test id."""
