"""Which requests and prompts a rule strikes, when and how often, and which rules are refused."""

from __future__ import annotations

import pytest

from infra.standin.faults import FaultRule, InvalidRule
from tests.contract.graphs import picture


def test_a_rule_strikes_those_it_fits_after_some_and_so_often(comfy, fault):
    fault("GET /history", "answer", status=500, after=1, count=2, about="prompt-7")

    statuses = [comfy.get(f"/history/prompt-{n}").status_code for n in (7, 8, 7, 7, 7)]

    assert statuses == [200, 200, 500, 500, 200]
    assert comfy.get("/api/queue").status_code == 200
    [rule] = comfy.get("/standin/faults").json()
    assert (rule["seen"], rule["fired"]) == (4, 2)


def test_a_cleared_rule_counts_in_the_journal_and_strikes_no_more(comfy, fault):
    number = fault("* /*", "answer", count=0)
    assert comfy.get("/api/queue").status_code == 503

    comfy.http.delete(f"{comfy.url}/standin/faults/{number}")

    assert comfy.get("/queue").status_code == 200
    assert comfy.get("/standin/journal").json()["counts"]["fault answer"] == 1
    fault("* /*", "answer", count=0)
    comfy.http.delete(f"{comfy.url}/standin/faults")
    assert comfy.get("/standin/faults").json() == []


def test_a_rule_is_in_force_from_a_time_for_a_time_and_again():
    rule = FaultRule(on="* /*", do="vanish", from_s=1, for_s=2, every_s=5)
    set_at = rule._set_at

    def at(seconds):
        rule._set_at = set_at - seconds
        return rule.is_in_force()

    assert [at(s) for s in (0, 1.5, 2.9, 3.5, 5.9, 6.5, 8.5)] == [0, 1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "GET /view", "do": "lose"},
        {"on": "nowhere", "do": "hang"},
        {"on": "run", "do": "explode"},
        {"on": "GET /view", "do": "truncate", "form": "torn"},
        {"on": "run", "do": "hang", "second": 1},
        {"do": "hang"},
        "hang",
    ],
)
def test_a_rule_that_cannot_be_is_refused(comfy, rule):
    answer = comfy.post("/standin/faults", json=[rule])

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert comfy.get("/standin/faults").json() == []
    with pytest.raises(InvalidRule):
        FaultRule.read(rule)


def test_a_rule_may_be_about_one_job(comfy, fault):
    fault("run", "raise", about="job-2", count=0)

    entries = [comfy.run(picture(), extra_data={"job_id": f"job-{n}"}) for n in (1, 2, 3)]

    assert [entry["status"]["completed"] for entry in entries] == [True, False, True]
