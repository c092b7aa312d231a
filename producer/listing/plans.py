"""By which sources a list is read: the narrowest that hold all of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import BatchNotFound, InvalidBatch
from producer.contract.filters.query import ENDED_BADLY, Filter
from producer.contract.filters.times import TimeSpan
from producer.contract.ids import BatchId, new_job_id
from producer.contract.jobs import JobStatus
from producer.listing.batch_rows import BatchRows
from producer.store import keys
from producer.store.batch_reader import BatchReader
from producer.store.batch_records import BatchRecord
from producer.store.connection import translated
from producer.store.job_lists import owners
from producer.store.job_sources import EndedLists, Few, OwnerLists, Source
from producer.store.job_store import JobStore
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

#: So many jobs are read as a whole where that is less than the rows of a batch.
_FEW: Final = 2_000
#: An id's time is by its producer's clock, a record's by that of Redis.
_CLOCKS_APART: Final = timedelta(days=1)


class Plans:
    """Chooses the sources of a list.

    A plan is a word, which goes into the cursor, so that the pages of one list are read alike:
        jobs     what was submitted singly, by owner, the newest first
        ended    running jobs, then those that ended badly, the last first; rows of batches included
        rows     rows of batches, in their order
        running  running jobs of batches
        failed   failed jobs of batches, by a list of all failures that is short
    """

    def __init__(self, redis: Redis, jobs: JobStore, batches: BatchReader) -> None:
        self._redis = redis
        self._jobs = jobs
        self._batches = batches

    def choose(self, wanted: Filter) -> str:
        """Return the plan for a filter."""
        statuses = wanted.statuses
        if wanted.wanted("batch") is not None:
            if statuses == {JobStatus.RUNNING}:
                return "running"
            if statuses == {JobStatus.FAILED} and self._count(keys.ended("failed")) <= _FEW:
                return "failed"
            return "rows"
        return "ended" if statuses <= ENDED_BADLY | {JobStatus.RUNNING} else "jobs"

    def sources(
        self, plan: str, wanted: Filter, *, batches: Sequence[str], began_ms: int
    ) -> list[Source]:
        """Return the sources of a plan, in the order in which they are read.

        Args:
            batches: ids, in place of the names in the filter.
            began_ms: when the first page was read.

        Raises:
            BatchNotFound: a batch is not there.
            InvalidBatch: one is still open.
        """
        if plan == "rows":
            records = self._sealed(batches, owners=wanted.wanted("owner"))
            return [BatchRows(self._jobs, records, wanted)]
        if plan == "running":
            ids = [job_id for batch in batches for job_id in self._all(keys.live(batch))]
            return [Few(self._redis, ids, wanted, newest_first=False)]
        if plan == "failed":
            ids = self._all(keys.ended("failed"))
            return [Few(self._redis, ids, wanted, newest_first=False, only_newest=True)]
        if plan == "ended":
            return self._by_end(wanted, began_ms)
        return [self._by_owner(wanted)]

    def _by_end(self, wanted: Filter, began_ms: int) -> list[Source]:
        sources: list[Source] = []
        if JobStatus.RUNNING in wanted.statuses:
            ids = self._all(keys.LEASES)
            sources.append(Few(self._redis, ids, wanted, newest_first=True))
        if ended := wanted.statuses & ENDED_BADLY:
            # What runs now and ends later is not given twice.
            span = wanted.span("ended").within(TimeSpan(until=utc(began_ms + 1)))
            sources.append(EndedLists(self._redis, self._jobs, ended, wanted, span=span))
        return sources

    def _by_owner(self, wanted: Filter) -> Source:
        named = wanted.wanted("owner")
        whose = owners(self._redis) if named is None else sorted(named)
        first, last = _ids(wanted.span("created"))
        return OwnerLists(self._redis, self._jobs.scripts, whose, wanted, first=first, last=last)

    def _sealed(
        self, batches: Sequence[str], *, owners: Collection[str] | None
    ) -> list[BatchRecord]:
        records = [self._batches.record(BatchId(batch)) for batch in batches]
        for record in records:
            # The ids come from a cursor, which anybody can write; what of a batch is another's is not even there.
            if owners is not None and record.spec.owner not in owners:
                raise BatchNotFound(record.id)
            if record.is_open:
                raise InvalidBatch(record.id, "is still open: its rows are not accepted yet")
        return records

    def _count(self, key: str) -> int:
        with translated(self._redis):
            return int(self._redis.zcard(key))

    def _all(self, key: str) -> list[str]:
        with translated(self._redis):
            found: Any = self._redis.zrange(key, 0, -1)
        return list(found)


def _ids(span: TimeSpan) -> tuple[str, str]:
    """Return ids between which those of jobs lie that were made within a span."""
    first = new_job_id(unix_ms=_ms(span.since, -_CLOCKS_APART))[:13] if span.since else ""
    last = new_job_id(unix_ms=_ms(span.until, _CLOCKS_APART))[:13] + "~" if span.until else ""
    return first, last


def _ms(at: Any, apart: timedelta) -> int:
    return max(0, min((1 << 48) - 1, int((at.timestamp() + apart.total_seconds()) * 1000)))
