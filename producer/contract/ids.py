"""The ids of jobs and prompts."""

from __future__ import annotations

import os
import time
import uuid
from typing import Final, NewType

JobId = NewType("JobId", str)
PromptId = NewType("PromptId", str)

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


def parse_job_id(text: str) -> JobId:
    """Return *text* as a job id in its one spelling.

    Raises:
        ValueError: it is no UUID.
    """
    return JobId(str(uuid.UUID(text.strip())))


def prompt_id(job_id: JobId, attempt: int) -> PromptId:
    """Return the id under which this attempt's prompt is known to its node.

    It is computed, not drawn, so that a worker that lost its memory still knows what to look
    for. ComfyUI from 0.24 on takes only canonical lower-case UUIDs.
    """
    return PromptId(str(uuid.uuid5(PROMPT_NAMESPACE, f"{job_id}/{attempt}")))
