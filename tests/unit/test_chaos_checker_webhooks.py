"""The checker of the chaos ring judges what receivers of webhooks got, and what the HTTP API answered."""

from __future__ import annotations

import copy
import json

import pytest

from tests.chaos.checker.history import History
from tests.chaos.checker.verdict import check
from tests.unit.chaos_evidence import BATCH, ROW, SINGLE, STRANGER, good, lead

HOOK = "shop:h"


def got(kind, about, type_, at="1970-01-01T00:00:02+00:00", **data):
    """Return a message that was received, verified and taken."""
    data = {"id": about, "owner": "shop", "links": {}, **data}
    message = {"type": type_, "timestamp": at, "data": data}
    return {"hook": HOOK, "id": f"{kind}_{about}_2000", "message": message, "answer": 204}


def told() -> dict:
    """Return evidence in which the ends of a single job and of a batch were told, and taken; the job came by HTTP."""
    evidence = good()
    evidence["client"] = [said for said in evidence["client"] if said["do"] != "tell"]
    evidence["client"][0] |= {"by": "http", "status": 201}
    evidence["redis"]["outbox"] = {}
    evidence["redis"]["batches"][BATCH]["told_ms"] = "3"
    events = ["job.succeeded", "job.failed", "job.cancelled", "job.expired", "batch.finished"]
    evidence["redis"]["webhooks"] = {HOOK: json.dumps({"name": "h", "events": events})}
    evidence["redis"]["deliveries"] = {
        HOOK: {
            f"{kind}_{about}_2000": {"subject": f"{kind}:{about}", "state": "delivered"}
            for kind, about in (("job", SINGLE), ("batch", BATCH))
        }
    }
    failed = {"status": "failed", "cause": "execution_error", "artifacts": 0}
    evidence["received"] = [
        got("job", SINGLE, "job.failed", **failed),
        got("batch", BATCH, "batch.finished", status="finished"),
    ]
    return evidence


def invariants(evidence) -> set[str]:
    return {violation.invariant for violation in check(History(**copy.deepcopy(evidence)))}


def first(evidence) -> dict:
    return evidence["received"][0]


def delivery(evidence) -> dict:
    return evidence["redis"]["deliveries"][HOOK][f"job_{SINGLE}_2000"]


def refuse(evidence):
    """Let the receiver have refused what it was told of the job, each time."""
    first(evidence).update(answer=500)
    delivery(evidence).update(state="waiting")


def step(type_, about, at, **data):
    """Return a message about what happened before an end, under an id of its own."""
    found = got(type_.partition(".")[0], about, type_, at, **data)
    return {**found, "id": f"{type_}_{about}_{data.get('progress', at)}"}


def told_of_steps() -> dict:
    """Return evidence in which a start, a seal and two tenths were told besides."""
    evidence = told()
    known = json.loads(evidence["redis"]["webhooks"][HOOK])
    known["events"] += ["job.started", "batch.sealed", "batch.progress"]
    evidence["redis"]["webhooks"][HOOK] = json.dumps(known)
    evidence["redis"]["batches"][BATCH]["sealed_ms"] = "1000"
    evidence["received"] += [
        step("job.started", SINGLE, "1970-01-01T00:00:01.100000+00:00", status="running"),
        step("batch.sealed", BATCH, "1970-01-01T00:00:01+00:00", status="sealed"),
        step("batch.progress", BATCH, "1970-01-01T00:00:01.500000+00:00", progress=0.1),
        step("batch.progress", BATCH, "1970-01-01T00:00:01.600000+00:00", progress=0.5),
    ]
    return evidence


STEPS_BROKEN = {
    "a start was not told": lambda e: e["received"].pop(2),
    "a start was refused": lambda e: e["received"][2].update(answer=500),
    "a start was told twice": lambda e: e["received"].append({**e["received"][2], "id": "x"}),
    "a start was told of another time": lambda e: e["received"][2]["message"].update(
        timestamp="1970-01-01T00:00:01+00:00"
    ),
    "a start was told of a job that nobody asked for": lambda e: e["received"].append(
        step("job.started", ROW, "1970-01-01T00:00:01.100000+00:00")
    ),
    "a seal was not told": lambda e: e["received"].pop(3),
    "a seal was told to another webhook": lambda e: e["received"][3].update(hook="studio:h"),
    "a tenth was told twice": lambda e: e["received"].append({**e["received"][5], "id": "x"}),
    "the last tenth was told, which is the end": lambda e: e["received"][5]["message"][
        "data"
    ].update(progress=1.0),
    "a tenth was told of no batch": lambda e: e["received"].append(
        step("batch.progress", STRANGER, "1970-01-01T00:00:01+00:00", progress=0.1)
    ),
}


BROKEN = {
    "an end was not told": ("I27", lambda e: e["received"].pop(0)),
    "the end of a batch was not told": ("I27", lambda e: e["received"].pop()),
    "an end was refused, and is left": (
        "I27",
        lambda e: (refuse(e), e["redis"]["deliveries"][HOOK].clear()),
    ),
    "an end still waits to be told": ("I27", refuse),
    "an end counts as told that was refused": ("I27", lambda e: first(e).update(answer=500)),
    "an end was told to another webhook only": (
        "I27",
        lambda e: first(e).update(hook="studio:h"),
    ),
    "an end was told to another webhook, too": (
        "I27",
        lambda e: e["received"].append({**first(e), "hook": "studio:h"}),
    ),
    "an end was told under two ids": (
        "I27",
        lambda e: e["received"].append({**first(e), "id": "job_2"}),
    ),
    "two ends were told under one id": (
        "I27",
        lambda e: e["received"][1].update(id=first(e)["id"]),
    ),
    "two ends of one job were told": (
        "I27",
        lambda e: e["received"].append(
            got("job", SINGLE, "job.failed", "1970-01-01T00:00:03+00:00", status="failed")
        ),
    ),
    "a message does not verify": (
        "I27",
        lambda e: e["received"].append({"hook": HOOK, "id": "x", "answer": 401, "why": "no"}),
    ),
    "another end was told": (
        "I27",
        lambda e: first(e)["message"].update(type="job.cancelled"),
    ),
    "another status was told": (
        "I27",
        lambda e: first(e)["message"]["data"].update(status="succeeded"),
    ),
    "another cause was told": (
        "I27",
        lambda e: first(e)["message"]["data"].update(cause="poison"),
    ),
    "another time was told": (
        "I27",
        lambda e: first(e)["message"].update(timestamp="1970-01-01T00:00:01+00:00"),
    ),
    "another owner was told": (
        "I27",
        lambda e: first(e)["message"]["data"].update(owner="studio"),
    ),
    "told was of a job that has not ended": (
        "I27",
        lambda e: lead(e).update(status="running"),
    ),
    "told was of a job of which nobody asked to hear": (
        "I27",
        lambda e: e["received"].append(got("job", ROW, "job.failed", status="failed")),
    ),
    "told was of no job": (
        "I27",
        lambda e: e["received"].append(got("job", STRANGER, "job.failed", status="failed")),
    ),
    "told was an end that is still to be told": (
        "I24",
        lambda e: e["redis"]["outbox"].update({f"job:{SINGLE}": 3.0}),
    ),
    "a record says that it is told, but no sender took it": (
        "I24",
        lambda e: (e["received"].pop(0), e["redis"]["deliveries"][HOOK].clear()),
    ),
    "one request was answered twice as new": (
        "I14",
        lambda e: e["client"].append(e["client"][0]),
    ),
    "one key was answered with two jobs": (
        "I14",
        lambda e: e["client"].append({**e["client"][0], "job": ROW, "status": 200}),
    ),
    "a key was answered with another owner's job": (
        "I14",
        lambda e: e["client"].append({**e["client"][0], "owner": "studio", "status": 200}),
    ),
}


def test_all_is_well_where_each_end_was_taken():
    assert invariants(told()) == set()


def test_a_message_may_come_twice_and_be_refused_at_first():
    evidence = told()
    evidence["received"].insert(0, {**copy.deepcopy(first(evidence)), "answer": 500})
    evidence["client"].append({**evidence["client"][0], "status": 200})
    assert invariants(evidence) == set()


def test_what_the_ladder_gave_up_or_a_disabled_webhook_missed_is_excused():
    for state in ("failed", "dropped"):
        evidence = told()
        first(evidence).update(answer=500)
        delivery(evidence).update(state=state)
        assert invariants(evidence) == set()


def test_a_webhook_is_told_of_its_own_events_only():
    evidence = told()
    evidence["redis"]["webhooks"][HOOK] = json.dumps({"events": ["batch.finished"]})
    assert "I27" in invariants(evidence)
    del evidence["received"][0]
    del evidence["redis"]["deliveries"][HOOK][f"job_{SINGLE}_2000"]
    assert "I27" not in invariants(evidence)


def test_a_batch_that_ended_anew_is_told_anew():
    evidence = told()
    evidence["fleet_events"] *= 2
    before = got("batch", BATCH, "batch.finished", "1970-01-01T00:00:01+00:00", status="finished")
    evidence["received"].append({**before, "id": "batch_1000"})
    assert invariants(evidence) == set()
    del evidence["received"][1]
    assert invariants(evidence) == {"I27"}


def test_two_owners_may_use_one_key():
    evidence = told()
    asked, record = copy.deepcopy(evidence["client"][0]), copy.deepcopy(lead(evidence))
    evidence["client"].append({**asked, "owner": "studio", "job": STRANGER})
    record["owner"] = "studio"
    evidence["redis"]["jobs"][STRANGER] = record
    assert "I14" not in invariants(evidence)


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_promise_is_named(name):
    invariant, break_ = BROKEN[name]
    evidence = told()
    break_(evidence)
    assert invariant in invariants(evidence)


def test_steps_before_the_end_may_be_told():
    assert invariants(told_of_steps()) == set()


@pytest.mark.parametrize("name", STEPS_BROKEN)
def test_each_broken_step_is_named(name):
    evidence = told_of_steps()
    STEPS_BROKEN[name](evidence)
    assert "I27" in invariants(evidence)
