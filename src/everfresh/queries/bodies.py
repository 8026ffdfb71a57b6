"""How rows and single values become bytes and come back."""

from __future__ import annotations

from typing import Any

from everfresh import codec
from everfresh.conf import settings
from everfresh.exceptions import Unencodable
from everfresh.queries.replay import Rows
from everfresh.reading import Body

__all__ = ["ROWS", "VALUE"]


def _encode_rows(rows: Rows) -> bytes:
    if len(rows) > settings().limits.rows:
        raise Unencodable(f"{len(rows)} rows, more than the limit of {settings().limits.rows},")
    return codec.encode_rows(rows)


def _same_rows(cached: Rows, computed: Rows) -> bool:
    # In any order: the database may choose one, within what ORDER BY leaves open.
    return cached == computed or sorted(map(repr, cached)) == sorted(map(repr, computed))


ROWS: Body[Rows] = Body(_encode_rows, codec.decode_rows, _same_rows)
VALUE: Body[Any] = Body(codec.encode_value, codec.decode_value)
