"""The read path: every cached answer of the database is read and filled here and nowhere else.

look at the entry and its tags -> not stale: a hit
else take the versions -> compute -> store under the versions that were taken *before*

`read` does so with one entry, `Moment` with several that are to hold at one and the same moment.
"""

from __future__ import annotations

from everfresh.reading.entries import Answer, Body, Wanted, renewed
from everfresh.reading.many import Moment, Moved
from everfresh.reading.one import drop, read

__all__ = ["Answer", "Body", "Moment", "Moved", "Wanted", "drop", "read", "renewed"]
