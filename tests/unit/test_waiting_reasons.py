"""What a waiting job says it waits for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from producer.contract.jobs import JobStatus
from producer.contract.nodes import Node, NodeState
from producer.contract.operations import Desired
from producer.waiting_reasons import explain
from tests.unit.test_retry import running


def node(name, state=NodeState.READY, *, pool="default", reason=""):
    return Node(name=name, pool=pool, url="http://x", state=state, reason=reason)


def waiting(**fields):
    return running().model_copy(
        update={"status": JobStatus.QUEUED, "waiting_for": "capacity", **fields}
    )


def of_paused_pool(name, **more):
    wish = Desired(
        state="paused", actor="kim", reason="night", since=datetime(2026, 11, 29, tzinfo=UTC)
    )
    return node(name, NodeState.PAUSED, **more).model_copy(update={"pool_desired": wish})


SICK = node("gpu-1", NodeState.BLOCKED, reason="no bucket renders")


@pytest.mark.parametrize(
    ("job", "nodes", "said"),
    [
        (waiting(), [node("gpu-1")], "a free node of pool default"),
        (waiting(), [node("gpu-1", pool="video")], "a node of pool default: none is up"),
        (waiting(), [node("gpu-1", NodeState.OFFLINE)], "a node of pool default: none is up"),
        (
            waiting(),
            [SICK],
            "node gpu-1, the only one of pool default, which is blocked (no bucket renders)",
        ),
        (
            waiting(),
            [of_paused_pool("gpu-1"), of_paused_pool("gpu-2", reason="the pool")],
            "pool default, which is paused by kim: night",
        ),
        (
            waiting(),
            [
                of_paused_pool("gpu-1"),
                node("gpu-2", NodeState.PAUSED),
            ],  # of a worker of the version before
            "a node of pool default to be ready: 2 paused",
        ),
        (
            waiting(),
            [SICK, node("gpu-2", NodeState.SUSPECT)],
            "a node of pool default to be ready: 1 blocked, 1 suspect",
        ),
        (waiting(pin="gpu-1"), [node("gpu-1")], "node gpu-1, which is busy"),
        (waiting(pin="gpu-1"), [SICK], "node gpu-1, which is blocked (no bucket renders)"),
        (waiting(pin="gpu-9"), [SICK], "node gpu-9, which has never been up"),
        (waiting(waiting_for="retry_at"), [], "its next attempt, after a pause"),
        (waiting(status=JobStatus.HELD), [], "its release"),
        (running(), [], None),
        (running().model_copy(update={"node": "gpu-2"}), [SICK, node("gpu-2")], None),
        (
            running().model_copy(update={"node": "gpu-1"}),
            [SICK],
            "its node gpu-1, which is blocked (no bucket renders)",
        ),
    ],
)
def test_the_reason_names_what_is_missing(job, nodes, said):
    assert explain(job, nodes) == said
