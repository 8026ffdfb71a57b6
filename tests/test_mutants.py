"""The mutation prover's edits still fit the code."""

from __future__ import annotations

import pytest

from provers.mutation.__main__ import ROOT
from provers.mutation.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_edit_fits_one_place(mutant: Mutant) -> None:
    """Each rule is broken by an edit of exactly one place: an edit that fits none would prove nothing."""
    assert (ROOT / "src" / "everfresh" / mutant.file).read_text().count(mutant.old) == 1
