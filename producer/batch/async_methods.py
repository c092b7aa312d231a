"""Async batch methods, for asyncio; `producer.aio.AsyncProducer` inherits them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Unpack

from producer.batch.methods import BatchMethods, BatchOptions
from producer.batch.rows import RowLike
from producer.contract.batches import Batch
from producer.contract.graph.graph import GraphLike
from producer.threaded_calls import in_thread, iterated_in_thread


class AsyncBatchMethods:
    """The methods of `BatchMethods` as coroutines: they run in threads."""

    _sync: BatchMethods

    async def submit_many(
        self, graph: GraphLike, rows: Iterable[RowLike], **options: Unpack[BatchOptions]
    ) -> Batch:
        """Submit many jobs that share a graph; *rows* are read in a thread. See `Producer.submit_many`."""
        return await asyncio.to_thread(self._sync.submit_many, graph, rows, **options)

    batch = in_thread(BatchMethods.batch)
    batches = in_thread(BatchMethods.batches)
    open_rows = in_thread(BatchMethods.open_rows)
    begin_batch = in_thread(BatchMethods.begin_batch)
    add_rows = in_thread(BatchMethods.add_rows)
    seal_batch = in_thread(BatchMethods.seal_batch)
    cancel_batch = in_thread(BatchMethods.cancel_batch)
    hold_batch = in_thread(BatchMethods.hold_batch)
    release_batch = in_thread(BatchMethods.release_batch)
    batch_jobs = iterated_in_thread(BatchMethods.batch_jobs)
    batch_results = iterated_in_thread(BatchMethods.batch_results)
    batch_result_lines = iterated_in_thread(BatchMethods.batch_result_lines)
