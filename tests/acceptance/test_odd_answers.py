"""Answers and events that no ComfyUI gives; `python -m tests.fuzz answers` makes thousands of them."""

from __future__ import annotations

import pytest

from tests.fuzz.answer_fleet import answer_fleet
from tests.fuzz.answers import AnswerFuzz

pytestmark = pytest.mark.release

CASES = 200


def test_whatever_a_node_says_every_job_ends_well_on_another_and_the_fleet_stays_well(
    stack, fleet, tmp_path
):
    with answer_fleet(fleet, stack.settings_env, tmp_path, odd=2) as nodes:
        report = AnswerFuzz(fleet, nodes).run(cases=CASES, seed=1)
    assert not report.broken, "\n".join(report.broken)
    assert report.cases >= CASES
    assert (report.workers_dead, report.nodes_blocked, report.jobs_without_end) == (0, 0, 0)
    assert report.times_set_aside  # the odd answers were heard
    assert len(report.endpoints) > 20
