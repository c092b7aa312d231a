"""Bytes of Redis that a job costs, as the slope over 10,000, 30,000 and 100,000 of them.

Floor: the params of the same jobs alone, compressed as we compress them, a hundred together; of an ended
row also the 32 bytes of its artifact's SHA-256; of whole graphs the same jobs with params; of an index a job's
id. A single job is its record, its places in the indexes, its event and its message. What has ended is a tenth
as many, an hour after its end, and so are whole graphs and what they are compared with.
"""

from __future__ import annotations

import json
import statistics
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from redis import Redis

from producer.client import Producer
from producer.contract.batches import BUCKET_ROWS
from producer.contract.graph.graph import Graph, template_id, to_bytes
from producer.contract.params.params import set_params
from producer.contract.queues import Message, Needs
from producer.contract.submissions import Submission
from producer.dispatch import Dispatch
from producer.intake.whole_graphs import GraphSplitter
from producer.store import keys
from producer.store.job_store import JobStore
from producer.store.record_reader import in_pages
from tests.bench import ended_jobs, ended_rows
from tests.bench.results import Case, Result
from tests.bench.rows import empty_redis, graph_of_20_kb, rows, used_memory

COUNTS, FEWER = (10_000, 30_000, 100_000), (1_000, 3_000, 10_000)
IN_A_BATCH_B, OVER_FLOOR, SINGLE_B, WHOLE = 250, 2.5, 2_600, 1.1
ENDED_ROW_B, ENDED_SINGLE_B, INDEX_B = 120, 1_000, 160
DIGEST_B, ID_B = 32, 36
#: Graph nodes of `graph_of_20_kb` that its output needs.
_NEEDED = ("3", "6", "9")

#: A submission, and the graph that is stored for it.
Handed = tuple[Submission, bytes]


def run() -> Result:
    """Fill an empty Redis in steps: by a batch, with single jobs, and with what has ended."""
    graph = graph_of_20_kb()

    def singly(fleet: Producer, count: int) -> None:
        _submit(fleet, _with_params(graph, count))

    in_a_batch, _ = _slope(lambda fleet, count: fleet.submit_many(graph, rows(count)))
    single, _ = _slope(singly)
    fewer, _ = _slope(singly, FEWER)
    whole, _ = _slope(lambda fleet, count: _submit(fleet, _whole(graph, count)), FEWER)
    row, _ = _slope(lambda fleet, count: ended_rows.fill(fleet, fleet._redis, count), FEWER)
    ended, lists = _slope(
        lambda fleet, count: ended_jobs.fill(fleet._redis, _with_params(graph, count)), FEWER
    )
    index = lists / FEWER[-1]
    floor = _compressed(COUNTS[-1])
    return Result(
        name="memory",
        unit="bytes a job",
        cases=[
            _case("in a batch", in_a_batch, floor, IN_A_BATCH_B, over_floor=OVER_FLOOR),
            _case("singly", single, floor, SINGLE_B),
            _case("singly, whole graphs against params", whole, fewer, None, over_floor=WHOLE),
            _case("ended row", row, floor + DIGEST_B, ENDED_ROW_B),
            _case("ended single job", ended, floor + DIGEST_B, ENDED_SINGLE_B),
            _case("of it in the list of jobs", index, ID_B, INDEX_B),
        ],
    )


def _case(
    name: str, value: float, floor: float, most: float | None, *, over_floor: float | None = None
) -> Case:
    goals = [f"<= {most:,}"] if most else []
    goals += [f"<= {over_floor} x floor"] if over_floor else []
    bounds = [most or value, (over_floor * floor) if over_floor else value]
    return Case(
        name=name,
        value=value,
        floor=floor,
        plain=None,
        goal=" and ".join(goals),
        holds=value <= min(bounds),
    )


def _slope(
    fill: Callable[[Producer, int], object], counts: Sequence[int] = COUNTS
) -> tuple[float, int]:
    """Return the bytes that a job more costs, and those of all lists at the end.

    In a Redis of its own: what another measurement left in the buffers of clients and of Lua is no job's.
    """
    used = []
    with (
        empty_redis() as (settings, _),
        Producer(settings) as fleet,
        Redis.from_url(settings.redis_url) as redis,
    ):
        for count in counts:
            redis.flushall()
            fill(fleet, count)
            used.append(used_memory(redis))
        return statistics.linear_regression(counts, used).slope, _lists(redis)


def _lists(redis: Redis) -> int:
    """Return the bytes of all lists of jobs."""
    lists = list(redis.scan_iter(f"{keys.JOBS}*"))
    return sum(redis.memory_usage(key, samples=0) for key in lists)


def _with_params(graph: Graph, count: int) -> Iterator[Handed]:
    content, name = to_bytes(graph), template_id(graph)
    for row in rows(count):
        yield _submission(name, row, {}), content


def _whole(graph: Graph, count: int) -> Iterator[Handed]:
    """Yield the same jobs as a backend makes them that fills the graph in by itself."""
    splitter = GraphSplitter()
    for row in rows(count):
        filled = set_params(graph, row)
        split = splitter.split(filled, needed=_NEEDED, has_params=False)
        yield _submission(template_id(split.template), {}, split.values), to_bytes(split.template)


def _submission(template: str, params: dict, graph_values: dict) -> Submission:
    return Submission(
        template=template,
        needs=Needs.of("default"),
        params=params,
        graph_values=graph_values,
        start_within=timedelta(days=30),
        run_within=timedelta(hours=6),
    )


def _submit(fleet: Producer, handed: Iterator[Handed]) -> None:
    """Record single jobs and send their messages, as `submit` does, without its checks."""
    store = JobStore(fleet._redis, keep_ended=timedelta(days=7))
    dispatch = Dispatch(fleet.settings)
    for page in in_pages(handed, 1_000):
        messages = []
        for job, graph in page:
            store.add(job, graph=graph)
            messages.append(Message(job.id, 1, job.queue, job.tier.priority))
        dispatch.send_all(messages)


def _compressed(count: int) -> float:
    """Return the bytes of params a job."""
    packed = (
        zlib.compress(json.dumps(page).encode()) for page in in_pages(rows(count), BUCKET_ROWS)
    )
    return sum(map(len, packed)) / count
