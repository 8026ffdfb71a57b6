"""The rules of DESIGN sections 3 to 7, each broken on purpose."""

from __future__ import annotations

from provers.mutation.mutant import Mutant
from provers.mutation.rules import (
    awaited,
    clauses,
    direct,
    functions,
    keys,
    near,
    protocol,
    raw_sql,
    rows,
    stores,
    tags,
    transactions,
    writes,
)

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: list[Mutant] = [
    *protocol.MUTANTS,
    *stores.MUTANTS,
    *near.MUTANTS,
    *awaited.MUTANTS,
    *transactions.MUTANTS,
    *writes.MUTANTS,
    *raw_sql.MUTANTS,
    *tags.MUTANTS,
    *clauses.MUTANTS,
    *keys.MUTANTS,
    *rows.MUTANTS,
    *direct.MUTANTS,
    *functions.MUTANTS,
]
"""In the order of their running."""
