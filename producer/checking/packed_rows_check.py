"""Packed rows check: can ended rows be read, is it noted which were made again, and are bad ends listed?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from producer.checking.findings import Finding, Kind
from producer.checking.record_summary import RecordSummary
from producer.checking.torn_rows import TornRows
from producer.checking.unreadable import foreign_key, torn
from producer.contract.ids import row_of
from producer.storage.batch_results import BatchResults
from producer.store.ended_buckets import TornBucket
from producer.store.ended_rows import EndedBucket
from producer.store.packed_rows_audit import PackedRowsAudit


class PackedRowsCheck:
    """Checks every bucket of packed rows, after all records were read.

    Args:
        repair: repair what can be repaired.
    """

    def __init__(self, audit: PackedRowsAudit, results: BatchResults, *, repair: bool) -> None:
        self._audit = audit
        self._results = results
        self._repair = repair

    def findings(self, summary: RecordSummary, *, objects: bool) -> Iterator[Finding]:
        """Yield the findings, and add the rows to *summary*.

        Args:
            objects: rows that cannot be read may be made again from the bucket, and ids of those that succeeded
                are wanted.
        """
        for batch, key in self._audit.foreign():
            summary.torn.add(batch)
            yield foreign_key(key)
        for bucket in self._audit.buckets():
            yield from self._notes(bucket, summary)
            try:
                statuses = bucket.statuses()
            except TornBucket as exc:
                yield self._torn_rows(bucket, exc, objects=objects)
                # Nobody knows how they ended: what counts or lists them is left as it is.
                summary.torn.add(bucket.batch)
                summary.unreadable.update(bucket.ids)
                continue
            yield from self._unlisted(bucket)
            summary.add_packed(bucket.batch, statuses, retried=bucket.retried, ids=objects)

    def _torn_rows(self, bucket: EndedBucket, why: TornBucket, *, objects: bool) -> Finding:
        if not (self._repair and objects):
            return torn(bucket, why, "check --objects --repair makes them again from its results")
        if made := TornRows(self._audit, self._results).mend(bucket):
            done = f"{made:,} of them were made again from its results in the bucket"
            return replace(torn(bucket, why, done), mended=True)
        return torn(bucket, why, "its results in the bucket do not tell them")

    def _unlisted(self, bucket: EndedBucket) -> Iterator[Finding]:
        if lacking := self._audit.unlisted(bucket):
            first, last = bucket.rows
            yield Finding(
                kind=Kind.MISSING_FROM_LIST,
                about=bucket.batch,
                found=f"of rows {first:,} to {last:,} of batch {bucket.batch}, which are packed, {len(lacking):,}"
                " have ended without success, and are not listed so",
                expected="they should be, to be found",
                mended=self._repair and self._audit.list_rows(bucket, set(lacking)),
            )

    def _notes(self, bucket: EndedBucket, summary: RecordSummary) -> Iterator[Finding]:
        """Yield that it is not noted of all rows, or not readable, what was made of them again."""
        known = {
            str(row_of(job_id)[1]): summary.retries[job_id]
            for job_id in bucket.ids
            if job_id in summary.retries
        }
        if not bucket.is_note_torn and known.keys() <= bucket.made_again.keys():
            return
        first, last = bucket.rows
        if bucket.is_note_torn:
            why = "it cannot be read which of them were made again"
            # What counts them may count a retry whose record has expired.
            summary.torn.add(bucket.batch)
        else:
            lost = len(known.keys() - bucket.made_again.keys())
            why = f"of {lost:,} of them it is not noted that they were made again"
        yield Finding(
            kind=Kind.TORN_ROWS,
            about=bucket.batch,
            found=f"rows {first:,} to {last:,} of batch {bucket.batch} have ended, and {why}",
            expected="the records of the jobs made of them tell it, and --repair notes it anew",
            mended=self._repair
            and self._audit.replace_note(bucket, {**bucket.made_again, **known}),
            is_mendable=True,
        )
