"""Audit for `comfyfleet check`: compares indexes, counts and records, and repairs what one script can repair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import JobId
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.batch_audit import BatchAudit
from producer.store.connection import replies_of, translated
from producer.store.counts import count_of, shown
from producer.store.job_lists import ENDED_BADLY
from producer.store.key_types import TYPES, ForeignKey, foreign_keys
from producer.store.owner_audit import OwnerAudit
from producer.store.packed_rows_audit import ENDED_ROWS, PackedRowsAudit
from producer.store.record_reader import Reading, in_pages, read_jobs
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms, utc

if TYPE_CHECKING:
    from redis import Redis

#: Keys or entries a round trip. A script looks at so many in about 2 ms, and nobody waits longer.
_AT_ONCE: Final = 200

#: In the order in which `recount.lua` takes them.
_ENDED: Final = (
    *(JobStatus.SUCCEEDED, JobStatus.FAILED),
    *(JobStatus.CANCELLED, JobStatus.EXPIRED),
)


@dataclass(frozen=True)
class Index:
    """A zset of jobs, and which of the scripts' nine kinds it is."""

    key: str
    kind: str


@dataclass(frozen=True)
class Count:
    """One count of a batch that is wrong."""

    status: str
    found: int | str  #: What else stands there, if it is no number.
    recounted: int


@dataclass(frozen=True)
class BatchCounted:
    """What a batch counts.

    Args:
        without_record: of these, what ended with its batch before it had a record.
        made_again: how often a job of it was made again.
        is_torn: whether a count is no number.
    """

    counts: Counter[str] = field(default_factory=Counter)
    without_record: Counter[str] = field(default_factory=Counter)
    made_again: int = 0
    is_torn: bool = False


class Audit:
    """Reads everything, a page at a time, and mends what one script can mend by itself.

    Args:
        redis: connected with `decode_responses=True`.
        scripts: only tests give their own, to move the clock.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def now(self) -> datetime:
        """Return the time by Redis' own clock."""
        return utc(now_ms(self._redis))

    def records(self) -> Iterator[list[Reading]]:
        """Give every record that is there from the first page to the last; one may come twice."""
        ids = (JobId(key.removeprefix(keys.JOB)) for key in self._keys(keys.JOB))
        for page in in_pages(ids, _AT_ONCE):
            yield self.read(page)

    def read(self, job_ids: Sequence[JobId]) -> list[Reading]:
        """Read some records."""
        return read_jobs(self._redis, job_ids)

    def mend_jobs(
        self, job_ids: Collection[JobId], *, lease: timedelta, overdue: timedelta, mend: bool
    ) -> list[tuple[JobId, str, str]]:
        """Find what the indexes lack of these jobs, and add it if *mend*.

        Args:
            overdue: how long after its lease ran out a job should have been taken over.

        Returns:
            Job, fault and detail, as `mend_job.lua` lists them.
        """
        reply: list[list[Any]] = self._scripts.run(
            "mend_job", args=[int(mend), to_ms(lease), to_ms(overdue), *job_ids]
        )
        return [(JobId(job_id), fault, str(detail)) for job_id, fault, detail in reply]

    def indexes(self) -> list[Index]:
        """Return every index of jobs."""
        return [
            Index(keys.LEASES, "leases"),
            Index(keys.DELAYED, "delayed"),
            Index(keys.UNPACKED, "unpacked"),
            Index(keys.COPIES, "copies"),
            Index(keys.DEAD, "dead"),
            Index(keys.JOBS, "jobs"),
            *(Index(key, "jobs") for key in self._keys(f"{keys.JOBS}:")),
            *(Index(keys.ended(status), "ended") for status in ENDED_BADLY),
            *(Index(key, "queued") for key in self._keys(keys.QUEUED)),
            *(Index(key, "live") for key in self._keys(keys.LIVE)),
        ]

    def foreign_keys(self) -> Iterator[ForeignKey]:
        """Yield the indexes and counts that are keys of another type, but for those of `indexes`."""
        known = {index.key for index in self.indexes()}
        names = chain(TYPES, self._keys(keys.OWNER), self._keys(keys.IDLE), self._keys(keys.NODE))
        with translated(self._redis):
            yield from foreign_keys(self._redis, (name for name in names if name not in known))

    def is_zset(self, index: Index) -> bool:
        """Return whether an index is a sorted set, or absent; a key of another type lists nothing."""
        with translated(self._redis):
            return self._redis.type(index.key) in {"zset", "none"}

    def entries(self, index: Index) -> Iterator[list[JobId]]:
        """Give the jobs that an index lists; one may come twice."""
        with translated(self._redis):
            found = self._redis.zscan_iter(index.key, count=_AT_ONCE)
            yield from in_pages((JobId(job_id) for job_id, _ in found), _AT_ONCE)

    def mend_index(
        self, index: Index, job_ids: Collection[JobId], *, mend: bool
    ) -> list[tuple[JobId, str]]:
        """Find entries that do not belong in an index, and remove them if *mend*.

        Returns:
            Job and its status, which is empty when there is no record.
        """
        reply: list[list[str]] = self._scripts.run(
            "mend_index", keys=[index.key], args=[index.kind, int(mend), *job_ids]
        )
        return [(JobId(job_id), status) for job_id, status in reply]

    def outbox_strays(self, *, mend: bool) -> Iterator[str]:
        """Give the entries of the outbox that do not belong there, and remove them if *mend*."""
        with translated(self._redis):
            found = self._redis.zscan_iter(keys.OUTBOX, count=_AT_ONCE)
            for page in in_pages((str(entry) for entry, _ in found), _AT_ONCE):
                yield from self._scripts.run("mend_outbox", args=[int(mend), *page])

    def batches(self) -> dict[str, BatchCounted]:
        """Return every batch that has counts, with how many jobs it counts in each status."""
        batches: dict[str, BatchCounted] = {}
        for page in in_pages(self._batch_keys(), _AT_ONCE):
            with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
                for key in page:
                    pipe.hmget(key, [*JobStatus, "rest", "rest_rows", "made_again"])
                for key, (*counts, rest, rows, again) in zip(page, pipe.execute(), strict=True):
                    batches[key.removeprefix(keys.BATCH)] = BatchCounted(
                        Counter(dict(zip(JobStatus, map(_whole, counts), strict=True))),
                        Counter({rest: _whole(rows)} if rest else {}),
                        _whole(again),
                        any(count_of(count) is None for count in counts),
                    )
        return batches

    def of_packed_rows(self) -> PackedRowsAudit:
        """Return what can be asked of packed rows alone."""
        return PackedRowsAudit(self._redis, self._scripts)

    def of_batches(self) -> BatchAudit:
        """Return what can be asked of batches alone."""
        return BatchAudit(self._redis, self._scripts)

    def of_owners(self) -> OwnerAudit:
        """Return what can be asked of owners alone."""
        return OwnerAudit(self._redis, self._scripts)

    def recount(
        self,
        batch: str,
        *,
        before: BatchCounted,
        ended: Counter[str],
        others: Collection[JobId],
        is_complete: bool,
        mend: bool,
    ) -> list[Count]:
        """Compare a batch's counts with its jobs, and set them if *mend*.

        Only those jobs are looked at that had not ended, so that Redis is not kept from others: of a
        batch they are no more than its window, however many rows it has.

        Args:
            before: what it counted before its jobs were looked up: who grew since is not judged.
            ended: how many of its jobs had ended, and how; of those made again the newest counts.
            others: its other jobs, whatever has become of them; those of other batches do not count.
            is_complete: whether no record of an ended job of it can have expired yet.

        Returns:
            The counts that are wrong; none if it has grown since, or a job of it was made again.
        """
        reply: list[list[Any]] = self._scripts.run(
            "recount",
            keys=[f"{keys.BATCH}{batch}"],
            args=[
                *(batch, int(mend), before.counts.total(), before.made_again, int(is_complete)),
                *(ended[status] for status in _ENDED),
                *others,
            ],
        )
        return [Count(status, shown(found), int(recount)) for status, found, recount in reply]

    def busy_nodes(self) -> set[str]:
        """Return the nodes that hold a job at this moment."""
        with translated(self._redis):
            running: Any = self._redis.zrange(keys.LEASES, 0, -1)
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in running:
                    pipe.hget(keys.job(job_id), "node")
                return {node for node in replies_of(pipe) if isinstance(node, str)}

    def _batch_keys(self) -> Iterator[str]:
        # Beside its hash a batch has its rows, which are hashes, too.
        others = (":rows", ENDED_ROWS)
        return (key for key in self._keys(keys.BATCH, kind="HASH") if not key.endswith(others))

    def _keys(self, prefix: str, *, kind: str | None = None) -> Iterator[str]:
        with translated(self._redis):
            yield from self._redis.scan_iter(f"{prefix}*", count=1000, _type=kind)


def _whole(count: str | None) -> int:
    """Return a count as `recount.lua` takes it: what is no number counts as nothing."""
    return count_of(count) or 0
