"""Copies to be made: which jobs have some that are due, who makes them now, and what has come of them.

A job comes to stand in `comfyfleet:copies` in the step that commits it, and leaves it in the step that notes the last of
its copies as done or given up. Who takes one has it for a time, so a worker that dies leaves it to the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from producer.contract.deliver import Copy
from producer.contract.ids import JobId
from producer.store import keys
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms

if TYPE_CHECKING:
    from redis import Redis


@dataclass
class TakenCopies:
    """A job whose copies the caller is to make.

    Args:
        due_again_ms: when somebody else may take it, Unix ms by Redis' clock; None once it is not the caller's.
    """

    job_id: JobId
    due_again_ms: str | None


class CopyQueue:
    """The jobs of which copies are to be made.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def take(self, *, within: timedelta) -> TakenCopies | timedelta | None:
        """Take the job that has waited longest; else return how long until one is due, None if there is none.

        Args:
            within: after so long it is due again, unless `settle` was called before.
        """
        job_id, when = self._scripts.run("copies_take", args=[to_ms(within)])
        if job_id:
            return TakenCopies(JobId(job_id), when)
        return timedelta(milliseconds=int(when)) if when else None

    def settle(
        self, taken: TakenCopies, copies: Sequence[Copy] | None, *, wait: timedelta | None
    ) -> bool:
        """Note what has come of the copies, None to leave that as it is.

        Args:
            wait: after so long the job is due again; None if nothing is left to do.

        Returns:
            Whether the job was still the caller's, or had nothing left to do.
        """
        if taken.due_again_ms is None:
            return False
        written = "" if copies is None else copies_json(copies)
        waits = "" if wait is None else to_ms(wait)
        again = self._scripts.run(
            "copies_settle", args=[taken.job_id, taken.due_again_ms, written, waits]
        )
        taken.due_again_ms = again or None
        return bool(again) or wait is None

    def waiting(self) -> tuple[int, int]:
        """Return of how many jobs copies are to be made, and of how many they are due."""
        now = now_ms(self._redis)
        with translated(self._redis):
            return int(self._redis.zcard(keys.COPIES)), int(
                self._redis.zcount(keys.COPIES, "-inf", now)
            )


def copies_json(copies: Sequence[Copy]) -> str:
    """Return copies as a record keeps them."""
    found = [copy.model_dump(mode="json", exclude_none=True) for copy in copies]
    return json.dumps(found, separators=(",", ":"))
