"""Every seeded bug still fits the product's text, so that a change there is noticed at once."""

from __future__ import annotations

import shutil

import pytest

from tests.chaos.fleet.options import TREE
from tests.chaos.mutants.mutation import apply
from tests.chaos.mutants.scenarios import SCENARIOS
from tests.chaos.mutants.trial import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_made(mutant, tmp_path):
    assert mutant.scenario in SCENARIOS
    for edit in mutant.edits:
        (tmp_path / edit.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TREE / edit.path, tmp_path / edit.path)
    apply(mutant, tmp_path)


def test_each_mutant_breaks_what_no_other_line_guards():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
    assert len({mutant.invariant for mutant in MUTANTS}) >= 10
