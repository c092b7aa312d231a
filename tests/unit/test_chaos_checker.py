"""The checker of the chaos ring sees each kind of broken promise, and none where all is well."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.checker.history import History, prompt_id
from tests.chaos.checker.verdict import check

JOB = "01a202fc-72b0-7acb-9f17-73fc8595814e"
OTHER = "01a202fc-72b0-7acb-9f17-000000000000"
KEY = f"jobs/{JOB}/1/3-0.png"
MANIFEST = f"jobs/{JOB}/1/manifest.json"
SHA = "5" * 64
TEMPLATE = f"templates/{SHA}.json"
FILE = {"graph_node": "3", "width": 32, "height": 32, "color": 7}
ARTIFACT = {"key": KEY, "sha256": SHA, "bytes": 10, "graph_node": "3", "width": 32, "height": 32}
MOVES = (
    ("submitted", "queued"),
    ("claimed", "running"),
    ("phase", "running"),
    ("succeeded", "succeeded"),
)


def event(n, type_, status, *, attempt=1, job=JOB, **more):
    return {
        "id": f"{n}-0",
        "job": job,
        "n": str(n),
        "type": type_,
        "status": status,
        "attempt": str(attempt),
        "node": "n1",
        "at": str(1000 * n),
        **more,
    }


def good() -> dict:
    """Return the evidence of one job that went well, as plain lists and dicts."""
    picture = {
        "width": 32,
        "height": 32,
        "color": 7,
        "painted": {},
        "said": {"job": JOB, "prompt": prompt_id(JOB, 1)},
    }
    return {
        "client": [
            {
                "at": 1,
                "do": "submit",
                "key": "k",
                "answer": "accepted",
                "job": JOB,
                "batch": "b",
                "expects": {"end": "succeeded", "files": [FILE]},
            }
        ],
        "events": [
            event(n, type_, status, **({"phase": "rendering"} if type_ == "phase" else {}))
            for n, (type_, status) in enumerate(MOVES, start=1)
        ],
        "redis": {
            "totals": {
                "default ended succeeded": "1",
                "default rendered_ms": "1000",
                "default stage queued 1": "1",
                "default stage queued ms": "900",
            },
            "jobs": {
                JOB: {
                    "status": "succeeded",
                    "attempt": "1",
                    "n": "4",
                    "batch": "b",
                    "node": "n1",
                    "ended_ms": "4000",
                    "spec": json.dumps({"key": "k", "tier": "default"}),
                    "result": json.dumps({"artifacts": [ARTIFACT]}),
                }
            },
            "batches": {"b": {"succeeded": "1"}},
            "leases": {},
            "delayed": {},
            "dead": {},
            "queued": {},
            "messages": {},
        },
        "objects": {
            KEY: {"sha256": SHA, "bytes": 10, "metadata": {"sha256": SHA}, "picture": picture},
            MANIFEST: {"json": {"version": 2, "template": SHA, "artifacts": [ARTIFACT]}},
            TEMPLATE: {"sha256": SHA, "bytes": 2},
        },
        "prompts": [
            {
                "prompt_id": prompt_id(JOB, 1),
                "job": JOB,
                "node": "n1",
                "boot": 0,
                "started_ms": 2000,
                "ended_ms": 3000,
                "outcome": "success",
            }
        ],
        "faults": [],
        "leftovers": {"spool": [], "queues": {"n1": []}},
    }


def invariants(evidence: dict) -> set[str]:
    return {violation.invariant for violation in check(History(**evidence))}


def record(evidence) -> dict:
    return evidence["redis"]["jobs"][JOB]


def picture(evidence) -> dict:
    return evidence["objects"][KEY]["picture"]


def say(evidence, **said):
    evidence["client"].append({**evidence["client"][0], **said})


def render(evidence, **note):
    evidence["prompts"].append({**evidence["prompts"][0], **note})


def jump(evidence):
    del evidence["events"][1:3]


def take_over(evidence, **older):
    """Let a second attempt be the one that counts; its prompt began while the first one ran."""
    first = {"ended_ms": 9000, **older}
    evidence["prompts"][0] |= first
    render(evidence, prompt_id=prompt_id(JOB, 2), node="n2", started_ms=5000, ended_ms=6000)
    record(evidence)["attempt"] = "2"


BROKEN = {
    "an accepted job is gone": ("I1", lambda e: say(e, job=OTHER, key="l")),
    "a job never ends": ("I2", lambda e: record(e).update(status="running")),
    "nobody asked for a job": ("I3", lambda e: e["client"].clear()),
    "it was committed twice": (
        "I4",
        lambda e: e["events"].append(event(5, "succeeded", "succeeded")),
    ),
    "its manifest is missing": ("I4", lambda e: e["objects"].pop(MANIFEST)),
    "its manifest lists another file": (
        "I4",
        lambda e: e["objects"][MANIFEST]["json"].update(artifacts=[{**ARTIFACT, "bytes": 11}]),
    ),
    "the template that its manifest names is missing": (
        "I4",
        lambda e: e["objects"].pop(TEMPLATE),
    ),
    "the template that its manifest names is another": (
        "I4",
        lambda e: e["objects"][TEMPLATE].update(sha256="6" * 64),
    ),
    "a later attempt left a manifest": (
        "I4",
        lambda e: e["objects"].update({f"jobs/{JOB}/2/manifest.json": {"json": {}}}),
    ),
    "a failed job lists artifacts": ("I4", lambda e: record(e).update(status="failed")),
    "an object is gone": ("I5", lambda e: e["objects"].pop(KEY)),
    "an object has other bytes": ("I5", lambda e: e["objects"][KEY].update(sha256="6" * 64)),
    "a picture does not decode": (
        "I5",
        lambda e: e["objects"][KEY].update(picture={"error": "broken PNG"}),
    ),
    "a picture has another size": ("I5", lambda e: picture(e).update(width=64)),
    "a file is missing": ("I6", lambda e: record(e).update(result='{"artifacts": []}')),
    "a picture is another job's": ("I7", lambda e: picture(e)["said"].update(job=OTHER)),
    "a picture is another attempt's": (
        "I7",
        lambda e: picture(e)["said"].update(prompt=prompt_id(JOB, 2)),
    ),
    "a picture shows another seed": ("I7", lambda e: picture(e).update(color=8)),
    "an event is missing": ("I8", lambda e: e["events"].pop(1)),
    "an event follows the end": (
        "I8",
        lambda e: e["events"].append(event(5, "progress", "running")),
    ),
    "a job jumps to its end": ("I8", jump),
    "a phase goes back": (
        "I8",
        lambda e: e["events"].insert(2, event(3, "phase", "running", phase="storing")),
    ),
    "record and events disagree": ("I8", lambda e: record(e).update(n="5")),
    "an attempt is claimed twice": (
        "I9",
        lambda e: e["events"].insert(2, event(3, "claimed", "running")),
    ),
    "an attempt rises without a requeue": ("I9", lambda e: e["events"][2].update(attempt="2")),
    "a prompt ran twice": ("I10", lambda e: render(e, started_ms=4000, ended_ms=5000)),
    "an overtaken prompt ran on": ("I10", take_over),
    "a good job was charged": ("I11", lambda e: record(e).update(charged="1")),
    "a good job failed": (
        "I11",
        lambda e: record(e).update(status="failed", cause="invalid_graph"),
    ),
    "a batch miscounts": (
        "I12",
        lambda e: e["redis"]["batches"]["b"].update(running="1"),
    ),
    "a node renders two prompts at once": (
        "I13",
        lambda e: render(e, prompt_id="other", started_ms=2500),
    ),
    "a node is given too much": (
        "I13",
        lambda e: e["events"].extend(
            event(2, "claimed", "running", job=f"{OTHER[:-1]}{n}") for n in range(4)
        ),
    ),
    "a key made two jobs": (
        "I14",
        lambda e: e["redis"]["jobs"].update({OTHER: copy.deepcopy(record(e))}),
    ),
    "a key was answered with two jobs": ("I14", lambda e: say(e, job=OTHER)),
    "an error that nobody promised": ("P9", lambda e: say(e, answer="raised", why="KeyError()")),
    "a lease is left": ("I18", lambda e: e["redis"]["leases"].update({JOB: 1})),
    "a message is left": ("I18", lambda e: e["redis"]["messages"].update(q=[f"{JOB}.1"])),
    "an index is left": ("I18", lambda e: e["redis"]["queued"].update({"q:3": [JOB]})),
    "a file is left in a spool": ("I18", lambda e: e["leftovers"].update(spool=["n1/x"])),
    "a prompt is left on a node": ("I18", lambda e: e["leftovers"].update(queues={"n1": ["p"]})),
    "an object that counts is unlisted": (
        "I18",
        lambda e: e["objects"].update({f"jobs/{JOB}/1/4-0.png": {}}),
    ),
    "a tier starves": (
        "I20",
        lambda e: e["redis"]["jobs"].update(
            {OTHER: {"status": "queued", "attempt": "1", "spec": '{"tier": "idle", "key": "k"}'}}
        ),
    ),
    "a cancel was accepted, yet it succeeded": (
        "P8",
        lambda e: e["client"].append({"at": 2, "do": "cancel", "job": JOB, "answer": "cancelled"}),
    ),
    "it was committed after its cancel": (
        "P8",
        lambda e: e["events"].insert(2, event(3, "cancel_requested", "running")),
    ),
}


def test_a_good_history_has_no_violation():
    assert invariants(good()) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_promise_is_named(name):
    invariant, break_ = BROKEN[name]
    evidence = good()
    break_(evidence)
    assert invariant in invariants(evidence)


@pytest.mark.parametrize(("row", "is_named"), [("3", False), ("0", True)])
def test_a_row_may_end_before_it_came_to_a_queue_and_no_single_job(row, is_named):
    evidence = good()
    evidence["events"][:] = [event(1, "cancelled", "cancelled")]
    record(evidence).update(status="cancelled", n="1", row=row)
    assert ("I8" in invariants(evidence)) is is_named


def test_an_overtaken_prompt_that_was_interrupted_is_no_violation():
    evidence = good()
    take_over(evidence, outcome="interrupted")
    assert "I10" not in invariants(evidence)


def test_a_fault_on_its_node_excuses_a_prompt_that_ran_on():
    evidence = good()
    take_over(evidence)
    evidence["faults"] = [{"kind": "frozen", "target": "n1", "from": 1, "until": 8}]
    assert "I10" not in invariants(evidence)


@pytest.mark.parametrize(("follows", "is_named"), [("requeued", False), ("phase", True)])
def test_a_claim_whose_answer_was_lost_holds_no_card(follows, is_named):
    evidence = good()
    jobs = [f"{OTHER[:-1]}{n}" for n in range(4)]
    evidence["events"].extend(event(2, "claimed", "running", job=job) for job in jobs)
    evidence["events"].append(event(3, follows, "running", job=jobs[0], phase="rendering"))
    evidence["faults"] = [{"kind": "Redis restarted", "target": "all", "from": 1, "until": 8}]
    assert ("I13" in invariants(evidence)) == is_named


@pytest.mark.parametrize(("kind", "is_named"), [("node killed", False), ("node frozen", True)])
def test_a_prompt_that_died_with_its_node_holds_no_card(kind, is_named):
    evidence = good()
    del evidence["events"][2:]
    evidence["prompts"][0] |= {"outcome": None, "ended_ms": None}
    others = [f"{OTHER[:-1]}{n}" for n in range(3)]
    evidence["events"].extend(event(5, "claimed", "running", job=job) for job in others)
    evidence["faults"] = [{"kind": kind, "target": "n1", "from": 3, "until": 4}]
    assert ("I13" in invariants(evidence)) == is_named


def test_a_prompt_that_its_node_forgot_by_dying_may_run_again():
    evidence = good()
    evidence["prompts"][0] |= {"outcome": None, "ended_ms": None}
    render(evidence, boot=1, started_ms=4000, ended_ms=5000, outcome="success")
    assert "I10" not in invariants(evidence)


def test_objects_of_overtaken_attempts_are_no_debris():
    evidence = good()
    record(evidence)["attempt"] = "2"
    assert "I18" not in {
        violation.invariant
        for violation in check(History(**evidence))
        if "unlisted" in violation.evidence
    }


def test_the_checker_shares_no_code_with_the_product():
    script = (
        "import sys, tests.chaos.checker.__main__, tests.chaos.checker.collection\n"
        "ours = {'producer', 'worker', 'celery_config', 'celery', 'kombu'}\n"
        "sys.exit(str(ours & {name.partition('.')[0] for name in sys.modules} or ''))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "", f"it imports {done.stderr}"
