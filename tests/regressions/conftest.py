"""The second pair of eyes on rows is that of the tests of transactions."""

from tests.transactions.conftest import elsewhere

__all__ = ["elsewhere"]
