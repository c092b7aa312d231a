"""Writes the results of batches to the bucket, so that they outlive the records of their jobs.

While the bucket is away nothing is forgotten: what is to be written stands in Redis until it is.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from producer.contract.errors import StorageError
from producer.contract.ids import BatchId
from producer.contract.json_texts import read_json
from producer.contract.result_lines import line_text
from producer.storage.batch_results import BatchResults
from producer.store.result_files import ResultFile, ResultFiles
from producer.upkeep.fault_isolation import stopping_no_other

_log = logging.getLogger(__name__)

#: How long one call may write, s, but for the file that it is at.
_A_CALL_S: Final = 20.0


class ResultsWriter:
    """Writes files of results whose rows have all ended."""

    def __init__(self, files: ResultFiles, objects: BatchResults) -> None:
        self._files = files
        self._objects = objects

    def write(self) -> int:
        """Write some of the files that are due and return how many.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        ends, written = time.monotonic() + _A_CALL_S, 0
        for batch, mark in self._files.due():
            try:
                with stopping_no_other(_log, "results of batch %s cannot be written", batch):
                    written += self._write(batch, mark, ends)
            except StorageError as exc:
                _log.warning("results of batch %s are not written yet: %s", batch, exc)
                break
        return written

    def _write(self, batch: BatchId, mark: str, ends: float) -> int:
        written = 0
        while file := self._files.next_file(batch):
            if time.monotonic() > ends:
                return written
            self._objects.put_results(batch, file.number, self._lines(file))
            self._files.written(file)
            written += 1
        self._files.leave(batch, mark)
        return written

    def _lines(self, file: ResultFile) -> list[str]:
        lines = self._files.lines(file)
        if file.was_there:
            # The record of a retry may have expired since it was written, and with it what it came to.
            for before in self._objects.get_results(file.batch, file.number):
                row = int(before["row"])
                now = read_json(lines.get(row, "null"))
                if now is None or ("retried_as" in now and now["id"] != before["id"]):
                    lines[row] = line_text(before)
        return [line for _, line in sorted(lines.items())]
