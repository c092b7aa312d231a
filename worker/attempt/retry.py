"""Whether and when to try again. Pure: what went wrong and how often decide, nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from producer.contract.errors import (
    DeliveryFailed,
    FleetError,
    HandedBack,
    InvalidJob,
    LeaseLapsed,
    NodeError,
    NodeLacks,
    NodeLeaves,
    ObjectConflict,
    ObjectMissing,
    OutputDamaged,
    PromptFailed,
    PromptIncomplete,
    PromptInterrupted,
    PromptLost,
    PromptRejected,
    PromptStalled,
    RequestTooLarge,
    RunDeadlinePassed,
    StorageError,
    StorageRefused,
    WorkerDied,
)
from producer.contract.jobs import Job, JobError
from worker.attempt.error_signs import cause_of_text

#: Attempts that may end by the job's own fault.
CHARGED_LIMIT: Final = 3
#: Attempts that may end through no fault of the job's, before it counts as poison.
FREE_LIMIT: Final = 10
#: So many different nodes felled are no chance.
FELLED_LIMIT: Final = 3
#: Nor are so many times, however few the nodes.
FELLED_TIMES: Final = 5
#: So many refusals of a request for its size: then each node of the pool may have the same limit.
TOO_LARGE_LIMIT: Final = 2
#: So many nodes may lack what they are said to have; then the graph is what is wrong.
LACKING_LIMIT: Final = 5

#: Causes that no retry can mend.
_FINAL: Final = frozenset(
    {
        "invalid_graph",
        "invalid_input",
        "input_missing",
        "run_deadline",
        "output_conflict",
        "storage_refused",
        "delivery_failed",
        "needs_login",
    }
)
#: Of those, the ones after which a render is there that could not be stored.
_LISTED: Final = frozenset({"output_conflict", "storage_refused", "delivery_failed"})
#: Causes that speak against the job.
_CHARGED: Final = frozenset({"execution_error", "out_of_memory", "incomplete_output"})
#: Causes that speak against the node.
_NODE_FAULTS: Final = frozenset(
    {"stall", "prompt_lost", "node_fault", "output_damaged", "disk_full"}
    | {"device_fault", "model_damaged", "io_fault"}
)
#: Causes of which the same on another node is the job's own doing, and how often in all is too often.
_SAME_ELSEWHERE: Final = {
    "device_fault": 4,  # an index out of range asserts on every card
    "model_damaged": 4,  # the file is the same on all of them
    "output_damaged": 3,
    "stall": 3,
    "interrupted": 3,  # a graph may interrupt itself
}
#: Causes after which the node or its worker was gone: the job may have felled it.
_FELLING: Final = frozenset({"prompt_lost", "node_fault", "lease_lost", "worker_died"})
#: Causes after which another node can begin at once.
_AT_ONCE: Final = frozenset({"node_left", "lease_lost", "node_lacks", "too_large"})

#: The first that fits counts, so a kind stands before its parent.
_CAUSES: Final[tuple[tuple[type[FleetError], str], ...]] = (
    (PromptRejected, "invalid_graph"),
    (NodeLacks, "node_lacks"),
    (RequestTooLarge, "too_large"),
    (InvalidJob, "invalid_input"),
    (RunDeadlinePassed, "run_deadline"),
    (PromptIncomplete, "incomplete_output"),
    (PromptStalled, "stall"),
    (OutputDamaged, "output_damaged"),
    (PromptLost, "prompt_lost"),
    (PromptInterrupted, "interrupted"),
    (HandedBack, "handed_back"),
    (NodeLeaves, "node_left"),
    (LeaseLapsed, "lease_lost"),
    (WorkerDied, "worker_died"),
    (NodeError, "node_fault"),
    (DeliveryFailed, "delivery_failed"),
    (ObjectConflict, "output_conflict"),
    (ObjectMissing, "input_missing"),
    (StorageRefused, "storage_refused"),
    (StorageError, "storage_fault"),
)

#: What a person can do about a cause, where the error itself does not say it.
_ADVICE: Final = {
    "out_of_memory": "use a node with more VRAM, a smaller size or batch, or a smaller model;"
    " see `comfyfleet node list`",
    "disk_full": "make room on the node's disk: outputs, temporary files, models",
    "device_fault": "restart the node's ComfyUI, or its machine; look at the driver's messages",
    "model_damaged": "compare the model file on the node with its original, and copy it again",
    "io_fault": "look at the node's disk, mounts and limits (dmesg, ulimit -n)",
    "needs_login": "give the key of partner nodes: COMFYFLEET_NODE_COMFY_ORG_API_KEY at the worker,"
    " or --api-key-file with the job",
    "execution_error": "read the message: it is the graph node's own",
    "incomplete_output": "look at the node's log: a saver ran, and its files are not listed",
    "output_damaged": "look at the node's output folder, and whether something else empties it",
    "stall": "look at the graph node that ran last; a longer COMFYFLEET_NODE_PROGRESS_S waits longer",
    "interrupted": "ask who interrupts prompts at the node by hand",
}
_LOOK_AT_ATTEMPTS: Final = (
    "look at the attempts in `comfyfleet job show`; does this graph kill its node?"
)


@dataclass(frozen=True)
class Decision:
    """What becomes of a job after an attempt ended without success.

    Args:
        again: whether it waits for another attempt; else it has failed.
        charged: whether the attempt counts against the job.
        counts: whether it counts at all; one that never began does not.
        delay: how long nobody may start it.
        dead: whether to list it as a dead letter.
        blames_node: whether the node has to prove itself before its next job.
    """

    error: JobError
    again: bool
    charged: bool
    counts: bool = True
    delay: timedelta = timedelta(0)
    dead: bool = False
    blames_node: bool = False


def decide(
    error: FleetError, job: Job, *, node: str | None, pool_nodes: int = FELLED_LIMIT
) -> Decision:
    """Return what to do about *error*, which ended an attempt at *job* on *node*.

    Args:
        pool_nodes: how many nodes the job's pool has.
    """
    cause = cause_of(error)
    story = JobError(
        cause=cause,
        message=error.message,
        graph_node=getattr(error, "graph_node", None),
        node=node,
        advice=error.advice or _ADVICE.get(cause),
    )
    if cause == "node_lacks" and _times(cause, job) + 1 >= LACKING_LIMIT:
        cause = "invalid_graph"
        story = story.model_copy(update={"cause": cause})
    if last := _last(story, job):
        return last
    if cause in _CHARGED:
        again = job.charged_attempts + 1 < CHARGED_LIMIT
        delay = _delay(job.charged_attempts)
        return Decision(story, again=again, charged=True, delay=delay, dead=not again)
    if cause == "handed_back":
        return Decision(story, again=True, charged=False, counts=False)
    blames_node = cause in _NODE_FAULTS
    if poison := _poison(story, job, pool_nodes):
        return Decision(poison, again=False, charged=False, dead=True, blames_node=blames_node)
    delay = timedelta(0) if cause in _AT_ONCE else _delay(job.free_attempts)
    return Decision(story, again=True, charged=False, delay=delay, blames_node=blames_node)


def cause_of(error: FleetError) -> str:
    """Return the one word for *error* that records, filters and metrics use."""
    if isinstance(error, PromptFailed):
        return cause_of_text(error.exception_type, error.message)
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "fleet_fault")


def _last(story: JobError, job: Job) -> Decision | None:
    """Return how the job ends, if no retry can mend what ended the attempt."""
    if story.cause == "too_large" and _times(story.cause, job) + 1 >= TOO_LARGE_LIMIT:
        return Decision(story, again=False, charged=False)
    if story.cause in _FINAL:
        return Decision(story, again=False, charged=False, dead=story.cause in _LISTED)
    own = _of_the_job(story, job)
    return Decision(own, again=False, charged=True, dead=True) if own else None


def _of_the_job(story: JobError, job: Job) -> JobError | None:
    """Return what to fail the job with, if another node ended it alike, or one did too often."""
    limit = _SAME_ELSEWHERE.get(story.cause)
    if limit is None:
        return None
    nodes = {attempt.node for attempt in job.attempts if attempt.error.cause == story.cause}
    others = sorted(str(node) for node in nodes - {story.node, None})
    if others:
        what = f"it ended alike on {', '.join([*others, str(story.node)])}, so it is the job"
    elif _times(story.cause, job) + 1 >= limit:
        what = f"it ended so {limit} times"
    else:
        return None
    return story.model_copy(update={"message": f"{what}: {story.message}"})


def _poison(story: JobError, job: Job, pool_nodes: int) -> JobError | None:
    """Return what to fail the job with, if its attempts end through no fault too often."""
    felled = [str(attempt.node) for attempt in job.attempts if attempt.error.cause in _FELLING]
    if story.cause in _FELLING and story.node:
        felled.append(story.node)
    names = sorted({*felled} - {"None"})
    # A pool of two has no third node to fell, and one that stands alone goes down by itself now and then.
    is_whole_pool = len(names) >= pool_nodes and len(felled) >= FELLED_LIMIT
    if len(names) >= FELLED_LIMIT or is_whole_pool or len(felled) >= FELLED_TIMES:
        what = f"{_counted(len(felled))} went away while it ran ({', '.join(names)})"
    elif job.free_attempts + 1 >= FREE_LIMIT:
        what = f"{FREE_LIMIT} attempts ended through no fault of the job's own"
    else:
        return None
    message = f"{what}; the last one so: {story.message}"
    return story.model_copy(
        update={"cause": "poison", "message": message, "advice": _LOOK_AT_ATTEMPTS}
    )


def _counted(times: int) -> str:
    return f"{times} times a node or its worker"


def _times(cause: str, job: Job) -> int:
    return sum(attempt.error.cause == cause for attempt in job.attempts)


def _delay(before: int) -> timedelta:
    """Return a wait that doubles from 1 s to a minute, scattered so that jobs do not march."""
    return timedelta(seconds=min(60.0, 2.0**before) * random.uniform(0.5, 1))  # noqa: S311
