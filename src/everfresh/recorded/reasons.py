"""Why a computation has nothing to do with the cache here and now, and why what it gave is not stored."""

from __future__ import annotations

import logging

from django.db import connections

from everfresh.bounded import Bounded
from everfresh.conf import settings
from everfresh.journal import journal_of
from everfresh.recorded.computations import Computation
from everfresh.recording import Dependencies, Recording
from everfresh.switches import is_disabled

__all__ = ["reason_not_to_store", "reason_to_bypass"]

logger = logging.getLogger("everfresh")

_MOST_NAMES = 10_000
"""Tags of one entry; with more it is not stored."""

_warned: Bounded[str, bool] = Bounded(1_024)
"""What was warned of: once is enough."""


def reason_to_bypass() -> str:
    """Why a computation is nobody else's here and now; empty when it is not."""
    if not settings().enabled or is_disabled():
        return "the cache is switched off"
    for connection in connections.all(initialized_only=True):
        if journal_of(connection).answers_are_private:
            return "a transaction has written, or reads a snapshot"
    return ""


def reason_not_to_store(recorded: Recording, computation: Computation) -> str:
    """Why what *computation* gave, and *recorded*, is not to be stored; empty when it is."""
    if recorded.timeout == 0:
        return "its timeout is 0, or that of something it read"
    if recorded.refused:
        return recorded.refused
    if recorded.untracked:
        label = computation.label or computation.key
        if not _warned.get(label):
            _warned[label] = True
            logger.warning(
                "%s is not cached: nobody can tell which writes would change what it read by %s. "
                "Declare the tables with depends_on.",
                label,
                recorded.untracked[0],
            )
        return f"it is untracked: {recorded.untracked[0]}"
    if recorded.moved:
        return "what it read changed while it was computed"
    if len(recorded.versions) > _MOST_NAMES:
        return f"it depends on {len(recorded.versions)} tags, more than the limit of {_MOST_NAMES}"
    if reason := reason_to_bypass():
        return reason
    dependencies = Dependencies.of(recorded.clauses)
    if dependencies.stale([recorded.versions[name] is None for name in dependencies.names]):
        return "a writer is about to commit"
    return ""
