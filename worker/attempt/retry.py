"""The retry policy: whether and when a job is tried again, by what went wrong and how often. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from producer.contract.causes import Cause
from producer.contract.errors import (
    FleetError,
    InvalidJob,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageRefused,
)
from producer.contract.jobs import Job, JobError
from worker.attempt.error_signs import cause_of_text
from worker.attempt.fingerprint import fingerprint_of
from worker.errors import (
    DeliveryFailed,
    ExecutorEnded,
    HandedBack,
    InputRefused,
    LeaseLapsed,
    NodeError,
    NodeLacks,
    NodeLeaves,
    OutputDamaged,
    PromptFailed,
    PromptIncomplete,
    PromptInterrupted,
    PromptLost,
    PromptRejected,
    PromptStalled,
    RequestTooLarge,
    RunDeadlinePassed,
    WorkerDied,
)

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
#: So many refusals of a file that was uploaded a moment before: then its class takes no such file.
INPUT_REFUSED_LIMIT: Final = 3

#: Causes that no retry can mend.
_FINAL: Final = frozenset(
    {
        Cause.INVALID_GRAPH,
        Cause.INVALID_INPUT,
        Cause.INPUT_MISSING,
        Cause.RUN_DEADLINE,
        Cause.OUTPUT_CONFLICT,
        Cause.STORAGE_REFUSED,
        Cause.DELIVERY_FAILED,
        Cause.NEEDS_LOGIN,
    }
)
#: Of those, the ones after which a render is there that could not be stored.
_DEAD_LETTERS: Final = frozenset(
    {Cause.OUTPUT_CONFLICT, Cause.STORAGE_REFUSED, Cause.DELIVERY_FAILED}
)
#: Causes that speak against the job.
_CHARGED: Final = frozenset({Cause.EXECUTION_ERROR, Cause.OUT_OF_MEMORY, Cause.INCOMPLETE_OUTPUT})
#: Causes that speak against the node.
_NODE_FAULTS: Final = frozenset(
    {Cause.STALL, Cause.PROMPT_LOST, Cause.NODE_FAULT, Cause.OUTPUT_DAMAGED, Cause.DISK_FULL}
    | {Cause.DEVICE_FAULT, Cause.MODEL_DAMAGED, Cause.IO_FAULT}
)
#: It is seen that the prompt has ended the executing thread: by chance once, not twice.
_PLAIN_LIMIT: Final = 2
#: Causes of which the same on another node is the job's own doing, and how often in all is too often.
_SAME_ELSEWHERE: Final[Mapping[str, int]] = {
    Cause.DEVICE_FAULT: 4,  # an index out of range asserts on every card
    Cause.MODEL_DAMAGED: 4,  # the file is the same on all of them
    Cause.OUTPUT_DAMAGED: 3,
    Cause.STALL: 3,
    Cause.INTERRUPTED: 3,  # a graph may interrupt itself
}
#: Of those, the ones that two nodes may have by chance: only the same error in the same class speaks against the job.
_ALIKE_BY_TEXT: Final = frozenset({Cause.DEVICE_FAULT, Cause.MODEL_DAMAGED})
#: Causes after which the node or its worker was gone: the job may have felled it.
_FELLING: Final = frozenset(
    {Cause.PROMPT_LOST, Cause.NODE_FAULT, Cause.LEASE_LOST, Cause.WORKER_DIED}
)
#: Causes after which another node can begin at once.
_AT_ONCE: Final = frozenset({Cause.NODE_LEFT, Cause.LEASE_LOST, Cause.NODE_LACKS, Cause.TOO_LARGE})

#: The first that fits counts, so a kind stands before its parent.
_CAUSES: Final[tuple[tuple[type[FleetError], str], ...]] = (
    (PromptRejected, Cause.INVALID_GRAPH),
    (NodeLacks, Cause.NODE_LACKS),
    (RequestTooLarge, Cause.TOO_LARGE),
    (InvalidJob, Cause.INVALID_INPUT),
    (RunDeadlinePassed, Cause.RUN_DEADLINE),
    (PromptIncomplete, Cause.INCOMPLETE_OUTPUT),
    (PromptStalled, Cause.STALL),
    (OutputDamaged, Cause.OUTPUT_DAMAGED),
    (PromptLost, Cause.PROMPT_LOST),
    (PromptInterrupted, Cause.INTERRUPTED),
    (HandedBack, Cause.HANDED_BACK),
    (NodeLeaves, Cause.NODE_LEFT),
    (LeaseLapsed, Cause.LEASE_LOST),
    (WorkerDied, Cause.WORKER_DIED),
    (NodeError, Cause.NODE_FAULT),
    (DeliveryFailed, Cause.DELIVERY_FAILED),
    (ObjectConflict, Cause.OUTPUT_CONFLICT),
    (ObjectMissing, Cause.INPUT_MISSING),
    (StorageRefused, Cause.STORAGE_REFUSED),
    (StorageError, Cause.STORAGE_FAULT),
)

#: What a person can do about a cause, where the error itself does not say it.
_ADVICE: Final[Mapping[str, str]] = {
    Cause.OUT_OF_MEMORY: "use a node with more VRAM, a smaller size or batch, or a smaller model;"
    " see `comfyfleet node list`",
    Cause.DISK_FULL: "make room on the node's disk: outputs, temporary files, models",
    Cause.DEVICE_FAULT: "restart the node's ComfyUI, or its machine; look at the driver's messages",
    Cause.MODEL_DAMAGED: "compare the model file on the node with its original, and copy it again",
    Cause.IO_FAULT: "look at the node's disk, mounts and limits (dmesg, ulimit -n)",
    Cause.NEEDS_LOGIN: "give the key of partner nodes: COMFYFLEET_NODE_COMFY_ORG_API_KEY at the worker,"
    " or --api-key-file with the job",
    Cause.EXECUTION_ERROR: "read the message: it is the graph node's own",
    Cause.INCOMPLETE_OUTPUT: "look at the node's log: a saver ran, and its files are not listed",
    Cause.OUTPUT_DAMAGED: "look at the node's output folder, and whether something else empties it",
    Cause.STALL: "look at the graph node that ran last; a longer COMFYFLEET_NODE_PROGRESS_S waits longer",
    Cause.INTERRUPTED: "ask who interrupts prompts at the node by hand",
}
_CHECK_ATTEMPTS: Final = (
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
        fingerprint: of the error, see `fingerprint_of`.
    """

    error: JobError
    again: bool
    charged: bool
    counts: bool = True
    delay: timedelta = timedelta(0)
    dead: bool = False
    blames_node: bool = False
    fingerprint: str = ""


def decide(
    error: FleetError, job: Job, *, node: str | None, pool_nodes: int = FELLED_LIMIT
) -> Decision:
    """Return what to do about *error*, which ended an attempt at *job* on *node*.

    Args:
        pool_nodes: how many nodes the job's pool has.
    """
    decided = _decided(error, job, node=node, pool_nodes=pool_nodes)
    return replace(decided, fingerprint=fingerprint_of(error))


def _decided(error: FleetError, job: Job, *, node: str | None, pool_nodes: int) -> Decision:
    cause = cause_of(error)
    job_error = JobError(
        cause=cause,
        message=error.message,
        graph_node=getattr(error, "graph_node", None),
        node=node,
        advice=error.advice or _ADVICE.get(cause),
    )
    limit = INPUT_REFUSED_LIMIT if isinstance(error, InputRefused) else LACKING_LIMIT
    if cause == Cause.NODE_LACKS and _times(cause, job) + 1 >= limit:
        cause = Cause.INVALID_GRAPH
        job_error = job_error.model_copy(update={"cause": cause})
    if last := _final(error, job_error, job):
        return last
    if cause in _CHARGED:
        again = job.charged_attempts + 1 < CHARGED_LIMIT
        delay = _delay(job.charged_attempts)
        return Decision(job_error, again=again, charged=True, delay=delay, dead=not again)
    if cause == Cause.HANDED_BACK:
        return Decision(job_error, again=True, charged=False, counts=False)
    blames_node = cause in _NODE_FAULTS
    if poison := _poison(job_error, job, pool_nodes):
        return Decision(poison, again=False, charged=False, dead=True, blames_node=blames_node)
    delay = timedelta(0) if cause in _AT_ONCE else _delay(job.free_attempts)
    return Decision(job_error, again=True, charged=False, delay=delay, blames_node=blames_node)


def cause_of(error: FleetError) -> str:
    """Return the one word for *error* that records, filters and metrics use."""
    if isinstance(error, PromptFailed):
        return cause_of_text(error.exception_type, error.message)
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.FLEET_FAULT)


def _final(error: FleetError, job_error: JobError, job: Job) -> Decision | None:
    """Return how the job ends, if no retry can mend what ended the attempt."""
    if job_error.cause == Cause.TOO_LARGE and _times(job_error.cause, job) + 1 >= TOO_LARGE_LIMIT:
        return Decision(job_error, again=False, charged=False)
    if job_error.cause in _FINAL:
        return Decision(
            job_error, again=False, charged=False, dead=job_error.cause in _DEAD_LETTERS
        )
    own = _own_fault(error, job_error, job)
    return Decision(own, again=False, charged=True, dead=True) if own else None


def _own_fault(error: FleetError, job_error: JobError, job: Job) -> JobError | None:
    """Return what to fail the job with, if another node ended it alike, or one did too often."""
    limit = _SAME_ELSEWHERE.get(job_error.cause)
    if limit and isinstance(error, ExecutorEnded):
        limit = _PLAIN_LIMIT
    if limit is None:
        return None
    alike = [attempt for attempt in job.attempts if attempt.error.cause == job_error.cause]
    if job_error.cause in _ALIKE_BY_TEXT:
        fingerprint = fingerprint_of(error)
        alike = [attempt for attempt in alike if attempt.fingerprint == fingerprint]
    nodes = {attempt.node for attempt in alike}
    others = sorted(str(node) for node in nodes - {job_error.node, None})
    if others:
        what = f"it ended alike on {', '.join([*others, str(job_error.node)])}, so it is the job"
    elif _times(job_error.cause, job) + 1 >= limit:
        what = f"it ended so {limit} times"
    else:
        return None
    return job_error.model_copy(update={"message": f"{what}: {job_error.message}"})


def _poison(job_error: JobError, job: Job, pool_nodes: int) -> JobError | None:
    """Return what to fail the job with, if its attempts end through no fault too often."""
    felled = [str(attempt.node) for attempt in job.attempts if attempt.error.cause in _FELLING]
    if job_error.cause in _FELLING and job_error.node:
        felled.append(job_error.node)
    names = sorted({*felled} - {"None"})
    # A pool of two has no third node to fell, and one that stands alone goes down by itself now and then.
    is_whole_pool = len(names) >= pool_nodes and len(felled) >= FELLED_LIMIT
    if len(names) >= FELLED_LIMIT or is_whole_pool or len(felled) >= FELLED_TIMES:
        what = f"{_counted(len(felled))} went away while it ran ({', '.join(names)})"
    elif job.free_attempts + 1 >= FREE_LIMIT:
        what = f"{FREE_LIMIT} attempts ended through no fault of the job's own"
    else:
        return None
    message = f"{what}; the last one so: {job_error.message}"
    return job_error.model_copy(
        update={"cause": Cause.POISON, "message": message, "advice": _CHECK_ATTEMPTS}
    )


def _counted(times: int) -> str:
    return f"{times} times a node or its worker"


def _times(cause: str, job: Job) -> int:
    return sum(attempt.error.cause == cause for attempt in job.attempts)


def _delay(before: int) -> timedelta:
    """Return a wait that doubles from 1 s to a minute, scattered so that jobs do not march."""
    return timedelta(seconds=min(60.0, 2.0**before) * random.uniform(0.5, 1))  # noqa: S311
