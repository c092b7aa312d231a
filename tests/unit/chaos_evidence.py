"""Evidence of a single job and of a batch with one row, as the checker of the chaos ring reads it."""

from __future__ import annotations

import json

from tests.chaos.checker.history import prompt_id

SINGLE = "01a202fc-72b0-7acb-9f17-73fc8595814e"
BATCH = "01a202fc-72b0-7acb-9f17-000000000000"
ROW = "01a202fc-72b0-7acb-9f17-000000000001"
AGAIN = "01a202ff-72b0-7acb-9f17-73fc00000000"
STRANGER = "01a202fc-72b0-7acb-9f17-0000000000ff"
RESULTS = f"batches/{BATCH}/results-1.jsonl.gz"
SHA = "5" * 64


def moves(job, *, end="failed", cause="execution_error", created_ms=1_000):
    """Return the events of a job that rendered for 700 ms, and then failed."""
    told = (
        ("submitted", "queued", 0, {}),
        ("claimed", "running", 100, {}),
        ("phase", "running", 300, {"phase": "rendering"}),
        (end, end, 1_000, {"cause": cause}),
    )
    return [
        {
            "id": f"{n}-0",
            "job": job,
            "n": str(n),
            "type": type_,
            "status": status,
            "attempt": "1",
            "node": "n1",
            "at": str(created_ms + after_ms),
            **more,
        }
        for n, (type_, status, after_ms, more) in enumerate(told, start=1)
    ]


def failed(*, key=None, **fields):
    """Return the record of the job whose events are these."""
    spec = {"tier": "default", "pool": "default", "owner": "shop"}
    error = {"cause": "execution_error", "message": "no"}
    return {
        "status": "failed",
        "attempt": "1",
        "n": "4",
        "owner": "shop",
        "spec": json.dumps(spec | ({"key": key} if key else {})),
        "node": "n1",
        "cause": "execution_error",
        "charged": "1",
        "attempt:1": json.dumps({"number": 1, "node": "n1", "charged": True, "error": error}),
        "ended_ms": "2000",
        **fields,
    }


def line(job, row, **said):
    return {"row": row, "id": job, "status": "failed", "attempt": 1, "artifacts": [], **said}


def good() -> dict:
    """Return the evidence of a single job and of a batch with one row, both failed, told and packed."""
    asked = {"do": "submit", "answer": "accepted", "owner": "shop", "tier": "default"}
    fails = {"end": "failed"}
    return {
        "client": [
            {
                "at": 1,
                **asked,
                "key": "k",
                "job": SINGLE,
                "hook": "h",
                "batch": "",
                "expects": fails,
            },
            {"at": 1, **asked, "key": ROW, "job": ROW, "batch": BATCH, "expects": fails},
            {"at": 1, "do": "open", "batch": BATCH, "hook": "h"},
            {"at": 3, "do": "tell", "entry": f"job:{SINGLE}", "answer": "taken"},
            {"at": 3, "do": "tell", "entry": f"job:{SINGLE}", "answer": "done"},
        ],
        "events": [*moves(SINGLE), *moves(ROW)],
        "fleet_events": [{"kind": "batch", "about": BATCH, "type": "finished"}],
        "redis": {
            "jobs": {SINGLE: failed(key="k", hook="h", told_ms="3"), ROW: failed(batch=BATCH)},
            "twice": [],
            "torn": [],
            "now_ms": 10_000_000,
            "batches": {
                BATCH: {
                    "received": "1",
                    "failed": "1",
                    "owner": "shop",
                    "waiting": "0",
                    "hook": "h",
                    "ended_ms": "2000",
                    "results": "1",
                }
            },
            "owner": {"shop": {"waiting": "0", "running": "0", "gpu_ms": "1400"}},
            "owners": ["shop"],
            "totals": {
                "default ended failed execution_error": "2",
                "default attempt execution_error charged": "2",
                "default rendered_ms": "1400",
            },
            "lists": {"": [], "shop": [SINGLE]},
            "ended": {"failed": {SINGLE: 2000.0, ROW: 2000.0}, "cancelled": {}, "expired": {}},
            "ended_batches": {"failed": {}, "cancelled": {}, "expired": {}},
            "outbox": {f"batch:{BATCH}": 2000.0},
            **{name: {} for name in ("unpacked", "unpacked_rows", "results", "leases")},
            **{name: {} for name in ("delayed", "dead", "queued", "messages")},
        },
        "objects": {RESULTS: {"lines": [line(ROW, 1)]}},
        "leftovers": {"pack_ended_s": 3},
    }


def succeed(evidence):
    """Let the single job succeed in place of failing, with a manifest that says so."""
    artifact = {"key": f"jobs/{SINGLE}/1/3-0.png", "sha256": SHA, "bytes": 1, "graph_node": "3"}
    record = evidence["redis"]["jobs"][SINGLE] = failed(key="k", hook="h", told_ms="3")
    for name in ("charged", "attempt:1"):
        del record[name]
    record |= {"status": "succeeded", "cause": "", "prompt_id": prompt_id(SINGLE, 1)}
    record |= {"created_ms": "1000", "result": json.dumps({"artifacts": [artifact]})}
    evidence["events"][:4] = moves(SINGLE, end="succeeded", cause="")
    del evidence["redis"]["ended"]["failed"][SINGLE]
    evidence["client"][0]["expects"] = {"end": "succeeded", "files": [{"graph_node": "3"}]}
    manifest = {
        "version": 2,
        "owner": "shop",
        "tier": "default",
        "pool": "default",
        "attempt": 1,
        "idempotency_key": "k",
        "node": "n1",
        "prompt_id": prompt_id(SINGLE, 1),
        "created_at": "1970-01-01T00:00:01Z",
        "artifacts": [artifact],
    }
    evidence["objects"][f"jobs/{SINGLE}/1/manifest.json"] = {"json": manifest}
    stored = {"sha256": SHA, "bytes": 1, "metadata": {}}
    evidence["objects"][artifact["key"]] = stored
    return manifest


def make_again(evidence):
    """Have the row made again, as a job that failed too; its results were written anew."""
    jobs = evidence["redis"]["jobs"]
    jobs[ROW]["retried_as"] = AGAIN
    jobs[AGAIN] = failed(batch=BATCH, row="1")
    evidence["events"] += moves(AGAIN)
    evidence["client"].append({**evidence["client"][1], "key": AGAIN, "job": AGAIN})
    evidence["redis"]["ended"]["failed"][AGAIN] = 2000.0
    evidence["redis"]["owner"]["shop"]["gpu_ms"] = "2100"
    evidence["redis"]["totals"] = {
        "default ended failed execution_error": "2",
        " ended failed execution_error": "1",  # pinned to a node
        "default attempt execution_error charged": "3",
        "default rendered_ms": "2100",
    }
    evidence["objects"][RESULTS]["lines"] = [line(AGAIN, 1)]


def lead(evidence, job=SINGLE):
    return evidence["redis"]["jobs"][job]


def end_rest(evidence):
    """Have two more rows of the batch be cancelled with it, before they had a record."""
    evidence["redis"]["batches"][BATCH] |= {
        "received": "3",
        "fed": "1",
        "cancelled": "2",
        "rest": "cancelled",
        "rest_ms": "2000",
        "rest_rows": "2",
    }
    evidence["redis"]["ended_batches"]["cancelled"] = {BATCH: 2000.0}
    evidence["redis"]["totals"]["default ended cancelled cancelled"] = "2"
    asked = {"at": 1, "do": "submit", "answer": "accepted", "owner": "shop", "tier": "default"}
    for row in (2, 3):
        job = f"{BATCH[:-8]}{row:08x}"
        results(evidence).append(line(job, row, status="cancelled"))
        said = {"key": job, "job": job, "batch": BATCH, "expects": {}}
        evidence["client"].append(asked | said)


def results(evidence):
    return evidence["objects"][RESULTS]["lines"]


def tell(evidence, entry, answer):
    evidence["client"].append({"at": 4, "do": "tell", "entry": entry, "answer": answer})
