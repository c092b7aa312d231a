"""Results of batches in the bucket: a line of JSON a row, a thousand rows an object."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from producer.contract.errors import ObjectMissing, StorageError
from producer.contract.ids import BatchId
from producer.contract.jobs import Job
from producer.storage.content_md5 import md5_header
from producer.storage.object_keys import results_key, results_prefix
from producer.storage.object_store import ObjectStore
from producer.storage.put_object import put_object

_NUMBER: Final = re.compile(r"results-([1-9][0-9]{0,9})\.jsonl\.gz")
#: Quick: a line is mostly names that repeat.
_LEVEL: Final = 6

#: A row and its job, as `comfyfleet batch results --json` prints them.
Line = tuple[int, Job]


class BatchResults(ObjectStore):
    """The object storage, with the results of batches. Threads may share one.

    Its methods raise the errors of `producer.storage.s3_errors`.
    """

    def put_results(self, batch: BatchId, number: int, lines: Iterable[Line]) -> None:
        """Store the results of some rows, in place of what is there."""
        key = results_key(self._settings.s3_prefix, batch=batch, number=number)
        text = "".join(
            f"{json.dumps(line_of(row, job), ensure_ascii=False)}\n" for row, job in lines
        )
        # Without a time: written again, the same results are the same bytes.
        body = gzip.compress(text.encode("utf-8", "backslashreplace"), _LEVEL, mtime=0)
        checked = {} if self._bucket.checks else md5_header(body)
        with self._bucket.talking(key):
            put_object(
                self._bucket.s3,
                Bucket=self._bucket.name,
                Key=key,
                Body=body,
                ContentType="application/gzip",
                **checked,
            )

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

    def results(self, batch: BatchId) -> Iterator[Line]:
        """Yield all results of a batch that are there, in the order of its rows; memory stays flat."""
        prefix = results_prefix(self._settings.s3_prefix, batch=batch)
        found = (_NUMBER.fullmatch(key.removeprefix(prefix)) for key in self.list_keys(prefix))
        for number in sorted(int(name[1]) for name in found if name):
            yield from self.get_results(batch, number)


def line_of(row: int, job: Job) -> dict[str, Any]:
    """Return what is told of a row."""
    return {"row": row, **job.model_dump(mode="json", exclude_none=True)}


def _read(line: bytes) -> Line:
    found = json.loads(line)
    return int(found["row"]), Job.model_validate(found)
