"""The charge table of worker.attempt.retry, row by row."""

from __future__ import annotations

import pytest

from producer.contract.errors import (
    FleetUnreachable,
    InvalidInput,
    ObjectConflict,
    ObjectMissing,
    StorageUnreachable,
)
from producer.contract.jobs import Attempt, JobError
from tests.sample_jobs import NOW, sample_job
from worker.attempt.fingerprint import fingerprint_of
from worker.attempt.retry import CHARGED_LIMIT, FREE_LIMIT, INPUT_REFUSED_LIMIT, LACKING_LIMIT
from worker.attempt.retry import decide as decide_for
from worker.errors import (
    ExecutorEnded,
    InputRefused,
    LeaseLapsed,
    NodeFault,
    NodeLacks,
    NodeLeaves,
    NodeUnreachable,
    OutputDamaged,
    PromptFailed,
    PromptInterrupted,
    PromptLost,
    PromptRejected,
    PromptStalled,
    RequestTooLarge,
    RunDeadlinePassed,
    WorkerDied,
)

RAISED = PromptFailed("gpu-1", "it raised", graph_node="3", exception_type="RuntimeError")
NO_MEMORY = PromptFailed(
    "gpu-1", "tried to allocate", graph_node="3", exception_type="torch.OutOfMemoryError"
)


def running(*, charged=0, free=0, felled=(), cause="prompt_lost", by=None):
    """Return a running job with these attempts behind it; *by* is what ended them."""
    gone = JobError(cause=cause, message="gone")
    return sample_job(
        attempt=1 + charged + free,
        charged_attempts=charged,
        free_attempts=free,
        attempts=[
            Attempt(
                number=n,
                node=node,
                charged=False,
                error=gone,
                ended_at=NOW,
                fingerprint=fingerprint_of(by) if by else None,
            )
            for n, node in enumerate(felled, 1)
        ],
    )


def decide(error, *, node, charged=0, free=0, felled=()):
    return decide_for(error, running(charged=charged, free=free, felled=felled), node=node)


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
        (PromptInterrupted("gpu-1", "by hand"), "interrupted", True, False),
        (OutputDamaged("gpu-1", "short"), "output_damaged", True, False),
        (NodeLacks("gpu-1", "no such file; gpu-2 has it"), "node_lacks", True, False),
        (RequestTooLarge("gpu-1", "a.png"), "too_large", True, False),
        (NodeLeaves("gpu-1", "drained"), "node_left", True, False),
        (LeaseLapsed("gpu-1", "silent"), "lease_lost", True, False),
        (ObjectConflict("other bytes"), "output_conflict", False, False),
        (ObjectMissing("no such key"), "input_missing", False, False),
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


def test_what_two_nodes_find_too_large_fails_with_their_reason():
    refused = RequestTooLarge("gpu-2", "me.png for 12.image", graph_node="12")
    job = running(free=1, felled=["gpu-1"], cause="too_large")
    last = decide_for(refused, job, node="gpu-2")
    assert (last.again, last.charged, last.dead, last.blames_node) == (False, False, False, False)
    assert (last.error.cause, last.error.graph_node) == ("too_large", "12")
    assert "client_max_body_size" in last.error.advice


def test_a_job_that_ends_three_workers_is_poison_and_not_charged():
    felled = ["gpu-1", "gpu-2"]
    job = running(free=2, felled=felled, cause="worker_died")
    last = decide_for(WorkerDied("gpu-3", 3), job, node="gpu-3")
    assert (last.error.cause, last.again, last.charged, last.dead) == ("poison", False, False, True)


def test_a_job_that_ends_the_executing_thread_twice_is_to_blame():
    error = ExecutorEnded("gpu-1", "its executing thread has ended")
    assert decide_for(error, running(), node="gpu-1").again
    last = decide_for(error, running(free=1, felled=["gpu-1"], cause="stall"), node="gpu-1")
    assert (last.error.cause, last.again, last.charged) == ("stall", False, True)
    assert "it ended so 2 times" in last.error.message


def test_three_nodes_felled_are_poison():
    lost = PromptLost("gpu-3", "ComfyUI is gone")
    assert decide(lost, node="gpu-1", free=2, felled=["gpu-1", "gpu-2"]).again
    last = decide(lost, node="gpu-3", free=2, felled=["gpu-1", "gpu-2"])
    assert (last.again, last.dead, last.error.cause) == (False, True, "poison")
    assert "gpu-1, gpu-2, gpu-3" in last.error.message


def ended_on(*nodes, cause, by=None):
    return running(free=len(nodes), felled=nodes, cause=cause, by=by)


def raised(text, kind="RuntimeError", node="gpu-2"):
    return PromptFailed(node, text, graph_node="3", exception_type=kind)


BROKEN_CARD = raised("CUDA error: an illegal memory access was encountered")


def test_a_card_that_is_broken_is_the_nodes_and_the_job_goes_elsewhere_uncharged():
    decision = decide_for(BROKEN_CARD, running(), node="gpu-1")
    assert (decision.error.cause, decision.again, decision.charged) == ("device_fault", True, False)
    assert decision.blames_node
    assert "driver" in decision.error.advice


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BROKEN_CARD, "device_fault"),
        (
            raised("Error while deserializing header: HeaderTooLarge", "SafetensorError"),
            "model_damaged",
        ),
        (OutputDamaged("gpu-2", "404"), "output_damaged"),
        (PromptStalled("gpu-2", "silent"), "stall"),
        (PromptInterrupted("gpu-2", "by its graph"), "interrupted"),
    ],
)
def test_what_ends_alike_on_another_node_is_the_jobs(error, cause):
    last = decide_for(error, ended_on("gpu-1", cause=cause, by=error), node="gpu-2")
    assert (last.error.cause, last.again, last.dead) == (cause, False, True)
    assert (last.charged, last.blames_node) == (True, False)
    assert "alike on gpu-1, gpu-2" in last.error.message
    assert decide_for(error, ended_on("gpu-1", cause="node_fault"), node="gpu-2").again


def test_two_broken_cards_are_two_nodes_and_not_the_job():
    other = raised("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
    by_chance = ended_on("gpu-1", cause="device_fault", by=other)
    decision = decide_for(BROKEN_CARD, by_chance, node="gpu-2")
    assert (decision.again, decision.charged, decision.blames_node) == (True, False, True)
    often = ended_on("gpu-1", "gpu-2", "gpu-3", cause="device_fault", by=other)
    assert not decide_for(BROKEN_CARD, often, node="gpu-4").again


@pytest.mark.parametrize(
    ("cause", "limit"), [("interrupted", 3), ("stall", 3), ("device_fault", 4)]
)
def test_a_lone_node_has_a_bound_for_each_cause(cause, limit):
    error = {
        "interrupted": PromptInterrupted("gpu-1", "x"),
        "stall": PromptStalled("gpu-1", "x"),
        "device_fault": BROKEN_CARD,
    }[cause]
    before = ["gpu-1"] * (limit - 2)
    assert decide_for(error, ended_on(*before, cause=cause), node="gpu-1").again
    last = decide_for(error, ended_on("gpu-1", *before, cause=cause), node="gpu-1")
    assert (last.again, last.dead) == (False, True)


def test_a_pool_of_two_is_felled_three_times_at_most():
    lost = PromptLost("gpu-1", "ComfyUI is gone")
    two = ended_on("gpu-1", "gpu-2", cause="prompt_lost")
    assert decide_for(lost, two, node="gpu-1", pool_nodes=5).again
    last = decide_for(lost, two, node="gpu-1", pool_nodes=2)
    assert (last.again, last.error.cause) == (False, "poison")
    assert "3 times a node or its worker went away" in last.error.message


def test_however_large_the_pool_five_times_are_no_chance():
    lost = PromptLost("gpu-1", "ComfyUI is gone")
    four = ended_on(*["gpu-1", "gpu-2"] * 2, cause="prompt_lost")
    assert not decide_for(lost, four, node="gpu-1", pool_nodes=9).again


def test_who_must_log_in_is_told_at_once():
    login = raised("Unauthorized: Please login first to use this node.", "Exception")
    last = decide_for(login, running(), node="gpu-1")
    assert (last.error.cause, last.again, last.charged) == ("needs_login", False, False)
    assert "--api-key-file" in last.error.advice


def test_a_file_that_nodes_refuse_though_they_were_just_given_it_ends_the_job_soon():
    refused = InputRefused("n", "Invalid image file")
    nodes = [f"gpu-{n}" for n in range(INPUT_REFUSED_LIMIT - 1)]
    once_less = running(free=len(nodes), felled=nodes[1:], cause="node_lacks")
    again = decide_for(refused, once_less, node="gpu-9")
    assert (again.again, again.charged, again.blames_node) == (True, False, False)
    job = running(free=len(nodes), felled=nodes, cause="node_lacks")
    last = decide_for(refused, job, node="gpu-9")
    assert (last.again, last.charged, last.error.cause) == (False, False, "invalid_graph")


def test_a_graph_that_one_node_after_the_other_lacks_something_for_is_invalid():
    lacks, nodes = NodeLacks("n", "no such file"), [f"gpu-{n}" for n in range(LACKING_LIMIT - 1)]
    job = running(free=len(nodes), felled=nodes, cause="node_lacks")
    last = decide_for(lacks, job, node="gpu-9")
    assert (last.again, last.charged, last.error.cause) == (False, False, "invalid_graph")
    fewer = running(free=len(nodes), felled=nodes[1:], cause="node_lacks")
    assert decide_for(lacks, fewer, node="gpu-9").again


@pytest.mark.parametrize(
    ("error", "blames_node"),
    [
        (PromptStalled("n", "x"), True),
        (PromptLost("n", "x"), True),
        (OutputDamaged("n", "x"), True),
        (NodeUnreachable("n", "x"), True),
        (RAISED, False),
        (NO_MEMORY, False),
        (PromptInterrupted("n", "x"), False),
        (NodeLacks("n", "x"), False),
        (StorageUnreachable("x"), False),
        (FleetUnreachable("x"), False),
    ],
)
def test_only_what_the_node_did_speaks_against_it(error, blames_node):
    assert decide(error, node="n").blames_node is blames_node
