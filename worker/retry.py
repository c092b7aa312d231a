"""Whether and when to try again. Pure: what went wrong and how often decide, nothing else."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from producer.contract.errors import (
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
)
from producer.contract.jobs import Attempt, Job, JobError

#: Attempts that may end by the job's own fault.
CHARGED_LIMIT: Final = 3
#: Attempts that may end through no fault of the job's, before it counts as poison.
FREE_LIMIT: Final = 10
#: So many different nodes felled are no chance.
FELLED_LIMIT: Final = 3
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
    }
)
#: Of those, the ones after which a render is there that could not be stored.
_LISTED: Final = frozenset({"output_conflict", "storage_refused"})
#: Causes that speak against the job.
_CHARGED: Final = frozenset({"execution_error", "out_of_memory", "incomplete_output"})
#: Causes that speak against the node.
_NODE_FAULTS: Final = frozenset(
    {"stall", "prompt_lost", "node_fault", "output_damaged", "disk_full"}
)
#: Causes after which the node or its worker was gone: the job may have felled it.
_FELLING: Final = frozenset({"prompt_lost", "node_fault", "lease_lost"})
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
    (NodeError, "node_fault"),
    (ObjectConflict, "output_conflict"),
    (ObjectMissing, "input_missing"),
    (StorageRefused, "storage_refused"),
    (StorageError, "storage_fault"),
)

#: What an execution_error really is, by its text. ComfyUI 0.3.64 and 0.33.0 name a lack of
#: memory in one of three ways; a full disk is the node's fault, not the job's.
_SIGNS: Final = (
    ("OutOfMemoryError", "out_of_memory"),
    ("can't allocate memory", "out_of_memory"),
    ("ran out of memory", "out_of_memory"),
    ("No space left on device", "disk_full"),
)

_MORE_VRAM: Final = "use a node with more VRAM, a smaller size or batch, or a smaller model; see `comfyfleet node list`"
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


def decide(error: FleetError, job: Job, *, node: str | None) -> Decision:
    """Return what to do about *error*, which ended an attempt at *job* on *node*."""
    cause = cause_of(error)
    story = JobError(
        cause=cause,
        message=error.message,
        graph_node=getattr(error, "graph_node", None),
        node=node,
        advice=_MORE_VRAM if cause == "out_of_memory" else error.advice,
    )
    if cause == "node_lacks" and _times(cause, job) + 1 >= LACKING_LIMIT:
        cause = "invalid_graph"
        story = story.model_copy(update={"cause": cause})
    if cause == "too_large" and _times(cause, job) + 1 >= TOO_LARGE_LIMIT:
        return Decision(story, again=False, charged=False)
    if cause in _FINAL:
        return Decision(story, again=False, charged=False, dead=cause in _LISTED)
    if cause in _CHARGED:
        again = job.charged_attempts + 1 < CHARGED_LIMIT
        delay = _delay(job.charged_attempts)
        return Decision(story, again=again, charged=True, delay=delay, dead=not again)
    if cause == "handed_back":
        return Decision(story, again=True, charged=False, counts=False)
    blames_node = cause in _NODE_FAULTS
    if poison := _poison(story, job):
        return Decision(poison, again=False, charged=False, dead=True, blames_node=blames_node)
    delay = timedelta(0) if cause in _AT_ONCE else _delay(job.free_attempts)
    return Decision(story, again=True, charged=False, delay=delay, blames_node=blames_node)


def cause_of(error: FleetError) -> str:
    """Return the one word for *error* that records, filters and metrics use."""
    if isinstance(error, PromptFailed):
        text = f"{error.exception_type} {error.message}"
        return next((cause for sign, cause in _SIGNS if sign in text), "execution_error")
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "fleet_fault")


def _poison(story: JobError, job: Job) -> JobError | None:
    """Return what to fail the job with, if its attempts end through no fault too often."""
    felled = _felled(job.attempts) | ({story.node} if story.cause in _FELLING else set())
    felled.discard(None)
    if len(felled) >= FELLED_LIMIT:
        what = f"{len(felled)} nodes went away while they ran it ({', '.join(sorted(map(str, felled)))})"
    elif job.free_attempts + 1 >= FREE_LIMIT:
        what = f"{FREE_LIMIT} attempts ended through no fault of the job's own"
    else:
        return None
    message = f"{what}; the last one so: {story.message}"
    return story.model_copy(
        update={"cause": "poison", "message": message, "advice": _LOOK_AT_ATTEMPTS}
    )


def _times(cause: str, job: Job) -> int:
    return sum(attempt.error.cause == cause for attempt in job.attempts)


def _felled(attempts: Collection[Attempt]) -> set[str | None]:
    return {attempt.node for attempt in attempts if attempt.error.cause in _FELLING}


def _delay(before: int) -> timedelta:
    """Return a wait that doubles from 1 s to a minute, scattered so that jobs do not march."""
    return timedelta(seconds=min(60.0, 2.0**before) * random.uniform(0.5, 1))  # noqa: S311
