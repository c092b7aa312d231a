"""Methods for the results of batches; `BatchMethods` inherits them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from producer.contract.arguments import batch_id_of
from producer.contract.batches import Batch
from producer.contract.errors import BatchNotFound, InvalidBatch
from producer.contract.ids import BatchId, row_id
from producer.contract.jobs import Job, JobStatus
from producer.contract.json_texts import read_json
from producer.contract.result_lines import Line, line_text, statuses_of
from producer.storage.batch_results import BatchResults
from producer.store.batch_store import BatchStore
from producer.store.job_store import JobStore
from producer.store.newest_jobs import newest
from producer.store.result_lines import ResultLines

if TYPE_CHECKING:
    from redis import Redis

#: Rows whose jobs are read in one round trip.
_AT_ONCE: Final = 500


class ResultMethods:
    """What became of the rows of a batch."""

    _redis: Redis
    _jobs: JobStore
    _batches: BatchStore
    _objects: BatchResults

    def batch_jobs(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[tuple[int, Job]]:
        """Yield (row number, job) in row order; where a job was retried, its newest retry.

        Left out are rows that were skipped, and jobs whose record has expired. Where the batch itself has
        expired, its results are read from the bucket.

        Args:
            statuses: only jobs in one of these; all if empty.

        Raises:
            BatchNotFound: there is none.
            InvalidBatch: it is still open.
            InvalidJob: *statuses* holds an unknown one.
            StorageError: the batch has no record, and the bucket could not be read.
        """
        wanted = statuses_of(statuses)
        found = self._sealed(batch_id_of(batch))
        rows = self._rows(found) if isinstance(found, Batch) else map(self._objects.job_of, found)
        yield from ((row, job) for row, job in rows if job.status in wanted)

    def batch_results(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[Line]:
        """Yield a dict a row as JSON has it, `row` and the fields of its job that are not None.

        The same rows in the same order as of `batch_jobs`, and the same errors, several times as quickly where
        rows are packed, as they are an hour after their end.
        """
        yield from map(read_json, self.batch_result_lines(batch, statuses=statuses))

    def batch_result_lines(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[str]:
        """Yield what `batch_results` does as lines of JSON, without their ends."""
        wanted = statuses_of(statuses)
        found = self._sealed(batch_id_of(batch))
        if isinstance(found, Batch):
            rows = range(1, found.rows + 1)
            lines = ResultLines(self._redis, self._jobs).of(found.id, rows, wanted)
            yield from (text for _, text in lines)
        else:
            yield from (line_text(line) for line in found if line["status"] in wanted)

    def _sealed(self, batch: BatchId) -> Batch | Iterator[Line]:
        """Return a batch; if its record has expired, its results in the bucket."""
        try:
            found = self._batches.get(batch)
        except BatchNotFound:
            kept = self._objects.results(batch)
            if (first := next(kept, None)) is None:
                raise
            return chain([first], kept)
        if found.sealed_at is None:
            raise InvalidBatch(found.id, "is still open: its rows are not accepted yet")
        return found

    def _rows(self, batch: Batch) -> Iterator[tuple[int, Job]]:
        numbers = iter(range(1, batch.rows + 1))
        while page := list(islice(numbers, _AT_ONCE)):
            ids = [row_id(BatchId(batch.id), number) for number in page]
            jobs = newest(self._jobs, ids)
            self._jobs.check_unfed([id_ for id_, job in zip(ids, jobs, strict=True) if not job])
            yield from ((row, job) for row, job in zip(page, jobs, strict=True) if job)
