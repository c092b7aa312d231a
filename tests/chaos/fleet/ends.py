"""Which jobs have ended, past every fault: by their records, or by the buckets that their rows are packed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis

from tests.chaos.checker.history import TERMINAL

#: What upkeep has to do with what has ended: pack it, write its results, have it told.
TO_DO: Final = ("unpacked", "unpacked:rows", "results", "outbox")
_IN_A_BUCKET: Final = 100


def ended(client: redis.Redis, jobs: Sequence[str]) -> set[str]:
    """Return those of the jobs that have ended; raises `redis.RedisError`."""
    with client.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.hget(f"comfyfleet:job:{job}", "status")
        statuses = dict(zip(jobs, pipe.execute(), strict=True))
    return {
        job
        for job, status in statuses.items()
        if status in TERMINAL or (status is None and _is_packed(client, job))
    }


def is_done(client: redis.Redis, *to_do: str) -> bool:
    """Tell whether nothing is left of what upkeep has to do; *to_do* as in `TO_DO`."""
    return not any(client.zcard(f"comfyfleet:{name}") for name in to_do)


def _is_packed(client: redis.Redis, job: str) -> bool:
    row = int(job[-8:], 16)
    bucket = str((row - 1) // _IN_A_BUCKET)
    return row > 0 and bool(client.hexists(f"comfyfleet:batch:{job[:-8]}00000000:ended", bucket))
