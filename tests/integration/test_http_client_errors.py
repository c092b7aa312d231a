"""The client of the HTTP API raises the same errors as the library, with the same facts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.errors import (
    InvalidJob,
)
from producer.contract.ids import new_job_id
from producer.contract.jobs import Artifact
from tests.integration.api_server import GRAPH
from tests.integration.both_clients import raised


@pytest.mark.parametrize(
    "graph", [b"{}", "no json", [], {"3": {"inputs": {}}}, {"3": 1}, b"\x89PNG"]
)
def test_graphs_are_refused_alike(both, graph):
    ours, theirs = (raised(lambda fleet: fleet.submit(graph), fleet) for fleet in both)
    assert (type(ours), str(ours), vars(ours)) == (type(theirs), str(theirs), vars(theirs))


NO_JOB = new_job_id()
_ARTIFACT = Artifact(
    key=f"jobs/{NO_JOB}/1/3-0.png", graph_node="3", index=0, kind="images", type="output",
    name="a.png", media_type="image/png", bytes=1, sha256="0" * 64,
)  # fmt: skip
CALLS = {
    "unknown input": lambda fleet: fleet.submit(GRAPH, params={"3.colour": 1}),
    "bad value": lambda fleet: fleet.submit(GRAPH, params={"3.color": [1, 2, 3]}),
    "unknown graph node": lambda fleet: fleet.submit(GRAPH, params={"77.text": 1}),
    "bad tier": lambda fleet: fleet.submit(GRAPH, tier="now"),
    "bad pool": lambda fleet: fleet.submit(GRAPH, pool="No Pool"),
    "unknown hook": lambda fleet: fleet.submit(GRAPH, hook="nobody"),
    "copies elsewhere": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s3://x/{job}-{n}"}),
    "copies of one key": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s3://x/{n}"}),
    "copies in no format": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s", "format": 7}),
    "bad duration": lambda fleet: fleet.submit(GRAPH, run_within=timedelta(0)),
    "no duration": lambda fleet: fleet.submit(GRAPH, run_within=7),
    "bad metadata": lambda fleet: fleet.submit(GRAPH, metadata={"a": 7}),
    "file of nothing": lambda fleet: fleet.submit(GRAPH, inputs={"3.color": b"x"}),
    "key reused": lambda fleet: [
        fleet.submit(GRAPH, idempotency_key="one", pool=pool) for pool in ("a", "b")
    ],
    "no such job": lambda fleet: fleet.get(NO_JOB),
    "no job id": lambda fleet: fleet.get("7"),
    "wait for none": lambda fleet: fleet.wait(NO_JOB),
    "cancel none": lambda fleet: fleet.cancel(NO_JOB),
    "hold none": lambda fleet: fleet.hold(NO_JOB),
    "retry none": lambda fleet: fleet.retry(NO_JOB),
    "retry a live one": lambda fleet: fleet.retry(_job(fleet, "live").id),
    "hold an ended one": lambda fleet: fleet.hold(_cancelled(fleet).id),
    "bad filter": lambda fleet: fleet.jobs("stat:failed"),
    "bad cursor": lambda fleet: fleet.jobs("", "nonsense"),
    "bad limit": lambda fleet: fleet.jobs("", None, 5_000),
    "no such batch": lambda fleet: fleet.batch(NO_JOB),
    "batch of a filter": lambda fleet: fleet.jobs("batch:nobody"),
    "seal none": lambda fleet: fleet.seal_batch(NO_JOB),
    "bad action": lambda fleet: fleet.act("burn", "status:queued"),
    "no such webhook": lambda fleet: fleet.webhooks.get("nobody"),
    "bad rows": lambda fleet: fleet.submit_many(
        GRAPH, [{"3.color": 1}, {"3.colour": 1}, InvalidJob("it is torn", field="params.")]
    ),
    "no rows": lambda fleet: fleet.submit_many(GRAPH, []),
    "no mapping": lambda fleet: fleet.submit_many(GRAPH, [7]),
    "hold an open batch": lambda fleet: fleet.hold_batch(fleet.begin_batch(GRAPH).batch.id),
    "no url so long": lambda fleet: fleet.url(_ARTIFACT, expires=timedelta(days=8)),
}
#: Where the field is named otherwise, or the message says less: JSON has no such value, or the API checks it itself.
LOOSE = {"bad limit", "bad action", "bad pool", "bad metadata", "hold an open batch", "retry a live one",
         "hold an ended one", "key reused", "no mapping", "no such webhook"}  # fmt: skip


def _job(fleet, name):
    return fleet.submit(GRAPH, idempotency_key=name)


def _cancelled(fleet):
    job = _job(fleet, "ended")
    fleet.cancel(job.id)
    return job


@pytest.mark.parametrize("what", CALLS)
def test_errors_are_of_the_same_class_with_the_same_facts(both, what):
    ours, theirs = (raised(CALLS[what], fleet) for fleet in both)
    assert type(ours) is type(theirs)
    mine, other = vars(ours), vars(theirs)
    assert mine.keys() == other.keys()
    if what in LOOSE:
        assert mine.get("field") == other.get("field")
    else:
        assert (mine, str(ours)) == (other, str(theirs))
