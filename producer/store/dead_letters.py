"""Dead letters: failed jobs that a person should look at. They stand in an index, newest last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from producer.contract.dead_letters import DeadLetter
from producer.contract.ids import JobId
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.ended_rows import find_ended_rows
from producer.store.record_reader import Reading, in_pages, read_jobs
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

#: What stands for the cause when there is no record to name it.
RECORD_EXPIRED: Final = "record expired"

#: The same where there is one, and no sense in it.
_UNREADABLE: Final = "record unreadable"

#: The same where the record names none.
_UNKNOWN: Final = "unknown"

_AT_ONCE: Final = 500


class DeadLetterIndex:
    """The index of dead letters.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def newest(self, limit: int) -> list[DeadLetter]:
        """Return up to *limit* of them, the newest first.

        One whose record has expired is given this last time, and leaves the index.
        """
        with translated(self._redis):
            entries: Any = self._redis.zrange(
                keys.DEAD, 0, max(0, limit) - 1, desc=True, withscores=True
            )
        return self._read(entries if limit > 0 else [])

    def find(self, job_id: JobId) -> DeadLetter | None:
        """Return one; None if the job is no dead letter."""
        with translated(self._redis):
            ended_ms: Any = self._redis.zscore(keys.DEAD, job_id)
        return None if ended_ms is None else self._read([(job_id, ended_ms)])[0]

    def ids(self) -> list[JobId]:
        """Return the ids of all, the newest first."""
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.DEAD, 0, -1, desc=True)
        return [JobId(job_id) for job_id in found]

    def causes(self) -> Counter[str]:
        """Count all of them by cause."""
        counts: Counter[str] = Counter()
        for page in in_pages(self.ids(), _AT_ONCE):
            with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
                for job_id in page:
                    pipe.hget(keys.job(job_id), "cause")
                causes = replies_of(pipe)
            gone = [job for job, cause in zip(page, causes, strict=True) if cause is None]
            ended = find_ended_rows(self._redis, gone)
            counts.update(job.cause or _UNKNOWN for job in ended.values())
            counts.update(
                _cause(cause) for job, cause in zip(page, causes, strict=True) if job not in ended
            )
        return counts

    def prune(self) -> int:
        """Take out those whose record has expired, and return how many that were."""
        pruned = 0
        for page in in_pages(self.ids(), _AT_ONCE):
            with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
                for job_id in page:
                    pipe.exists(keys.job(job_id))
                there = pipe.execute()
            gone = [job for job, is_there in zip(page, there, strict=True) if not is_there]
            ended = find_ended_rows(self._redis, gone)
            # A record that is gone never comes back, so nobody can lose a dead letter by this.
            pruned += self.drop([job for job in gone if job not in ended])
        return pruned

    def drop(self, job_ids: Collection[JobId]) -> int:
        """Take jobs out of the index and return how many stood there; records stay as they are."""
        if not job_ids:
            return 0
        with translated(self._redis):
            dropped: Any = self._redis.zrem(keys.DEAD, *job_ids)
        return int(dropped)

    def _read(self, entries: list[tuple[str, float]]) -> list[DeadLetter]:
        ended = {JobId(job_id): utc(int(ended_ms)) for job_id, ended_ms in entries}
        readings = read_jobs(self._redis, list(ended))
        self.drop([reading.job_id for reading in readings if reading.is_gone])
        return [_letter(reading, ended[reading.job_id]) for reading in readings]


def _cause(found: str | Exception | None) -> str:
    return _UNREADABLE if isinstance(found, Exception) else found or RECORD_EXPIRED


def _letter(reading: Reading, ended_at: datetime) -> DeadLetter:
    cause = RECORD_EXPIRED if reading.is_gone else _UNREADABLE
    if reading.job:
        cause = reading.job.cause or _UNKNOWN
    return DeadLetter(id=reading.job_id, ended_at=ended_at, cause=cause, job=reading.job)
