"""Bytes of Redis that a job costs, as the slope over 10,000, 30,000 and 100,000 of them.

Floor: the params of the same jobs alone, compressed as we compress them, a hundred together; of an ended
row also the 32 bytes of its artifact's SHA-256. A single job is its record, its places in the indexes,
its event and its message. Ended rows are a tenth as many, an hour after their end.
"""

from __future__ import annotations

import json
import statistics
import zlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from redis import Redis

from producer.client import Producer
from producer.contract.batches import BUCKET_ROWS
from producer.contract.graph.graph import template_id, to_bytes
from producer.contract.queues import Message, Needs
from producer.contract.submissions import Submission
from producer.dispatch import Dispatch
from producer.store.job_store import JobStore
from producer.store.record_reader import in_pages
from tests.bench import ended_rows
from tests.bench.results import Case, Result
from tests.bench.rows import empty_redis, graph_of_20_kb, rows

COUNTS = (10_000, 30_000, 100_000)
IN_A_BATCH_B, OVER_FLOOR, SINGLE_B = 250, 2.5, 2_600
ENDED_COUNTS, ENDED_ROW_B, DIGEST_B = (1_000, 3_000, 10_000), 120, 32


def run() -> Result:
    """Fill an empty Redis in steps, once by a batch and once with single jobs."""
    graph = graph_of_20_kb()
    with (
        empty_redis() as (settings, _),
        Producer(settings) as fleet,
        Redis.from_url(settings.redis_url) as redis,
    ):
        store = JobStore(fleet._redis, keep_ended=timedelta(days=7))
        in_a_batch = _slope(redis, lambda count: fleet.submit_many(graph, rows(count)))
        single = _slope(redis, lambda count: _submit(store, Dispatch(settings), graph, count))
        ended = _slope(redis, lambda n: ended_rows.fill(fleet, fleet._redis, n), ENDED_COUNTS)
    floor = _compressed(COUNTS[-1])
    return Result(
        name="memory",
        unit="bytes a job",
        cases=[
            Case(
                name="in a batch",
                value=in_a_batch,
                floor=floor,
                plain=None,
                goal=f"<= {IN_A_BATCH_B} and <= {OVER_FLOOR} x floor",
                holds=in_a_batch <= min(IN_A_BATCH_B, OVER_FLOOR * floor),
            ),
            Case(
                name="singly",
                value=single,
                floor=floor,
                plain=None,
                goal=f"<= {SINGLE_B:,}",
                holds=single <= SINGLE_B,
            ),
            Case(
                name="ended row",
                value=ended,
                floor=floor + DIGEST_B,
                plain=None,
                goal=f"<= {ENDED_ROW_B}",
                holds=ended <= ENDED_ROW_B,
            ),
        ],
    )


def _slope(redis: Redis, fill: Callable[[int], object], counts: Sequence[int] = COUNTS) -> float:
    used = []
    for count in counts:
        redis.flushall()
        fill(count)
        used.append(redis.info("memory")["used_memory"])
    return statistics.linear_regression(counts, used).slope


def _submit(store: JobStore, dispatch: Dispatch, graph: dict, count: int) -> None:
    """Record single jobs and send their messages, as `submit` does, without its checks."""
    template, name = to_bytes(graph), template_id(graph)
    for page in in_pages(rows(count), 1_000):
        messages = []
        for row in page:
            job = Submission(
                template=name,
                needs=Needs.of("default"),
                params=row,
                start_within=timedelta(days=30),
                run_within=timedelta(hours=6),
            )
            store.add(job, graph=template)
            messages.append(Message(job.id, 1, job.queue, job.tier.priority))
        dispatch.send_all(messages)


def _compressed(count: int) -> float:
    """Return the bytes of params a job."""
    packed = (
        zlib.compress(json.dumps(page).encode()) for page in in_pages(rows(count), BUCKET_ROWS)
    )
    return sum(map(len, packed)) / count
