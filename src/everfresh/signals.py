"""Signals for monitoring and tests."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["rows_missing", "rows_writing", "rows_written", "stale_answer"]

stale_answer = Signal()
"""A hit was computed again (``VERIFY``) and differs. ``event``: an `everfresh.events.Verified`."""

rows_missing = Signal()
"""A cached list points to rows that are gone. The sender is their model; ``keys``: their primary keys.

Sent when the list is read, before what ``on_missing`` says is done.
"""

rows_writing = Signal()
"""A transaction is about to be committed. Receivers return the names of tags to invalidate with it, as a list.

``using`` and ``tables``: as of `rows_written`. They can read what the transaction has written, on that connection; of
a statement that is its own transaction the rows are never known, and it runs after them. Errors are logged.
"""

rows_written = Signal()
"""A transaction was committed, and everything that it changed is invalid now.

``using``: the database alias. ``tables``: by table name the primary keys of the rows that were written, or ``None``
where they are not known. Sent after COMMIT, before the ``on_commit`` hooks; errors of receivers are logged.
"""
