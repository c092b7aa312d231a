"""Every request of a job's life cut before and after, every crash point killed: nothing is lost."""

from __future__ import annotations

import json

import pytest

from tests.chaos.enumeration.crashes import enumerate_all


@pytest.mark.timeout(1200)
def test_no_single_fault_harms_a_job(tmp_path):
    """Every site is struck, each job ends as it must, and every invariant holds."""
    found = enumerate_all(tmp_path)
    assert found["green"] == found["cases"] > 0, json.dumps(found["red"], indent=1)
    assert not found["not_struck"]
