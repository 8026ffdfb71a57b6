"""The stored formats: an entry, the rows in it, a value in it.

*Entry*: the versions of the entry's tags, then a body. *Rows*: tuples of raw database values. *Value*: any other
answer, such as a count or the dict of an aggregate.

Two rules. What comes back is what went in: the same values of the same types at every depth, and a value for which
that is not certain is refused with `~everfresh.exceptions.Unencodable`. And reading never raises: whatever the bytes
are, the answer is a miss. What functions return may be anything, and is pickled where it is no value; what Django's
secret did not sign is never unpickled.
"""

from __future__ import annotations

from everfresh.codec.computed import Computed, pack_computed, unpack_computed
from everfresh.codec.entry import FORMAT, PENDING, head, matches, pack_entry, unpack_body, unpack_versions
from everfresh.codec.pickled import pack_any, unpack_any
from everfresh.codec.rows import decode_rows, encode_rows
from everfresh.codec.values import MAX_DEPTH, MISS, Miss, decode_value, encode_value

__all__ = [
    "FORMAT",
    "MAX_DEPTH",
    "MISS",
    "PENDING",
    "Computed",
    "Miss",
    "decode_rows",
    "decode_value",
    "encode_rows",
    "encode_value",
    "head",
    "matches",
    "pack_any",
    "pack_computed",
    "pack_entry",
    "unpack_any",
    "unpack_body",
    "unpack_computed",
    "unpack_versions",
]
