"""Async batch methods, for asyncio; `producer.aio.AsyncProducer` inherits them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Unpack

from producer.batch.methods import BatchMethods, BatchOptions
from producer.batch.rows import RowLike
from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.graph.graph import GraphLike
from producer.contract.jobs import Job, JobStatus
from producer.contract.outcomes import Begun
from producer.contract.result_lines import Line
from producer.intake.request import JobOptions
from producer.threaded_calls import from_thread


class AsyncBatchMethods:
    """The methods of `BatchMethods` as coroutines: they run in threads."""

    _calls: BatchMethods  #: The blocking methods.

    async def submit_many(
        self, graph: GraphLike, rows: Iterable[RowLike], **options: Unpack[BatchOptions]
    ) -> Batch:
        """Submit many jobs that share a graph; *rows* are read in a thread. See `Producer.submit_many`."""
        return await asyncio.to_thread(self._calls.submit_many, graph, rows, **options)

    async def batch(self, batch: str) -> Batch:
        """Return one batch; raises BatchNotFound."""
        return await asyncio.to_thread(self._calls.batch, batch)

    async def batches(self, limit: int = 50, owner: str | None = None) -> list[Batch]:
        """Return up to *limit* batches, the newest first; only those of one *owner*, if it is named."""
        return await asyncio.to_thread(self._calls.batches, limit, owner)

    async def open_rows(self, owner: str) -> int:
        """Return how many rows an owner has handed in to batches that are not sealed yet."""
        return await asyncio.to_thread(self._calls.open_rows, owner)

    async def begin_batch(
        self,
        graph: GraphLike,
        *,
        name: str = "",
        max_failed: int | str | None = None,
        **options: Unpack[JobOptions],
    ) -> Begun:
        """Open a batch that `add_rows` fills; all as of `Producer.begin_batch`."""
        return await asyncio.to_thread(
            self._calls.begin_batch, graph, name=name, max_failed=max_failed, **options
        )

    async def add_rows(
        self,
        batch: str,
        rows: Iterable[RowLike],
        *,
        first: int | None = None,
        on_skipped: Callable[[BadRow], None] | None = None,
    ) -> Batch:
        """Add a part of its rows to an open batch; all as of `Producer.add_rows`."""
        return await asyncio.to_thread(
            self._calls.add_rows, batch, rows, first=first, on_skipped=on_skipped
        )

    async def seal_batch(self, batch: str) -> Batch:
        """Accept all rows of an open batch; all as of `Producer.seal_batch`."""
        return await asyncio.to_thread(self._calls.seal_batch, batch)

    async def cancel_batch(self, batch: str) -> BatchCancelled:
        """Request that all jobs of a batch be cancelled; see `Producer.cancel_batch`."""
        return await asyncio.to_thread(self._calls.cancel_batch, batch)

    async def hold_batch(self, batch: str) -> Batch:
        """Hold all jobs of a batch that do not run yet; errors as of `Producer.hold_batch`."""
        return await asyncio.to_thread(self._calls.hold_batch, batch)

    async def release_batch(self, batch: str) -> Batch:
        """Release a held batch; errors as of `Producer.hold_batch`."""
        return await asyncio.to_thread(self._calls.release_batch, batch)

    async def batch_jobs(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> AsyncIterator[tuple[int, Job]]:
        """Yield the jobs of a batch with their row numbers; see `Producer.batch_jobs`."""
        async for found in from_thread(self._calls.batch_jobs(batch, statuses=statuses)):
            yield found

    async def batch_results(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> AsyncIterator[Line]:
        """Yield a dict a row, as JSON has it; see `Producer.batch_results`."""
        async for line in from_thread(self._calls.batch_results(batch, statuses=statuses)):
            yield line

    async def batch_result_lines(
        self, batch: str, *, statuses: Collection[JobStatus | str] = ()
    ) -> AsyncIterator[str]:
        """Yield the same as lines of JSON, without their ends."""
        async for line in from_thread(self._calls.batch_result_lines(batch, statuses=statuses)):
            yield line
