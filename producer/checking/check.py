"""Check (`comfyfleet check`): do indexes, counts and objects agree with the job records?

The record is the truth: an index entry, a count or an object that contradicts it is a finding, and
most findings can be repaired. One Lua script reads both sides and repairs them in one step, so a
check may run beside a busy fleet, and reports nothing that merely changed between two reads.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Self

from producer.checking.batch_check import BatchCheck
from producer.checking.findings import Finding, Kind
from producer.checking.job_faults import FAULTS, NEVER_MENDED
from producer.checking.object_check import ObjectCheck
from producer.checking.operations_check import OperationsCheck
from producer.checking.owner_check import OwnerCheck
from producer.checking.packed_rows_check import PackedRowsCheck
from producer.checking.queue_check import QueueCheck
from producer.checking.rates_check import RatesCheck
from producer.checking.record_summary import RecordSummary
from producer.checking.unreadable import foreign_key, no_index, not_checked, unreadable
from producer.checking.upload_check import UploadCheck
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetError, KeyOfAnotherType
from producer.contract.ids import JobId
from producer.storage.batch_results import BatchResults
from producer.storage.inventory import Inventory
from producer.store.audit import Audit, BatchCounted, Index
from producer.store.connection import connect
from producer.store.node_store import NodeStore
from producer.store.rates_audit import RatesAudit
from producer.store.sweeps import Sweeps
from producer.store.totals import Totals

#: How long a queued job may wait while a node that could run it is idle.
STUCK_AFTER: Final = timedelta(minutes=1)
#: How old an orphaned object or unfinished upload must be before it is removed: an overtaken
#: attempt may still be storing.
ORPHAN_AGE: Final = timedelta(days=1)

_log = logging.getLogger(__name__)

_TIMED_UUID: Final = 7  # the version of UUID that begins with Unix ms


@dataclass(frozen=True)
class _Part:
    """A part of a check.

    Args:
        needs: the parts by what they read it judges, and would misjudge if they were left halfway.
    """

    name: str
    findings: Iterator[Finding]
    needs: tuple[str, ...] = ()


class Check:
    """One pass over records, indexes, counts, queues and, if asked, the bucket.

    Args:
        repair: repair the kinds of findings that can be repaired safely.
        stuck_after, orphan_age: see `STUCK_AFTER` and `ORPHAN_AGE`.
        recheck_for: how long an idle node is observed before a job counts as not started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        repair: bool = False,
        stuck_after: timedelta = STUCK_AFTER,
        orphan_age: timedelta = ORPHAN_AGE,
        recheck_for: timedelta = timedelta(seconds=10),
        audit: Audit | None = None,
    ) -> None:
        self._settings = settings
        self._repair = repair
        self._finding = partial(Finding, mended=repair)
        self._lease = timedelta(seconds=settings.lease_s)
        self._redis = connect(settings)
        self._audit = audit or Audit(self._redis)
        self._sweeps = Sweeps(self._redis, keep_ended=timedelta(seconds=settings.keep_ended_s))
        self._queues = QueueCheck(
            self._audit,
            NodeStore(self._redis, lease=self._lease),
            stuck_after=stuck_after,
            recheck_for=recheck_for,
        )
        batches = self._audit.of_batches()
        self._batch_check = BatchCheck(batches, repair=repair)
        self._owners = OwnerCheck(self._audit.of_owners(), batches, repair=repair)
        self._rates = RatesCheck(RatesAudit(self._redis), Totals(self._redis), repair=repair)
        self._operations = OperationsCheck(self._audit, self._redis, repair=repair)
        self._inventory = Inventory(settings)
        self._results = BatchResults(settings)
        self._objects = ObjectCheck(
            self._inventory,
            self._audit,
            prefix=settings.s3_prefix,
            orphan_age=orphan_age,
            repair=repair,
        )
        self._packed = PackedRowsCheck(self._audit.of_packed_rows(), self._results, repair=repair)
        self._uploads = UploadCheck(self._inventory, self._audit, age=orphan_age, repair=repair)
        self.summary = RecordSummary()
        self._counts: dict[str, BatchCounted] = {}
        self._moves: Mapping[str, str] = {}

    def run(self, *, objects: bool = False) -> Iterator[Finding]:
        """Check records, indexes, counts and queues; yield each finding as it is made.

        Args:
            objects: also compare the bucket with the records; lists the whole bucket.

        Raises:
            FleetUnreachable, StorageError: Redis or S3 failed; findings yielded before stay valid.
        """
        self.summary = RecordSummary()
        foreign = {key.key: foreign_key(key) for key in self._audit.foreign_keys()}
        yield from foreign.values()
        halfway: set[str] = set()
        for part in self._parts(objects=objects):
            if lost := halfway.intersection(part.needs):
                yield not_checked(part.name, f"{' and '.join(sorted(lost))} could not be read")
                continue
            try:
                yield from part.findings
            except KeyOfAnotherType as exc:  # the rest of this part is left out
                halfway.add(part.name)
                if exc.key not in foreign:
                    yield not_checked(part.name, str(exc))
            except FleetError:
                raise
            except Exception as exc:  # noqa: BLE001 - what somebody wrote into one key hides nothing else
                _log.debug("%s could not be checked", part.name, exc_info=True)
                halfway.add(part.name)
                yield not_checked(part.name, f"{type(exc).__name__}: {exc}")

    def _parts(self, *, objects: bool) -> Iterator[_Part]:
        # Before the records are read: the sum of its counts then shows a batch that grew meanwhile.
        yield _Part("counts", self._begin())
        unlisted = self._batch_check.unlisted(self._counts)
        yield _Part("list of batches", unlisted, needs=("counts",))
        yield _Part("records", self._records())
        # After the records: a row that is packed meanwhile is read twice, and counts once.
        packed = self._packed.findings(self.summary, objects=objects)
        yield _Part("packed rows", packed, needs=("records",))
        read = ("records", "packed rows")
        yield _Part("indexes", self._indexes(), needs=read)
        yield _Part("counts of batches", self._batches(), needs=("counts", *read))
        yield _Part("batches", self._batch_check.findings())
        owners = self._owners.findings(self.summary, self._moves)
        yield _Part("owners", owners, needs=("counts", "list of batches", "records"))
        yield _Part("rates and totals", self._rates.findings())
        yield _Part("operations", self._operations.findings())
        yield _Part("queues", self._queue_findings(), needs=("records",))
        if objects:
            found = self._objects.findings(self.summary.succeeded)
            yield _Part("objects", found, needs=read)
            yield _Part("uploads", self._uploads.findings())

    def _begin(self) -> Iterator[Finding]:
        self._counts = self._audit.batches()
        self._moves = self._owners.begin()
        yield from ()

    def _queue_findings(self) -> Iterator[Finding]:
        yield from self._queues.findings(self.summary, self._sweeps.queues())

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._inventory.close()
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _records(self) -> Iterator[Finding]:
        overdue = 2 * (self._lease + timedelta(seconds=self._settings.sweep_s))
        for page in self._audit.records():
            readable = []
            for reading in page:
                if reading.job:
                    self.summary.add(reading.job)
                    readable.append(reading.job_id)
                elif reading.flaw and reading.job_id not in self.summary.unreadable:
                    self.summary.unreadable.add(reading.job_id)
                    yield unreadable(reading)
            faults = self._audit.mend_jobs(
                readable, lease=self._lease, overdue=overdue, mend=self._repair
            )
            for job_id, fault, detail in faults:
                yield self._fault(job_id, fault, detail)

    def _fault(self, job_id: JobId, fault: str, detail: str) -> Finding:
        kind, found, expected = FAULTS[fault]
        ms = float(detail or 0) if fault not in {"live", "listed", "ended"} else 0.0
        time = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
        return Finding(
            kind=kind,
            about=job_id,
            found=f"job {job_id} {found.format(seconds=ms / 1000)}",
            expected=expected.format(time=time),
            mended=self._repair and kind not in NEVER_MENDED,
        )

    def _indexes(self) -> Iterator[Finding]:
        for index in self._audit.indexes():
            if not self._audit.is_zset(index):
                yield no_index(index)
                continue
            for page in self._audit.entries(index):
                # An unreadable record fits no index; its entries are left as evidence.
                known = [job_id for job_id in page if job_id not in self.summary.unreadable]
                for job_id, status in self._audit.mend_index(index, known, mend=self._repair):
                    yield self._stray(index, job_id, status)

    def _stray(self, index: Index, job_id: JobId, status: str) -> Finding:
        if index.kind == "dead" and not status:
            kind, why = Kind.EXPIRED_DEAD_LETTER, "whose record has expired"
        elif index.kind in {"jobs", "ended"} and not status:
            kind, why = Kind.EXPIRED_ENTRY, "whose record has expired"
        else:
            kind = Kind.STRAY_ENTRY
            why = f"which is {status}" if status else "which has no record"
            why += " in another queue" if (index.kind, status) == ("queued", "queued") else ""
        return self._finding(
            kind=kind,
            about=job_id,
            found=f"{index.key} lists job {job_id}, {why}",
            expected="it should not",
        )

    def _batches(self) -> Iterator[Finding]:
        counts, now = self._counts, self._audit.now()
        kept = timedelta(seconds=self._settings.keep_ended_s)
        for batch in counts.keys() | self.summary.batches.keys() | self.summary.packed.keys():
            counted = counts.get(batch, BatchCounted())
            if batch in self.summary.torn:
                continue
            recounted = self.summary.recount(batch) + counted.without_record
            if recounted == counted.counts and not counted.is_torn:
                continue
            # Jobs changed or expired since, or the counts are wrong: a script compares both at once.
            born = _born(batch)
            wrong = self._audit.recount(
                batch,
                before=counted,
                ended=self.summary.ended(batch),
                others=[*self.summary.live(batch), *self.summary.unreadable],
                is_complete=born is not None and now - born < kept,
                mend=self._repair,
            )
            for count in wrong:
                yield self._finding(
                    kind=Kind.WRONG_COUNT,
                    about=batch,
                    found=f"batch {batch} counts {count.found} jobs {count.status}",
                    expected=f"its records say {count.recounted}",
                )


def _born(batch: str) -> datetime | None:
    """Return the time in a batch's UUIDv7, UTC; None if the id is of another version."""
    try:
        found = uuid.UUID(batch)
    except ValueError:
        return None
    if found.version != _TIMED_UUID:
        return None
    return datetime.fromtimestamp((found.int >> 80) / 1000, UTC)
