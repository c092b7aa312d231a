"""Methods for batches; `producer.http_client.HttpProducer` inherits them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import Any, Final, Unpack

from producer.batch.rows import RowLike
from producer.contract.arguments import batch_id_of
from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.errors import (
    SAME_ROWS,
    FleetError,
    FleetUnreachable,
    InvalidBatch,
    InvalidJob,
    InvalidRows,
)
from producer.contract.graph.graph import GraphLike
from producer.contract.jobs import Job, JobStatus
from producer.contract.max_failed import read_max_failed
from producer.contract.outcomes import Begun
from producer.contract.queues import Tier
from producer.contract.result_lines import Line, statuses_of
from producer.contract.uploads import Upload
from producer.intake.request import JobOptions
from producer.over_http.answers import each, formed, job_page
from producer.over_http.batch_parts import Part, bad_row, counted, parts_of
from producer.over_http.bodies import job_body
from producer.over_http.connection import Connection

#: How often `wait_batch` reads the batch.
READ_EVERY: Final = timedelta(seconds=1)
#: The API takes a part's time; it checks some thousand rows a second.
_PART_S: Final = 120.0
#: Rows of a part of which those that are left out are told, all of them.
_TOLD_ROWS: Final = 1_000
_PAGE_ROWS: Final = 500
_LINES: Final = {"Content-Type": "application/jsonl", "Content-Encoding": "gzip"}


class HttpBatchMethods:
    """The methods of `HttpProducer` for batches."""

    _connection: Connection
    _read_batch_every = READ_EVERY

    def submit_many(
        self,
        graph: GraphLike,
        rows: Iterable[RowLike],
        *,
        name: str = "",
        max_failed: int | str | None = None,
        skip_invalid: bool = False,
        on_skipped: Callable[[BadRow], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
        **options: Unpack[JobOptions],
    ) -> Batch:
        """Submit many jobs that share a graph; arguments and errors as of `Producer.submit_many`.

        Rows go in parts, and none is accepted before all are there. An error tells of the bad rows of the first
        part that has some. With an idempotency key, an interrupted call goes on where it stopped; rows that are
        there already are counted then, not compared.
        """
        begun = self.begin_batch(graph, name=name, max_failed=max_failed, **options)
        batch = begun.batch
        is_resumable = options.get("idempotency_key") is not None
        if batch.sealed_at is not None:
            return _same_number(batch, sum(1 for _ in counted(rows, on_progress)))
        skipped = (on_skipped or _ignore) if skip_invalid else None
        try:
            most = {"most_rows": _TOLD_ROWS} if skipped else {}
            new = islice(counted(rows, on_progress), batch.rows, None)
            for part in parts_of(new, self._upload, first=batch.rows, **most):
                batch = self._add(batch.id, part, skipped)
            return self.seal_batch(batch.id)
        except InvalidJob:
            self._discard(batch.id)
            raise
        except BaseException:
            if not is_resumable:
                self._discard(batch.id)
            raise

    def begin_batch(
        self,
        graph: GraphLike,
        *,
        name: str = "",
        max_failed: int | str | None = None,
        **options: Unpack[JobOptions],
    ) -> Begun:
        """Open a batch that `add_rows` fills; options and errors as of `Producer.begin_batch`."""
        wanted: JobOptions = {"tier": Tier.BATCH, **options}
        body = {**job_body(graph, wanted, self._upload), "name": name}
        if most := read_max_failed(max_failed):
            body["max_failed"] = most
        answer = self._connection("POST", "/v1/batches", body=body, is_safe=True)
        is_replay = options.get("idempotency_key") is not None and answer.status_code == 200  # noqa: PLR2004
        return Begun(formed(answer, Batch.model_validate), is_replay)

    def add_rows(
        self,
        batch: str,
        rows: Iterable[RowLike],
        *,
        first: int | None = None,
        on_skipped: Callable[[BadRow], None] | None = None,
    ) -> Batch:
        """Add rows to an open batch, and return it; arguments and errors as of `Producer.add_rows`.

        More than 5,000 rows, or 4 MiB, go in several parts, each taken whole or not at all.
        """
        found = self.batch(batch)
        begin = found.rows if first is None else first
        most = {"most_rows": _TOLD_ROWS} if on_skipped else {}
        for part in parts_of(rows, self._upload, first=begin, **most):
            found = self._add(found.id, part, on_skipped)
        return found

    def seal_batch(self, batch: str) -> Batch:
        """Accept all rows of an open batch, and return it; errors as of `Producer.seal_batch`."""
        return self._changed(batch, "seal", is_safe=True)

    def batch(self, batch: str) -> Batch:
        """Return one batch; raises BatchNotFound."""
        path = f"/v1/batches/{batch_id_of(batch)}"
        return self._connection.read(Batch.model_validate, "GET", path)

    def batches(self, limit: int = 50) -> list[Batch]:
        """Return up to *limit* batches of the key's owner, at most 200, the newest first."""
        form = each(Batch, "batches")
        return self._connection.read(form, "GET", "/v1/batches", params={"limit": limit})

    def batch_jobs(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[tuple[int, Job]]:
        """Yield (row number, job) in row order; arguments and errors as of `Producer.batch_jobs`."""
        wanted = statuses_of(statuses)
        path = f"/v1/batches/{batch_id_of(batch)}/rows"
        query: dict[str, Any] = {"limit": _PAGE_ROWS}
        while True:
            page = self._connection.read(job_page, "GET", path, params=query)
            # Not by a filter: rows that have failed alone would come in another order.
            yield from ((job.row or 0, job) for job in page.jobs if job.status in wanted)
            if not page.cursor:
                return
            if page.cursor == query.get("cursor"):
                raise FleetUnreachable(
                    "the API gives a cursor again, so its list would have no end"
                )
            query["cursor"] = page.cursor

    def batch_results(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[Line]:
        """Yield a dict a row as JSON has it; errors as of `Producer.batch_results`."""
        for line in self.batch_result_lines(batch, statuses=statuses):
            try:
                told: Line = json.loads(line)
            except (ValueError, RecursionError):
                raise FleetUnreachable("the API sends a line of results that is no JSON") from None
            yield told

    def batch_result_lines(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> Iterator[str]:
        """Yield the same as lines of JSON, without their ends.

        Raises:
            FleetUnreachable: the API ended the answer before it was whole.
        """
        query = {"statuses": ",".join(sorted(statuses_of(statuses)))}
        path = f"/v1/batches/{batch_id_of(batch)}/results.jsonl"
        answer = self._connection("GET", path, params=query, stream=True)
        with closing(answer):
            yield from self._connection.lines(answer)

    def cancel_batch(self, batch: str) -> BatchCancelled:
        """Request that all jobs of a batch be cancelled; errors as of `Producer.cancel_batch`."""
        path = f"/v1/batches/{batch_id_of(batch)}/cancel"
        return self._connection.read(lambda told: BatchCancelled(told["outcome"]), "POST", path)

    def hold_batch(self, batch: str) -> Batch:
        """Hold all jobs of a batch that do not run yet; errors as of `Producer.hold_batch`."""
        return self._changed(batch, "hold")

    def release_batch(self, batch: str) -> Batch:
        """Release a held batch; errors as of `Producer.hold_batch`."""
        return self._changed(batch, "release")

    def _changed(self, batch: str, verb: str, *, is_safe: bool = False) -> Batch:
        path = f"/v1/batches/{batch_id_of(batch)}/{verb}"
        return self._connection.read(Batch.model_validate, "POST", path, is_safe=is_safe)

    def _add(self, batch: str, part: Part, on_skipped: Callable[[BadRow], None] | None) -> Batch:
        try:
            added, left_out = self._connection.read(
                _added,
                "POST",
                f"/v1/batches/{batch_id_of(batch)}/rows",
                params={"skip_invalid": "true"} if on_skipped else {},
                data=part.packed,
                headers={**_LINES, "Content-Range": part.range},
                is_safe=True,
                timeout_s=_PART_S,
            )
        except InvalidRows as exc:
            rows = [part.told(row) for row in exc.rows]
            raise InvalidRows(rows, count=exc.count, accepted=exc.accepted) from exc
        if on_skipped:  # else none are left out
            for row in left_out:
                on_skipped(part.told(row))
        return added

    def _discard(self, batch: str) -> None:
        """Delete an open batch; one that was sealed stays."""
        try:
            if self.batch(batch).sealed_at is None:
                self.cancel_batch(batch)
        except FleetError:
            return  # it expires in a week; the error that led here is the one to raise

    @abstractmethod
    def _upload(self, content: Any, name: str) -> Upload:
        """Store a file under a name; `producer.http_client.HttpProducer` does."""


def _same_number(batch: Batch, rows: int) -> Batch:
    """Return a batch that was accepted before.

    Raises:
        InvalidBatch: it has another number of rows than those that came now.
    """
    if rows == batch.rows:
        return batch
    raise InvalidBatch(
        batch.id,
        f"was accepted before with {batch.rows:,} rows, and stays as it is; {rows:,} came now",
        advice=SAME_ROWS,
    )


def _added(told: Any) -> tuple[Batch, list[BadRow]]:
    return Batch.model_validate(told), [bad_row(row) for row in told.get("left_out", ())]


def _ignore(_: BadRow) -> None:
    return None
