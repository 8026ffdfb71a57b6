"""What stands in for a store that cannot be opened: a wrong setting makes requests slower and never fails them."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["MissingStore"]


class MissingStore:
    """A store of which every operation raises *error*: behind its guard, one that is down for good."""

    counts_marks = False
    holds = False
    renews = False

    def __init__(self, error: Exception) -> None:
        self.error = error

    def _fail(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise self.error

    read = read_many = begin_fill = fill = fill_many = renew = drop = release = mark = done = _fail
    enroll = enrolled = _fail
