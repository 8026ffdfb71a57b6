"""Signals for monitoring and tests."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["stale_answer"]

stale_answer = Signal()
"""A hit was computed again (``VERIFY``) and differs. ``event``: an `everfresh.events.Verified`."""
