"""Results of batches in the bucket: a line of JSON a row, a thousand rows an object."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from producer.contract.errors import ObjectMissing, StorageError
from producer.contract.ids import BatchId
from producer.contract.jobs import Job, JobStatus
from producer.contract.result_lines import Line
from producer.storage.object_keys import results_key, results_prefix
from producer.storage.object_store import ObjectStore

_NUMBER: Final = re.compile(r"results-([1-9][0-9]{0,9})\.jsonl\.gz")
#: Quick: a line is mostly names that repeat.
_LEVEL: Final = 6


class BatchResults(ObjectStore):
    """The object storage, with the results of batches. Threads may share one.

    Its methods raise the errors of `producer.storage.s3_errors`.
    """

    def put_results(self, batch: BatchId, number: int, lines: Iterable[str]) -> None:
        """Store the lines of some rows, JSON without line ends, in place of what is there."""
        key = results_key(self._settings.s3_prefix, batch=batch, number=number)
        text = "".join(f"{line}\n" for line in lines)
        # Without a time: written again, the same results are the same bytes.
        body = gzip.compress(text.encode(), _LEVEL, mtime=0)
        self._bucket.put(key, body, ContentType="application/gzip")

    def get_results(self, batch: BatchId, number: int) -> list[Line]:
        """Return the results of some rows; none if nothing is there.

        Raises:
            StorageError: what is there holds no results.
        """
        key = results_key(self._settings.s3_prefix, batch=batch, number=number)
        try:
            with self._bucket.talking(key):
                answer = self._bucket.s3.get_object(Bucket=self._bucket.name, Key=key)
                body = answer["Body"].read()
        except ObjectMissing:
            return []
        try:
            return [_read(line) for line in gzip.decompress(body).splitlines()]
        except (ValueError, KeyError, TypeError, EOFError, OSError, zlib.error) as exc:
            raise StorageError(f"{key} holds no results of a batch: {exc}") from exc

    def job_of(self, line: Line) -> tuple[int, Job]:
        """Return a row and its job by a line that was read.

        Raises:
            StorageError: it tells of no job.
        """
        try:
            return int(line["row"]), Job.model_validate(line)
        except ValueError as exc:
            raise StorageError(f"row {line['row']} in the bucket is no job: {exc}") from exc

    def results(self, batch: BatchId) -> Iterator[Line]:
        """Yield all results of a batch that are there, in the order of its rows; memory stays flat."""
        prefix = results_prefix(self._settings.s3_prefix, batch=batch)
        found = (_NUMBER.fullmatch(key.removeprefix(prefix)) for key in self.list_keys(prefix))
        for number in sorted(int(name[1]) for name in found if name):
            yield from self.get_results(batch, number)


def _read(text: bytes) -> Line:
    line = json.loads(text)
    int(line["row"]), JobStatus(line["status"])
    return dict(line)
