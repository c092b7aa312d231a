"""Ids of jobs, batches and prompts: UUIDs, made and parsed."""

from __future__ import annotations

import os
import secrets
import threading
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


#: An id's time is in these: 60 bits of a UUIDv7 count them since 1970 (RFC 9562, 6.2, method 3).
_TICKS_OF_A_MS: Final = 1 << 12
#: A clock that was set back by more than this is followed.
_LEAST_SET_BACK: Final = 1_000 * _TICKS_OF_A_MS


class _Ticks:
    """Times of which no two are equal and each is later than the last, in this process."""

    def __init__(self) -> None:
        self._last = 0
        self._turn = threading.Lock()
        os.register_at_fork(after_in_child=self._in_a_child)

    def next(self) -> int:
        now = time.time_ns() * _TICKS_OF_A_MS // 1_000_000
        with self._turn:
            if now <= self._last < now + _LEAST_SET_BACK:
                now = self._last + 1
            self._last = now
        return now

    def _in_a_child(self) -> None:
        self._turn = threading.Lock()  # another thread may have held it


_ticks = _Ticks()


def new_job_id(*, unix_ms: int | None = None) -> JobId:
    """Return a new UUIDv7 (RFC 9562), lower-case with hyphens: it sorts by time.

    Those of one process sort in the order in which they were made, also within a millisecond.

    Args:
        unix_ms: the time in it; now by default.
    """
    if unix_ms is None:
        ms, fraction = divmod(_ticks.next(), _TICKS_OF_A_MS)
    else:
        ms, fraction = unix_ms, secrets.randbits(12)
    value = ms << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
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
