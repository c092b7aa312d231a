"""The checker of the chaos ring judges copies that were asked for, and what persons want of nodes."""

from __future__ import annotations

import copy
import json

import pytest

from tests.chaos.checker.history import History
from tests.chaos.checker.verdict import check
from tests.unit.chaos_evidence import ROW, SHA, SINGLE, good, lead, succeed

COPY = f"copies/{SINGLE}-0.png"


def invariants(evidence) -> set[str]:
    return {violation.invariant for violation in check(History(**copy.deepcopy(evidence)))}


def copied() -> dict:
    """Return evidence of a job that succeeded, whose one copy was asked for and made."""
    evidence = good()
    succeed(evidence)
    evidence["client"][0]["deliver"] = "s3://comfyfleet/copies/{job}-{n}{ext}"
    evidence["objects"][COPY] = {"sha256": SHA, "bytes": 1, "metadata": {}}
    lead(evidence)["deliver"] = json.dumps({"to": "s3://comfyfleet/copies/{job}-{n}{ext}"})
    evidence["redis"]["copies"] = {}
    say(evidence, state="done")
    return evidence


def say(evidence, **said):
    """Let the record say this of the copy."""
    lead(evidence)["copies"] = json.dumps([{"n": 0, "bucket": "comfyfleet", "key": COPY, **said}])


def fail(evidence, **said):
    del evidence["objects"][COPY]
    say(evidence, state="failed", **said)


COPIES_BROKEN = {
    "its record has lost what was asked for": lambda e: lead(e).pop("deliver"),
    "nothing has come of it": lambda e: lead(e).pop("copies"),
    "it still waits": lambda e: say(e, state="waiting", error="the bucket is away"),
    "it has no state, as one that waits": say,
    "it counts as done and is not there": lambda e: e["objects"].pop(COPY),
    "it has other bytes": lambda e: e["objects"][COPY].update(sha256="6" * 64),
    "it failed and nobody says why": fail,
    "it is made twice": lambda e: lead(e).update(
        copies=json.dumps(2 * json.loads(lead(e)["copies"]))
    ),
    "it is still to be made": lambda e: e["redis"]["copies"].update({SINGLE: 1.0}),
    "one is there that no record has": lambda e: e["objects"].update(
        {f"copies/{ROW}-0.png": {"sha256": SHA, "bytes": 1, "metadata": {}}}
    ),
}


def test_a_copy_that_is_there_or_has_failed_for_a_reason_is_no_violation():
    evidence = copied()
    assert "I29" not in invariants(evidence)
    fail(evidence, error="the bucket is closed")
    assert "I29" not in invariants(evidence)


@pytest.mark.parametrize("name", COPIES_BROKEN)
def test_each_copy_that_is_not_as_promised_is_named(name):
    evidence = copied()
    COPIES_BROKEN[name](evidence)
    assert "I29" in invariants(evidence)


def state(id_, state_, *, at=0):
    return {
        "id": id_,
        "kind": "node",
        "about": "n1",
        "type": "state",
        "state": state_,
        "at": str(at),
    }


def wish(wanted, *, about="n1", kind="node", answer="done", at=1.0):
    said = {"do": "wish", "kind": kind, "about": about, "wanted": wanted, "answer": answer}
    return {"at": at, "asked_at": at - 0.001, **said}


def rested() -> dict:
    """Return evidence of a node that rested for a while, before it claimed both jobs."""
    evidence = good()
    for event in evidence["events"]:
        event["id"] = f"5-{event['id']}".rpartition("-")[0]
    evidence["client"] += [wish("drained"), wish("")]
    evidence["fleet_events"] += [state("1-0", "paused"), state("4-0", "ready", at=1_000)]
    evidence["redis"] |= {
        "nodes": {"n1": {"state": "ready", "reason": "", "pool": "default"}},
        "node_wishes": {},
        "pool_wishes": {},
    }
    return evidence


def hold(evidence, state_="paused", kind="node", about="n1"):
    evidence["redis"][f"{kind}_wishes"] = {about: json.dumps({"state": state_})}


def hurt(evidence, target):
    evidence["faults"] = [{"kind": "worker frozen", "target": target, "from": 0.5, "until": 4.0}]


def claim_at_rest(evidence, *, after_ms=1_100):
    """Let the node go on resting when it claims the jobs, 1.1 s after it said so."""
    at = int(evidence["events"][1]["at"]) - after_ms
    evidence["fleet_events"][-2:] = [state("1-0", "paused", at=at)]


def disobey(evidence, **whom):
    """Let the node claim its jobs 3.1 s after it was to rest."""
    at = int(evidence["events"][1]["at"]) / 1000
    evidence["client"][-2:] = [wish("drained", at=at - 3.1, **whom), wish("", at=at + 1, **whom)]


WISHES_BROKEN = {
    "a lifted wish is still there": hold,
    "so is one that nobody set": lambda e: (e["client"].clear(), hold(e)),
    "a wish is lost": lambda e: e["client"].append(wish("paused")),
    "another one is there": lambda e: (e["client"].append(wish("paused")), hold(e, "drained")),
    "a pool's wish is lost": lambda e: e["client"].append(
        wish("paused", kind="pool", about="default")
    ),
    "a node rests for ever": lambda e: e["redis"]["nodes"]["n1"].update(state="paused"),
    "it works, and is to rest": lambda e: (e["client"].append(wish("paused")), hold(e)),
    "it works, and its pool is to rest": lambda e: (
        e["client"].append(wish("paused", kind="pool", about="default")),
        hold(e, kind="pool", about="default"),
    ),
    "it claims a job at rest": claim_at_rest,
    "it never says that it rests": disobey,
    "nor does one of a pool": lambda e: disobey(e, about="default", kind="pool"),
    "and another node is hurt meanwhile": lambda e: (claim_at_rest(e), hurt(e, "n2")),
}


def test_a_node_that_rests_as_long_as_it_should_is_no_violation():
    assert "I28" not in invariants(rested())


@pytest.mark.parametrize("name", WISHES_BROKEN)
def test_each_wish_that_is_not_obeyed_is_named(name):
    evidence = rested()
    WISHES_BROKEN[name](evidence)
    assert "I28" in invariants(evidence)


def test_nobody_knows_what_came_of_a_wish_without_an_answer():
    evidence = rested()
    evidence["client"].append(wish("paused", answer="unknown"))
    assert "I28" not in invariants(evidence)
    hold(evidence)
    evidence["redis"]["nodes"]["n1"]["state"] = "paused"
    assert "I28" not in invariants(evidence)


def test_a_node_may_take_a_moment_to_obey_and_works_once_the_wish_is_lifted():
    evidence = rested()
    at = int(evidence["events"][1]["at"]) / 1000
    for from_s, until_s in ((2.9, -1.0), (9.0, 0.1)):
        evidence["client"][-2:] = [wish("drained", at=at - from_s), wish("", at=at - until_s)]
        assert "I28" not in invariants(evidence)


def test_a_job_may_wait_for_a_fleet_that_is_to_rest():
    evidence = good()
    for event in evidence["events"][1:]:
        event["at"] = str(int(event["at"]) + 5_000)
    assert "I20" in invariants(evidence)
    evidence["client"] += [wish("drained", at=1.5), wish("", at=5.5)]
    assert "I20" not in invariants(evidence)


@pytest.mark.parametrize("target", ["n1", "all"])
def test_a_claim_that_was_on_its_way_or_held_up_by_a_fault_is_no_violation(target):
    evidence = rested()
    claim_at_rest(evidence, after_ms=900)
    assert "I28" not in invariants(evidence)
    claim_at_rest(evidence)
    hurt(evidence, target)
    assert "I28" not in invariants(evidence)
