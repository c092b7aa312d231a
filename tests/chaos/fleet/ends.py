"""Which jobs have ended, past every fault: by their records, or by the buckets that their rows are packed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis

from tests.chaos.checker.history import TERMINAL

#: What is to be done with what has ended: pack it, write its results, have it told, make its copies.
TO_DO: Final = ("unpacked", "unpacked:rows", "results", "outbox", "deliveries", "copies")
_IN_A_BUCKET: Final = 100
#: The letters of a bucket, one a row; what follows them is no text.
_LETTERS: Final = (
    "return string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^1([sfce-]*)') or ''"
)
_STATUSES: Final = {"s": "succeeded", "f": "failed", "c": "cancelled", "e": "expired"}


def status_of(client: redis.Redis, job: str) -> str:
    """Return where a job is; empty if it has neither a record nor a place in a bucket."""
    status = client.hget(f"comfyfleet:job:{job}", "status")
    return str(status) if status else _packed_status(client, job)


def ended(client: redis.Redis, jobs: Sequence[str]) -> set[str]:
    """Return those of the jobs that have ended; raises `redis.RedisError`."""
    with client.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.hget(f"comfyfleet:job:{job}", "status")
        statuses = dict(zip(jobs, pipe.execute(), strict=True))
    return {
        job
        for job, status in statuses.items()
        if (status or _packed_status(client, job)) in TERMINAL
    }


def is_done(client: redis.Redis, *to_do: str) -> bool:
    """Tell whether nothing is left to be done; *to_do* as in `TO_DO`."""
    return not any(client.zcard(f"comfyfleet:{name}") for name in to_do)


def _packed_status(client: redis.Redis, job: str) -> str:
    row = int(job[-8:], 16)
    if not row:
        return ""
    bucket, index = divmod(row - 1, _IN_A_BUCKET)
    key = f"comfyfleet:batch:{job[:-8]}00000000:ended"
    letters = str(client.eval(_LETTERS, 1, key, str(bucket)))
    return _STATUSES.get(letters[index : index + 1], "")
