"""Whether and when to try again. Pure: what went wrong and how often decide, nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from producer.contract.errors import (
    FleetError,
    InvalidJob,
    NodeError,
    OutputDamaged,
    PromptFailed,
    PromptInterrupted,
    PromptLost,
    PromptRejected,
    PromptStalled,
    RunDeadlinePassed,
    StorageError,
)
from producer.contract.jobs import JobError

#: Attempts that may end by the job's own fault.
CHARGED_LIMIT: Final = 3
#: Attempts that may end through no fault of the job's, before it counts as poison.
FREE_LIMIT: Final = 10

#: How ComfyUI 0.3.64 and 0.33.0 name a graphics card's lack of memory in execution_error.
_OUT_OF_MEMORY: Final = ("OutOfMemoryError", "can't allocate memory", "ran out of memory")

#: The first that fits counts, so a kind stands before its parent.
_CAUSES: Final[tuple[tuple[type[FleetError], str], ...]] = (
    (PromptRejected, "invalid_graph"),
    (InvalidJob, "invalid_input"),
    (RunDeadlinePassed, "run_deadline"),
    (PromptStalled, "stall"),
    (OutputDamaged, "output_damaged"),
    (PromptLost, "prompt_lost"),
    (PromptInterrupted, "prompt_lost"),
    (NodeError, "node_fault"),
    (StorageError, "storage_fault"),
)

_MORE_VRAM: Final = "use a node with more VRAM, a smaller size or batch, or a smaller model; see `comfyfleet node list`"


@dataclass(frozen=True)
class Decision:
    """What becomes of a job after an attempt ended without success.

    Args:
        again: whether it waits for another attempt; else it has failed.
        charged: whether the attempt counts against the job.
        delay: how long nobody may start it.
        dead: whether to list it as a dead letter.
    """

    error: JobError
    again: bool
    charged: bool
    delay: timedelta = timedelta(0)
    dead: bool = False


def decide(error: FleetError, *, node: str, charged: int, free: int) -> Decision:
    """Return what to do about *error*.

    Args:
        node: where the attempt ran.
        charged, free: how many attempts ended so before this one.
    """
    cause = cause_of(error)
    story = JobError(
        cause=cause,
        message=error.message,
        graph_node=getattr(error, "graph_node", None),
        node=node,
        advice=_MORE_VRAM if cause == "out_of_memory" else error.advice,
    )
    if cause in {"invalid_graph", "invalid_input", "run_deadline"}:
        return Decision(story, again=False, charged=False)
    if cause in {"execution_error", "out_of_memory"}:
        again = charged + 1 < CHARGED_LIMIT
        return Decision(story, again=again, charged=True, delay=_delay(charged), dead=not again)
    if free + 1 < FREE_LIMIT:
        return Decision(story, again=True, charged=False, delay=_delay(free))
    poison = story.model_copy(
        update={
            "cause": "poison",
            "message": f"{FREE_LIMIT} attempts ended through no fault of the job's own, "
            f"the last one so: {error.message}",
            "advice": "look at the attempts in `comfyfleet job show`; does this graph kill its node?",
        }
    )
    return Decision(poison, again=False, charged=False, dead=True)


def cause_of(error: FleetError) -> str:
    """Return the one word for *error* that records, filters and metrics use."""
    if isinstance(error, PromptFailed):
        text = f"{error.exception_type} {error.message}"
        out_of_memory = any(sign in text for sign in _OUT_OF_MEMORY)
        return "out_of_memory" if out_of_memory else "execution_error"
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "fleet_fault")


def _delay(before: int) -> timedelta:
    """Return a wait that doubles from 1 s to a minute, scattered so that jobs do not march."""
    return timedelta(seconds=min(60.0, 2.0**before) * random.uniform(0.5, 1))  # noqa: S311
