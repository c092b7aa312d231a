"""Ids of jobs, batches and prompts: UUIDs, made and parsed."""

from __future__ import annotations

import os
import time
import uuid
from typing import Final, NewType

JobId = NewType("JobId", str)
BatchId = NewType("BatchId", str)
PromptId = NewType("PromptId", str)

#: Last hex digits of a job's id, which are its row's number in a batch; 0 in the batch's own id.
_ROW_DIGITS: Final = 8
#: The highest row number of a batch.
MOST_ROWS: Final = 16**_ROW_DIGITS - 1

#: Never change it: a worker finds its running prompts again by the ids made from it.
PROMPT_NAMESPACE: Final = uuid.UUID("6d0a8f0e-5b3c-5f0b-9d6e-c0f1ee7c0f1e")

#: Never change it: while it lives, an action is found again by its idempotency key.
_ACTION_NAMESPACE: Final = uuid.UUID("0b7a0c53-3a52-5d0e-9a0f-5f6d5f1f3f0a")


def new_job_id(*, unix_ms: int | None = None) -> JobId:
    """Return a new UUIDv7 (RFC 9562), lower-case with hyphens: it sorts by time.

    Args:
        unix_ms: the time in it; now by default.
    """
    if unix_ms is None:
        unix_ms = time.time_ns() // 1_000_000
    value = unix_ms << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0x3 << 62) | 2 << 62  # variant
    return JobId(str(uuid.UUID(int=value)))


def new_batch_id(*, unix_ms: int | None = None) -> BatchId:
    """Return a new batch's id: a UUIDv7 whose low 32 bits are 0.

    Args:
        unix_ms: the time in it; now by default.
    """
    return BatchId(_with_row(new_job_id(unix_ms=unix_ms), 0))


def keyed_action_id(owner: str, key: str) -> str:
    """Return the id of the action that an owner asks for under an idempotency key."""
    return str(uuid.uuid5(_ACTION_NAMESPACE, f"{len(owner)}:{owner}:{key}"))


def row_id(batch: BatchId, row: int) -> JobId:
    """Return the id of the job of a batch's row, whether it exists yet or not; rows count from 1."""
    return JobId(_with_row(batch, row))


def row_of(job_id: str) -> tuple[BatchId, int]:
    """Return the batch and row in a job's id.

    The id alone does not tell whether there is such a batch: that of a single job gives one that
    does not exist.
    """
    return BatchId(_with_row(job_id, 0)), int(job_id[-_ROW_DIGITS:], 16)


def parse_job_id(text: str) -> JobId:
    """Return *text* as a job id: a UUID in lower case with hyphens.

    Raises:
        ValueError: it is no UUID.
    """
    return JobId(str(uuid.UUID(text.strip())))


def parse_batch_id(text: str) -> BatchId:
    """Return *text* as a batch id, as `parse_job_id` does."""
    return BatchId(str(uuid.UUID(text.strip())))


def _with_row(job_id: str, row: int) -> str:
    return f"{job_id[:-_ROW_DIGITS]}{row:0{_ROW_DIGITS}x}"


def prompt_id(job_id: JobId, attempt: int) -> PromptId:
    """Return the prompt id of an attempt at its node.

    It is computed, not random, so that a restarted worker finds the prompts of its predecessor.
    ComfyUI from 0.24 on accepts only lower-case UUIDs with hyphens.
    """
    return PromptId(str(uuid.uuid5(PROMPT_NAMESPACE, f"{job_id}/{attempt}")))


def event_order(event_id: str) -> tuple[int, int]:
    """Return what ids of the event stream are sorted by."""
    ms, _, number = event_id.partition("-")
    return int(ms), int(number or 0)
