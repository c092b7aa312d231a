"""The checker of the chaos ring recounts lists, owners, packed records, the outbox and results of batches."""

from __future__ import annotations

import copy
import json

import pytest

from tests.chaos.checker.history import History
from tests.chaos.checker.renders import extra_renders
from tests.chaos.checker.verdict import check
from tests.unit.chaos_evidence import (
    BATCH,
    RESULTS,
    ROW,
    SHA,
    SINGLE,
    STRANGER,
    end_rest,
    good,
    lead,
    line,
    make_again,
    results,
    succeed,
    tell,
)


def invariants(evidence) -> set[str]:
    return {violation.invariant for violation in check(History(**copy.deepcopy(evidence)))}


BROKEN = {
    "the same request counts as another one": (
        "I14",
        lambda e: e["client"].append({**e["client"][0], "answer": "key reused"}),
    ),
    "a single job stands in no list": ("I21", lambda e: e["redis"]["lists"]["shop"].clear()),
    "it stands in another owner's list": (
        "I21",
        lambda e: e["redis"]["lists"].update({"": [SINGLE], "shop": []}),
    ),
    "a row stands in its owner's list": (
        "I21",
        lambda e: e["redis"]["lists"]["shop"].append(ROW),
    ),
    "a list has a job that is gone": ("I21", lambda e: e["redis"]["lists"][""].append(STRANGER)),
    "its owner is not listed": ("I21", lambda e: e["redis"]["owners"].clear()),
    "an owner without jobs is listed": ("I21", lambda e: e["redis"]["owners"].append("nobody")),
    "a failed job is not listed as such": (
        "I21",
        lambda e: e["redis"]["ended"]["failed"].pop(ROW),
    ),
    "it is listed as cancelled": (
        "I21",
        lambda e: e["redis"]["ended"]["cancelled"].update({ROW: 2000.0}),
    ),
    "it is listed by another time": (
        "I21",
        lambda e: e["redis"]["ended"]["failed"].update({ROW: 2001.0}),
    ),
    "rows that ended with their batch are in no list": (
        "I21",
        lambda e: (end_rest(e), e["redis"]["ended_batches"]["cancelled"].clear()),
    ),
    "one that had been fed has no record": (
        "I1",
        lambda e: (end_rest(e), e["redis"]["batches"][BATCH].update(fed="2")),
    ),
    "a batch none of whose rows ended with it lacks one": (
        "I1",
        lambda e: (end_rest(e), e["redis"]["batches"][BATCH].pop("rest")),
    ),
    "they are listed by another end": (
        "I21",
        lambda e: (end_rest(e), e["redis"]["ended_batches"].update(expired={BATCH: 2000.0})),
    ),
    "they are listed by another time": (
        "I21",
        lambda e: (end_rest(e), e["redis"]["ended_batches"]["cancelled"].update({BATCH: 2001.0})),
    ),
    "a batch is listed none of whose rows ended with it": (
        "I21",
        lambda e: e["redis"]["ended_batches"]["cancelled"].update({BATCH: 2000.0}),
    ),
    "a batch that is gone is listed": (
        "I21",
        lambda e: e["redis"]["ended_batches"]["expired"].update({STRANGER: 2000.0}),
    ),
    "its batch counts rows twice that ended with it": (
        "I12",
        lambda e: (end_rest(e), e["redis"]["batches"][BATCH].update(cancelled="5")),
    ),
    "an owner counts a job that has ended": (
        "I22",
        lambda e: e["redis"]["owner"]["shop"].update(running="1"),
    ),
    "an owner does not count a row that waits": (
        "I22",
        lambda e: e["redis"]["batches"][BATCH].update(waiting="1"),
    ),
    "an owner is charged twice": (
        "I22",
        lambda e: e["redis"]["owner"]["shop"].update(gpu_ms="2100"),
    ),
    "an owner is charged with nothing": ("I22", lambda e: e["redis"]["owner"].clear()),
    "a row is packed and has a record": ("I23", lambda e: e["redis"]["twice"].append(ROW)),
    "a bucket is torn": ("I23", lambda e: e["redis"]["torn"].append("rows of a batch")),
    "a record is never packed": ("I23", lambda e: e["redis"]["unpacked"].update({SINGLE: 2000.0})),
    "rows are never packed": (
        "I23",
        lambda e: e["redis"]["unpacked_rows"].update({f"{BATCH}:0": 2000.0}),
    ),
    "a packed record has another owner": (
        "I23",
        lambda e: lead(e).update(owner="studio"),
    ),
    "it has lost its hook": ("I23", lambda e: lead(e).pop("hook")),
    "it has another tier": (
        "I23",
        lambda e: lead(e, ROW).update(spec='{"tier": "rush", "pool": "default"}'),
    ),
    "it waits by another priority than its tier's": (
        "I23",
        lambda e: lead(e).update(priority="9"),
    ),
    "it has ended at another time": ("I23", lambda e: lead(e, ROW).update(ended_ms="2001")),
    "it has ended elsewhere": ("I23", lambda e: lead(e, ROW).update(node="n2")),
    "it has ended for another reason": ("I23", lambda e: lead(e, ROW).update(cause="poison")),
    "it tells nothing of an attempt": (
        "I23",
        lambda e: (
            e["events"].insert(3, {**e["events"][2], "type": "requeued", "attempt": "2"}),
            lead(e).pop("attempt:1"),
        ),
    ),
    "its manifest says another template": ("I23", lambda e: succeed(e).update(template=SHA)),
    "its manifest says other times": (
        "I23",
        lambda e: succeed(e).update(created_at="1970-01-01T00:00:02Z"),
    ),
    "an end is told to nobody": ("I24", lambda e: lead(e).pop("told_ms")),
    "the end of a batch is told to nobody": ("I24", lambda e: e["redis"]["outbox"].clear()),
    "an end is told, and to be told again": (
        "I24",
        lambda e: e["redis"]["outbox"].update({f"job:{SINGLE}": 3.0}),
    ),
    "an end is told that nobody wants to hear": (
        "I24",
        lambda e: e["redis"]["outbox"].update({f"job:{ROW}": 3.0}),
    ),
    "an end of no job is to be told": (
        "I24",
        lambda e: e["redis"]["outbox"].update({f"job:{STRANGER}": 3.0}),
    ),
    "an end was told twice": ("I24", lambda e: tell(e, f"job:{SINGLE}", "done")),
    "nobody took an end that counts as told": (
        "I24",
        lambda e: (e["redis"]["outbox"].clear(), e["redis"]["batches"][BATCH].update(told_ms="3")),
    ),
    "a batch has lost its hook": ("I24", lambda e: e["redis"]["batches"][BATCH].pop("hook")),
    "the results of a batch were forgotten": ("I25", lambda e: e["objects"].pop(RESULTS)),
    "they are still to be written": (
        "I25",
        lambda e: (e["objects"].pop(RESULTS), e["redis"]["results"].update({BATCH: 2000.0})),
    ),
    "a row lacks in them": ("I25", lambda e: results(e).clear()),
    "they have a row twice": ("I25", lambda e: results(e).append(line(ROW, 1))),
    "they have a row that the batch has not": ("I25", lambda e: results(e).append(line(ROW, 2))),
    "they say another end": ("I25", lambda e: results(e)[0].update(status="cancelled")),
    "they say what was before a row was made again": (
        "I25",
        lambda e: (make_again(e), results(e)[0].update(id=ROW)),
    ),
    "an end is counted in no total": (
        "I26",
        lambda e: e["redis"]["totals"].pop("default ended failed execution_error"),
    ),
    "it is counted by another cause": (
        "I26",
        lambda e: e["redis"]["totals"].update(
            {"default ended failed poison": "1", "default ended failed execution_error": "1"}
        ),
    ),
    "an attempt is counted twice": (
        "I26",
        lambda e: e["redis"]["totals"].update({"default attempt execution_error free": "1"}),
    ),
    "what nodes rendered is counted in part": (
        "I26",
        lambda e: e["redis"]["totals"].update({"default rendered_ms": "1399"}),
    ),
    "they are to be written again": (
        "I25",
        lambda e: e["redis"]["batches"][BATCH].update(results_again="1@1"),
    ),
}


def test_a_good_history_has_no_violation():
    assert invariants(good()) == set()


def test_nor_has_one_with_a_row_that_was_made_again():
    evidence = good()
    make_again(evidence)
    assert invariants(evidence) == set()


def test_nor_has_one_with_rows_that_ended_with_their_batch():
    evidence = good()
    end_rest(evidence)
    assert invariants(evidence) == set()
    evidence["redis"]["batches"][BATCH].update(rest_rows="0", cancelled="0")
    assert "I21" not in invariants(evidence)


def test_nor_does_a_record_differ_from_its_own_manifest():
    evidence = good()
    succeed(evidence)
    assert "I23" not in invariants(evidence)


def test_results_of_a_batch_that_has_just_ended_may_be_on_their_way():
    evidence = good()
    evidence["objects"].clear()
    evidence["redis"] |= {"results": {BATCH: 2000.0}, "now_ms": 30_000}
    assert "I25" not in invariants(evidence)


def test_a_batch_that_ended_anew_may_be_told_anew():
    evidence = good()
    evidence["fleet_events"] *= 2
    for answer in ("taken", "done"):
        tell(evidence, f"batch:{BATCH}", answer)
        tell(evidence, f"batch:{BATCH}", answer)
    assert "I24" not in invariants(evidence)


def test_a_job_that_was_moved_may_be_in_another_tier():
    evidence = good()
    evidence["events"].insert(1, {**evidence["events"][0], "type": "moved"})
    lead(evidence).update(spec=json.dumps({"tier": "rush", "pool": "default", "key": "k"}))
    assert "I23" not in invariants(evidence)


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_promise_is_named(name):
    invariant, break_ = BROKEN[name]
    evidence = good()
    break_(evidence)
    assert invariant in invariants(evidence)


def test_a_job_that_was_lost_does_not_keep_the_others_from_being_judged():
    evidence = good()
    del evidence["redis"]["jobs"][SINGLE]
    history = History(**evidence)
    assert "I1" in {violation.invariant for violation in check(history)}
    assert extra_renders(history) == 0
