"""Whether a large fleet stays busy, and what its size costs Redis.

Real workers and stand-in nodes as many as the machine carries, then a thousand simulated nodes on
a Redis of their own (see `simulated_nodes`). The floor of each case is what would be ideal: a node
that always renders, a bare round trip, a short queue; else what is allowed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from redis import Redis

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.contract.config.settings import Settings, load_settings
from producer.store.connection import connect
from tests import servers
from tests.bench.real_fleet import real_fleet
from tests.bench.results import Case, Result, percentile
from tests.bench.seeding import seed, seed_rows
from tests.bench.simulated_nodes import Order, Record

GOAL_BUSY, GOAL_CLAIM_MS, GOAL_CPU = 0.95, 100.0, 40.0
GOAL_IDLE, GOAL_JOB = 0.5, 40.0

REAL_NODES, RENDER_S, JOBS_EACH = 40, 10.0, 5
#: On a small machine; a worker and its node take 150 MB.
FEW_NODES, SHORT_S, ENOUGH_MEMORY = 8, 2.0, 8 << 30
SIMULATED, PROCESSES, MEASURED_S, FULL_MEASURED_S = 1000, 4, 20.0, 300.0
#: How long the processes of many, or few, simulated nodes may take to start, s.
_START_S, _SOON_S = 10.0, 3.0
_SHORT_QUEUE, _LONG_QUEUE, _ROWS = 1_000, 100_000, 1_000_000
#: They say nothing of a job: our own questions, and what opens a connection.
_NOT_OF_JOBS = {"info", "config", "client", "hello", "auth", "ping", "script", "select", "lpush"}


@dataclass(frozen=True)
class Spent:
    """What Redis did meanwhile: calls of each command, and its CPU in seconds."""

    calls: Counter[str]
    cpu_s: float
    seconds: float

    @classmethod
    def so_far(cls, redis: Redis) -> Spent:
        """Read the totals."""
        calls: Counter[str] = Counter()
        for name, stats in redis.info("commandstats").items():
            calls[name.removeprefix("cmdstat_").partition("|")[0]] += stats["calls"]
        cpu = redis.info("cpu")
        return cls(calls, cpu["used_cpu_user"] + cpu["used_cpu_sys"], time.monotonic())

    def since(self, before: Spent) -> Spent:
        """Return what was spent from *before* to now."""
        calls = Counter({name: n - before.calls[name] for name, n in self.calls.items()})
        return Spent(calls, self.cpu_s - before.cpu_s, self.seconds - before.seconds)

    def a_job(self, jobs: int) -> float:
        """Return how many commands a job takes, those that scripts call included."""
        return sum(n for name, n in self.calls.items() if name not in _NOT_OF_JOBS) / jobs


def run(*, full: bool = False) -> Result:
    """Measure the real fleet, the simulated one, then one job's commands beside long queues."""
    real, figures = _real()
    with _redis() as (settings, redis):
        simulated = _simulated(settings, redis, FULL_MEASURED_S if full else MEASURED_S)
    with _redis() as (settings, redis):
        backlogs = _backlogs(settings, redis)
    return Result(
        name="scale",
        unit="",
        cases=[*real, *simulated, *backlogs],
        figures=figures,
    )


def _real() -> tuple[list[Case], dict[str, float]]:
    large = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > ENOUGH_MEMORY
    nodes, render_s = (REAL_NODES, RENDER_S) if large else (FEW_NODES, SHORT_S)
    with real_fleet(nodes) as fleet:
        idle, for_all = fleet.idle_commands(20)
        busy = fleet.busy(render_s=render_s, jobs_each=JOBS_EACH)
    beats = idle["renew"]
    return [
        _busy(f"{nodes} workers and nodes, {render_s:g} s renders", busy),
        Case(
            name="commands/s to Redis of an idle node; beats alone are the floor",
            value=idle.total(),
            floor=beats,
            plain=None,
            goal=f"<= {GOAL_IDLE:g}",
            holds=idle.total() <= GOAL_IDLE,
        ),
    ], {
        **{f"idle node, {what}": rate for what, rate in idle.most_common()},
        "upkeep, of all nodes together": for_all,
    }


def _simulated(settings: Settings, redis: Redis, seconds: float) -> list[Case]:
    seed(settings, round(SIMULATED * (seconds / RENDER_S + 3)))
    begin = time.time() + _START_S + RENDER_S
    with _nodes(
        settings, SIMULATED, render_s=RENDER_S, begin_at=begin, end_at=begin + seconds
    ) as records:
        time.sleep(begin - time.time())  # all nodes begin at this moment
        before = Spent.so_far(redis)
        time.sleep(seconds)  # the length of time that is measured
        spent = Spent.so_far(redis).since(before)
    claims = [1000 * one for record in records for one in record.claims_s]
    pings = [1000 * one for record in records for one in record.pings_s]
    cpu = 100 * spent.cpu_s / spent.seconds
    return [
        _busy(
            f"{SIMULATED} simulated nodes, {RENDER_S:g} s renders",
            sum(record.busy_s for record in records) / SIMULATED / seconds,
        ),
        Case(
            name=f"a claim among them, p99 of {len(claims)}, ms",
            value=percentile(claims, 99),
            floor=percentile(pings, 99),
            plain=None,
            goal=f"<= {GOAL_CLAIM_MS:g} ms",
            holds=percentile(claims, 99) <= GOAL_CLAIM_MS,
        ),
        Case(
            name=f"Redis' CPU for them, {spent.a_job(len(claims)):.0f} commands a job, %",
            value=cpu,
            floor=GOAL_CPU,
            plain=None,
            goal=f"<= {GOAL_CPU:g} %",
            holds=cpu <= GOAL_CPU,
        ),
    ]


def _backlogs(settings: Settings, redis: Redis) -> list[Case]:
    seed(settings, _SHORT_QUEUE)
    _a_job(settings, redis)  # loads the scripts
    short = _a_job(settings, redis)
    seed(settings, _LONG_QUEUE)
    long = _a_job(settings, redis)
    seed_rows(settings, _ROWS)
    beside_rows = _a_job(settings, redis)
    longer = _a_job(settings, redis, render_s=RENDER_S)
    return [
        Case(
            name=f"commands of a {RENDER_S:g} s job that nobody watches, from its message to its commit",
            value=longer,
            floor=GOAL_JOB,
            plain=None,
            goal=f"<= {GOAL_JOB:g}",
            holds=longer <= GOAL_JOB,
        ),
        *(
            Case(
                name=f"commands of a job while {what} wait",
                value=count,
                floor=short,
                plain=None,
                goal=f"as many as while {_SHORT_QUEUE:,} wait",
                holds=abs(count - short) <= 1,  # a beat more or less falls among them
            )
            for what, count in (
                (f"{_LONG_QUEUE:,}", long),
                (f"{_ROWS:,} rows of a batch", beside_rows),
            )
        ),
    ]


def _a_job(settings: Settings, redis: Redis, *, render_s: float = 1.0) -> float:
    """Return how many commands one more job of a node takes when nothing else happens."""
    fewer, more = (_commands(settings, redis, render_s, jobs=jobs) for jobs in (1, 3))
    return (more - fewer) / 2


def _commands(settings: Settings, redis: Redis, render_s: float, *, jobs: int) -> float:
    """Return how many commands a node takes that joins the fleet and renders so many jobs."""
    begin = time.time() + _SOON_S
    before = Spent.so_far(redis)
    with _nodes(
        settings, 20, render_s=render_s, begin_at=begin, end_at=begin + 90, jobs=jobs, alone=True
    ):
        pass
    return Spent.so_far(redis).since(before).a_job(20)


def _busy(name: str, busy: float) -> Case:
    return Case(
        name=f"{name}: busy",
        value=busy,
        floor=1.0,
        plain=None,
        goal=f">= {GOAL_BUSY:g}",
        holds=busy >= GOAL_BUSY,
    )


@contextmanager
def _nodes(settings: Settings, nodes: int, **order) -> Iterator[list[Record]]:
    """Run simulated nodes in some processes; once the block is left, the list has their records."""
    records: list[Record] = []
    share = nodes // PROCESSES
    running = []
    for number in range(PROCESSES):
        one = Order(
            redis_url=settings.redis_url, first=number * share, count=share, of=nodes, **order
        )
        command = (sys.executable, "-m", "tests.bench.simulated_nodes", json.dumps(asdict(one)))
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    try:
        yield records
        for process in running:
            answer, _ = process.communicate(timeout=120)
            records.append(Record(**json.loads(answer)))
            assert not records[-1].errors, records[-1].errors[:3]
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def _redis() -> Iterator[tuple[Settings, Redis]]:
    """Start a Redis that nobody else uses."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        BackgroundSupervisor(Supervisor(Path(folder))) as services,
    ):
        server = servers.start_redis(services, Path(folder, "redis"))
        settings = load_settings(redis_url=server.url)
        with connect(settings) as redis:
            yield settings, redis
