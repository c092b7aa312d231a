"""A page of 50 of a million jobs: by owner, by status, by batch, and far from the first one.

Floor: one ZRANGE and 50 HMGETs of all fields in one pipeline, by the same client in the same turn. The jobs are
copies of one that was handed in and one that failed, so that what is read is what a fleet writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from redis import Redis

from producer.client import Producer
from producer.contract.ids import new_job_id
from producer.contract.jobs import JobError
from producer.store import keys
from producer.store.attempts import Hold
from tests.bench.results import Case, Result, median
from tests.bench.rows import empty_redis, graph_of_20_kb, used_memory
from tests.bench.seeding import seed_rows

JOBS, ROWS = 1_000_000, 1_000_000
PAGE, TURNS = 50, 60
GOAL_MS, GOAL_RATIO = 50, 3
_AT_ONCE = 2_000
#: Copies a record under other ids, each listed as the product's scripts list it; the odd ones have failed.
_COPY = """
local waiting, failed = redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])
for i, id in ipairs(ARGV) do
    local has_failed = i % 2 == 1
    redis.call('HSET', 'comfyfleet:job:' .. id, unpack(has_failed and failed or waiting))
    redis.call('ZADD', KEYS[3], 0, id)
    if has_failed then
        redis.call('ZADD', KEYS[4], 1000 * i, id)
    end
end
"""


def run() -> Result:
    """Seed the jobs, then read pages and the floor in turns."""
    with (
        empty_redis() as (settings, _),
        Producer(settings) as fleet,
        Redis.from_url(settings.redis_url, decode_responses=True) as redis,
    ):
        before = used_memory(redis)
        seed_single_jobs(fleet, redis)
        seed_rows(settings, ROWS)
        [batch] = fleet.batches(1)
        middle = _middle(fleet)
        cases = [
            ("by owner", keys.jobs("shop"), lambda: fleet.jobs("owner:shop")),
            ("by owner, in the middle", keys.jobs("shop"), middle),
            ("all", keys.jobs("shop"), fleet.jobs),
            ("by status", keys.ended("failed"), lambda: fleet.jobs("status:failed")),
            (
                "by owner and status",
                keys.ended("failed"),
                lambda: fleet.jobs("owner:shop status:failed"),
            ),
            ("by batch", keys.jobs("shop"), lambda: fleet.jobs(f"batch:{batch.id}")),
        ]
        measured = [_case(redis, *case) for case in cases]
        used = used_memory(redis) - before
    return Result(name="listing", unit="ms", cases=measured, figures={"redis_gb": used / 1e9})


def seed_single_jobs(fleet: Producer, redis: Redis, *, count: int = JOBS) -> None:
    """Make a waiting job and a failed one of an owner, and copy them."""
    graph = graph_of_20_kb()
    waiting, failed = (fleet.submit(graph, owner="shop", params={"3.seed": n}) for n in (1, 2))
    claimed = fleet._jobs.claim(
        failed.id,
        attempt=1,
        node="gpu-01",
        worker="gpu-01:bench",
        lease=timedelta(minutes=1),
        prompt_id="0" * 32,
    )
    assert claimed
    error = JobError(cause="execution_error", message="no such colour", node="gpu-01")
    fleet._jobs.fail(Hold(failed.id, 1, "gpu-01:bench"), error, charged=True, dead=False)
    copy = redis.register_script(_COPY)
    now_ms = time.time_ns() // 1_000_000
    names = [keys.job(waiting.id), keys.job(failed.id), keys.jobs("shop"), keys.ended("failed")]
    for start in range(0, count, _AT_ONCE):
        ids = [new_job_id(unix_ms=now_ms - count + start + n) for n in range(_AT_ONCE)]
        copy(keys=names, args=ids)


def _middle(fleet: Producer) -> Callable[[], object]:
    """Return what reads a page far from the first one."""
    page = fleet.jobs("owner:shop", limit=1_000)
    for _ in range(20):
        page = fleet.jobs("owner:shop", page.cursor, 1_000)
    return lambda: fleet.jobs("owner:shop", page.cursor)


def _case(redis: Redis, name: str, index: str, read: Callable[[], object]) -> Case:
    values, floors = [], []
    for _ in range(TURNS):
        values.append(_ms(read))
        floors.append(_ms(lambda: read_floor(redis, index)))
    value, floor = median(values), median(floors)
    return Case(
        name=name,
        value=value,
        floor=floor,
        plain=None,
        goal=f"<= {GOAL_RATIO} x floor, and {GOAL_MS} ms",
        holds=value <= min(GOAL_MS, GOAL_RATIO * floor),
    )


def read_floor(redis: Redis, index: str) -> None:
    """Read what a page needs, by hand."""
    ids = redis.zrange(index, 0, PAGE - 1, desc=True)
    with redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(keys.job(job_id), _FIELDS)
        assert all(found[0] for found in pipe.execute())


#: Of a record of a job that has failed.
_FIELDS = (
    *("v", "status", "attempt", "queue", "priority", "spec", "shape", "owner", "n", "node", "prompt_id"),
    *("created_ms", "start_by_ms", "queued_ms", "started_ms", "ended_ms", "at:preparing"),
    *("cause", "error", "attempt:1", "charged", "worker", "claim"),
)  # fmt: skip


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
