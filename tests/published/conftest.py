"""Other connections."""

from __future__ import annotations

from tests.transactions.conftest import elsewhere

__all__ = ["elsewhere"]
