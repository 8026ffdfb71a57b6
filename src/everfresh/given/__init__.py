"""What comes into a computation from outside: how it is named in keys, and whether it is what the database holds.

A function is given instances that were read before anybody recorded. They may be older than the rows are now, or
changed in memory. So when something is computed to be stored, their rows are read again inside the recording: where
they are equal, the result is that of the rows, and depends on them. Where they are not, it is the caller's alone.
"""

from __future__ import annotations

from everfresh.given.names import canonical, settled
from everfresh.given.rows import as_given, note_given

__all__ = ["as_given", "canonical", "note_given", "settled"]
