"""Many nodes in one process, for the store's sake: `python -m tests.bench.simulated_nodes ORDER`.

Each is a thread that does with Redis what a worker does for a job, by the product's own code: take
a message, claim, read the template, note phases and progress, commit; a beat for each every few
seconds; upkeep. There is no Celery, no HTTP and no S3, and it does not look ahead: what a commit
costs is time in which its node renders nothing. ORDER and the answer on stdout are JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from threading import Event, Thread
from typing import Any, NamedTuple

from producer.contract.config.settings import Settings, load_settings
from producer.contract.ids import JobId, prompt_id
from producer.contract.jobs import JobError, Phase, Progress
from producer.contract.nodes import NodeState
from producer.dispatch import Dispatch
from producer.store.attempts import Hold
from producer.store.connection import connect
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from producer.upkeep.sweeper import Upkeep
from tests.bench.seeding import message_list

#: As `worker.attempt.render` notes progress that nobody watches.
NOTE_EVERY_S = 5.0
#: Of all their jobs, so that each commit counts its render.
_SHAPE = "0123456789abcdef"
#: As kombu asks.
POP_S = 1


@dataclass(frozen=True, kw_only=True)
class Order:
    """What nodes do.

    Args:
        first, count: their numbers.
        begin_at, end_at: between these they are measured, Unix s.
        render_s: how long a job renders; the nodes begin one after the other within that time
            before *begin_at*, so that they do not all end at once.
        jobs: so many each, then no more; 0 for as many as there are until *end_at*.
        alone: without beats and upkeep, so that every command is a job's.
    """

    redis_url: str
    first: int
    count: int
    of: int
    begin_at: float
    end_at: float
    render_s: float
    jobs: int = 0
    alone: bool = False


@dataclass
class Record:
    """What nodes did between the two times.

    Args:
        claims_s, pings_s: how long each claim took, and a bare round trip just before it.
        busy_s: node seconds of rendering.
    """

    jobs: int = 0
    busy_s: float = 0.0
    claims_s: list[float] = field(default_factory=list)
    pings_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class SimulatedNode:
    """One node and its worker, as Redis sees them."""

    def __init__(self, order: Order, number: int, settings: Settings) -> None:
        self.name = f"node-{number:04}"
        self.worker = f"{self.name}:simulated"
        self.record = Record()
        self.hold: Hold | None = None
        self._order = order
        self._begins_at = order.begin_at - order.render_s * (1 - number / order.of)
        self._settings = settings
        self._lease = timedelta(seconds=settings.lease_s)
        self._redis = connect(settings)
        self._store = JobStore(self._redis, keep_ended=timedelta(seconds=settings.keep_ended_s))
        self._nodes = NodeStore(self._redis, lease=self._lease)

    def register(self) -> None:
        """Join the fleet."""
        fields = {"pool": "default", "url": "http://127.0.0.1:1", "state": NodeState.READY}
        self._nodes.register(
            self.name, worker=self.worker, fields={**fields, "host": "bench", "reason": ""}
        )

    def serve(self) -> None:
        """Take jobs and render them until it is enough."""
        try:
            _sleep_until(self._begins_at)
            done = 0
            while time.time() < self._order.end_at and done < (self._order.jobs or sys.maxsize):
                popped: Any = self._redis.brpop([message_list()], timeout=POP_S)
                if popped:
                    job_id, _, attempt = json.loads(popped[1])["headers"]["id"].rpartition(".")
                    done += self._run(JobId(job_id), int(attempt))
        except Exception as exc:  # noqa: BLE001 - the benchmark fails, and says of what
            self.record.errors.append(repr(exc))

    def beat(self) -> None:
        """Say that it lives, as its lease thread does."""
        holds = [self.hold] if self.hold else []
        self._nodes.beat(self.name, worker=self.worker, holds=holds)

    def _run(self, job_id: JobId, attempt: int) -> bool:
        asked = time.perf_counter()
        self._redis.ping()
        began = time.perf_counter()
        job = self._store.claim(
            job_id,
            attempt=attempt,
            node=self.name,
            worker=self.worker,
            lease=self._lease,
            prompt_id=prompt_id(job_id, attempt),
        )
        claimed = time.perf_counter()
        if job is None:
            return False
        self.hold = hold = Hold(job.id, job.attempt, self.worker)
        self._store.graph(job.template)
        self._store.note(hold, phase=Phase.RENDERING)
        self._render(hold)
        self._store.enter_phase(hold, Phase.FETCHING)
        at_once = timedelta(0)
        self._store.commit(hold, artifacts=[], values={}, shape=_SHAPE, fetched_in=at_once)
        self.hold = None
        if self._order.begin_at <= time.time() <= self._order.end_at or self._order.jobs:
            self.record.jobs += 1
            self.record.claims_s.append(claimed - began)
            self.record.pings_s.append(began - asked)
        return True

    def _render(self, hold: Hold) -> None:
        # What its node renders ends in time, however late this thread wakes.
        began = time.time()
        steps = round(self._order.render_s / NOTE_EVERY_S)
        for step in range(1, steps + 1):
            _sleep_until(began + step * NOTE_EVERY_S)
            if step < steps:
                progress = Progress(graph_node="3", value=step, max=steps, graph_nodes=7)
                self._store.note(hold, progress=progress, is_watched=False)
        ended = began + self._order.render_s
        within = min(ended, self._order.end_at) - max(began, self._order.begin_at)
        self.record.busy_s += max(0.0, within)


def main() -> None:
    """Run the nodes that the order asks for, and tell what they did."""
    order = Order(**json.loads(sys.argv[1]))
    settings = load_settings(redis_url=order.redis_url)
    nodes = [
        SimulatedNode(order, number, settings)
        for number in range(order.first, order.first + order.count)
    ]
    total, stopped = Record(), Event()
    for node in nodes:
        node.register()
    if not order.alone:
        Thread(target=_beat, args=(nodes, settings.renew_s, stopped), daemon=True).start()
        Thread(target=_keep_up, args=(settings, total, stopped), daemon=True).start()
    threads = [Thread(target=node.serve, daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stopped.set()
    for node in nodes:
        total.jobs += node.record.jobs
        total.busy_s += node.record.busy_s
        total.claims_s += node.record.claims_s
        total.pings_s += node.record.pings_s
        total.errors += node.record.errors
    print(json.dumps(asdict(total)))


def _beat(nodes: list[SimulatedNode], every_s: float, stopped: Event) -> None:
    while not stopped.is_set():
        began = time.time()
        for number, node in enumerate(nodes):
            _sleep_until(began + every_s * number / len(nodes))
            node.beat()


def _keep_up(settings: Settings, record: Record, stopped: Event) -> None:
    """Sweep as every worker does; a lease that runs out fails the benchmark."""
    with connect(settings) as redis:
        lease = timedelta(seconds=settings.lease_s)
        upkeep = Upkeep(
            store=JobStore(redis, keep_ended=timedelta(seconds=settings.keep_ended_s)),
            sweeps=Sweeps(redis, keep_ended=timedelta(seconds=settings.keep_ended_s)),
            dispatch=Dispatch(settings),
            who=f"bench-{id(record)}",
            lease=lease,
            renew=timedelta(seconds=settings.renew_s),
            every=timedelta(seconds=settings.sweep_s),
            interrupt=lambda job: record.errors.append(f"the lease of {job.id} ran out"),
            judge=lambda job: Decision(again=False, error=JobError(cause="bench", message=job.id)),
        )
        while not stopped.wait(settings.sweep_s):
            upkeep.sweep()


class Decision(NamedTuple):
    """What is decided of a job whose lease ran out."""

    again: bool
    error: JobError


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))  # all that a simulated node does meanwhile


if __name__ == "__main__":
    main()
