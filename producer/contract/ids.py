"""The ids of jobs, batches and prompts."""

from __future__ import annotations

import os
import time
import uuid
from typing import Final, NewType

JobId = NewType("JobId", str)
BatchId = NewType("BatchId", str)
PromptId = NewType("PromptId", str)

#: Hex digits at an id's end that say which row of its batch a job is; 0 is the batch itself.
_ROW_DIGITS: Final = 8
#: The last row that a batch can have.
MOST_ROWS: Final = 16**_ROW_DIGITS - 1

#: Never change it: a worker finds its running prompts again by the ids made from it.
PROMPT_NAMESPACE: Final = uuid.UUID("6d0a8f0e-5b3c-5f0b-9d6e-c0f1ee7c0f1e")


def new_job_id(*, unix_ms: int | None = None) -> JobId:
    """Return a new UUIDv7 (RFC 9562), lower-case and hyphenated: it sorts by time.

    Args:
        unix_ms: the time it carries; now by default.
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
        unix_ms: the time it carries; now by default.
    """
    return BatchId(_with_row(new_job_id(unix_ms=unix_ms), 0))


def row_id(batch: BatchId, row: int) -> JobId:
    """Return the id of the job that a batch's row is, or will be: rows count from 1."""
    return JobId(_with_row(batch, row))


def row_of(job_id: str) -> tuple[BatchId, int]:
    """Return the batch and the row that a job would be of, if it were a batch's.

    Nobody can tell by the id alone: a job that was submitted singly gives a batch that is not there.
    """
    return BatchId(_with_row(job_id, 0)), int(job_id[-_ROW_DIGITS:], 16)


def parse_job_id(text: str) -> JobId:
    """Return *text* as a job id in its one spelling.

    Raises:
        ValueError: it is no UUID.
    """
    return JobId(str(uuid.UUID(text.strip())))


def _with_row(job_id: str, row: int) -> str:
    return f"{job_id[:-_ROW_DIGITS]}{row:0{_ROW_DIGITS}x}"


def prompt_id(job_id: JobId, attempt: int) -> PromptId:
    """Return the id under which this attempt's prompt is known to its node.

    It is computed, not drawn, so that a worker that lost its memory still knows what to look
    for. ComfyUI from 0.24 on takes only canonical lower-case UUIDs.
    """
    return PromptId(str(uuid.uuid5(PROMPT_NAMESPACE, f"{job_id}/{attempt}")))
