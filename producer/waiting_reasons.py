"""Waiting reasons: explains in a sentence what a job waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from producer.contract.jobs import Job, JobStatus
from producer.contract.nodes import Node, NodeState

#: Values of a record's `waiting_for`, as scripts write them → in words.
_SAID = {
    "retry_at": "its next attempt, after a pause",
    "another_node": "another node than the one it failed on",
    "its_turn": "its turn: rows of a batch reach the queue a few hundred at a time",
    "newer_worker": "a worker of a newer version than those that looked at it",
}


def explain(job: Job, nodes: Sequence[Node]) -> str | None:
    """Return what a job waits for; None if it does not wait.

    Args:
        nodes: every node the fleet knows.
    """
    if job.status is JobStatus.HELD:
        return "its release"
    if job.status is JobStatus.RUNNING:
        return _of_blocked(job.node, nodes)
    if job.status is not JobStatus.QUEUED:
        return None
    if job.waiting_for in _SAID:
        return _SAID[job.waiting_for]
    if job.pin:
        return _of_pin(job.pin, nodes)
    return _of_pool(job.pool, [node for node in nodes if node.pool == job.pool])


def _of_blocked(name: str | None, nodes: Sequence[Node]) -> str | None:
    states = (NodeState.BLOCKED, NodeState.UNREACHABLE)
    blocked = [node for node in nodes if node.name == name and node.state in states]
    return f"its node {name}, which is {_state(blocked[0])}" if blocked else None


def _of_pin(name: str, nodes: Sequence[Node]) -> str:
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        return f"node {name}, which has never been up"
    if node.state is NodeState.READY:
        return f"node {name}, which is busy"
    return f"node {name}, which is {_state(node)}"


def _of_pool(pool: str, nodes: Sequence[Node]) -> str:
    if any(node.state is NodeState.READY for node in nodes):
        return f"a free node of pool {pool}"
    if not any(node.is_living for node in nodes):
        return f"a node of pool {pool}: none is up"
    living = [node for node in nodes if node.is_living]
    wish = living[0].pool_desired
    if wish is not None and all(node.pool_desired == wish for node in living):
        return f"pool {pool}, which is {wish.told}"
    if len(living) == 1:
        return f"node {living[0].name}, the only one of pool {pool}, which is {_state(living[0])}"
    counts = Counter(node.state for node in living)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"a node of pool {pool} to be ready: {states}"


def _state(node: Node) -> str:
    return f"{node.state} ({node.reason})" if node.reason else str(node.state)
