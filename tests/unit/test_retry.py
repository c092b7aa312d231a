"""The charge table of worker.retry, row by row."""

from __future__ import annotations

import pytest

from producer.contract.errors import (
    FleetUnreachable,
    InvalidInput,
    NodeFault,
    NodeUnreachable,
    OutputDamaged,
    PromptFailed,
    PromptLost,
    PromptRejected,
    PromptStalled,
    RunDeadlinePassed,
    StorageUnreachable,
)
from worker.retry import CHARGED_LIMIT, FREE_LIMIT, decide

RAISED = PromptFailed("gpu-1", "it raised", graph_node="3", exception_type="RuntimeError")
NO_MEMORY = PromptFailed(
    "gpu-1", "tried to allocate", graph_node="3", exception_type="torch.OutOfMemoryError"
)


@pytest.mark.parametrize(
    ("error", "cause", "again", "charged"),
    [
        (PromptRejected("gpu-1", "no such class", {}), "invalid_graph", False, False),
        (InvalidInput("too large"), "invalid_input", False, False),
        (RunDeadlinePassed(60), "run_deadline", False, False),
        (RAISED, "execution_error", True, True),
        (NO_MEMORY, "out_of_memory", True, True),
        (PromptStalled("gpu-1", "silent"), "stall", True, False),
        (PromptLost("gpu-1", "gone"), "prompt_lost", True, False),
        (OutputDamaged("gpu-1", "short"), "output_damaged", True, False),
        (NodeUnreachable("gpu-1", "refused"), "node_fault", True, False),
        (NodeFault("gpu-1", "500"), "node_fault", True, False),
        (StorageUnreachable("refused"), "storage_fault", True, False),
        (FleetUnreachable("refused"), "fleet_fault", True, False),
    ],
)
def test_the_kind_of_error_decides(error, cause, again, charged):
    decision = decide(error, node="gpu-1", charged=0, free=0)
    assert (decision.error.cause, decision.again, decision.charged) == (cause, again, charged)


def test_what_no_retry_can_mend_is_no_dead_letter():
    rejected = PromptRejected("gpu-1", "no such class", {})
    assert not decide(rejected, node="gpu-1", charged=0, free=0).dead


def test_the_last_charged_attempt_makes_a_dead_letter():
    assert decide(RAISED, node="gpu-1", charged=CHARGED_LIMIT - 2, free=0).again
    last = decide(RAISED, node="gpu-1", charged=CHARGED_LIMIT - 1, free=0)
    assert (last.again, last.dead, last.error.cause) == (False, True, "execution_error")


def test_too_many_free_attempts_are_poison():
    lost = PromptLost("gpu-1", "ComfyUI restarted")
    assert decide(lost, node="gpu-1", charged=0, free=FREE_LIMIT - 2).again
    last = decide(lost, node="gpu-1", charged=0, free=FREE_LIMIT - 1)
    assert (last.again, last.dead, last.error.cause) == (False, True, "poison")
    assert "ComfyUI restarted" in last.error.message


def test_out_of_memory_advises_about_vram():
    assert "VRAM" in decide(NO_MEMORY, node="gpu-1", charged=0, free=0).error.advice


def test_the_error_names_graph_node_and_node():
    error = decide(RAISED, node="gpu-1", charged=0, free=0).error
    assert (error.graph_node, error.node) == ("3", "gpu-1")


def test_waits_grow_and_stay_within_a_minute():
    waits = [decide(RAISED, node="n", charged=n, free=0).delay.total_seconds() for n in (0, 1)]
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2
    assert decide(NodeFault("n", "x"), node="n", charged=0, free=8).delay.total_seconds() <= 60
