"""What may be wrong around a worker: its clock, its limits, and what Redis holds or takes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from infra.local.stack import LocalStack, Options
from producer.contract.errors import FleetUnreachable, JobNotFound
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from producer.store.connection import connect
from tests.acceptance.serving import is_ready
from tests.graphs import journal, sleeping
from tests.polling import wait_until

pytestmark = pytest.mark.release

PATIENCE = timedelta(seconds=40)

#: A folder with which Python has a wrong clock.
SKEW = Path(__file__).parents[1] / "chaos/fleet/skew"


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[LocalStack]:
    """Redis and S3 of this file's own, since they are hurt; no worker but a test's."""
    options = Options(state_dir=tmp_path_factory.mktemp("hurt"), standin_nodes=1, workers=False)
    with pytest.MonkeyPatch.context() as environment, LocalStack(options) as stack:
        environment.setenv("COMFYFLEET_SWEEP_S", "0.3")
        yield stack


@pytest.fixture
def redis(fleet) -> Iterator[Redis]:
    with connect(fleet.settings) as redis:
        yield redis


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_an_hour_off_keeps_every_deadline(fleet, serve, hours):
    skewed = {"PYTHONPATH": str(SKEW), "CHAOS_SKEW_S": str(hours * 3600)}
    pool = f"skewed{hours + 1}"
    with serve(pool, pool, **skewed):
        logged = datetime.fromisoformat(serve.log(pool).read_text()[:19]).astimezone()
        off = logged - datetime.now(UTC)
        assert abs(off - timedelta(hours=hours)) < timedelta(minutes=1)
        busy, patient, hasty = (
            fleet.submit(sleeping(3), pool=pool, start_within=timedelta(seconds=within))
            for within in (60, 60, 1)
        )
        done = [fleet.wait(job.id, timeout=PATIENCE) for job in (busy, patient)]
        assert [(job.status, job.attempt) for job in done] == [(JobStatus.SUCCEEDED, 1)] * 2
        assert fleet.get(hasty.id).status is JobStatus.EXPIRED
        assert timedelta(seconds=3) < done[0].ended_at - busy.created_at < PATIENCE


def test_an_emptied_redis_costs_its_jobs_but_no_worker(fleet, serve, node, redis):
    with serve("flushed", "flushed") as worker:
        lost = fleet.submit(sleeping(2), pool="flushed")
        wait_until(lambda: journal(node), description="it renders")
        redis.flushall()
        wait_until(lambda: is_ready(fleet, "flushed"), description="the worker has joined again")
        done = fleet.wait(fleet.submit(sleeping(), pool="flushed").id, timeout=PATIENCE)
        assert worker.poll() is None
    assert done.status is JobStatus.SUCCEEDED
    assert "was it emptied?" in serve.log("flushed").read_text()
    with pytest.raises(JobNotFound):
        fleet.get(lost.id)


def fill(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def demote(redis: Redis) -> None:
    redis.replicaof("127.0.0.1", "1")


HURTS = {
    "full": (fill, "Redis is full; raise maxmemory"),
    "read-only": (demote, "this is a replica; point COMFYFLEET_REDIS_URL at the primary"),
}


@pytest.mark.parametrize("hurt", HURTS)
def test_a_redis_that_takes_no_writes_is_named_and_waited_for(fleet, serve, node, redis, hurt):
    strike, advice = HURTS[hurt]
    with serve(hurt, hurt) as worker:
        job = fleet.submit(sleeping(2), pool=hurt)
        wait_until(lambda: journal(node), description="it renders")
        strike(redis)
        try:
            with pytest.raises(FleetUnreachable, match=advice):
                fleet.submit(sleeping(), pool=hurt)
            wait_until(
                lambda: journal(node)[0]["outcome"] == "success", description="it has rendered"
            )
        finally:
            redis.config_set("maxmemory", 0)
            redis.replicaof("NO", "ONE")
        done = fleet.wait(job.id, timeout=PATIENCE)
        assert worker.poll() is None
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 1)
    assert len(journal(node)) == 1


#: A limit of the process, as low as if all were used up, and what the system says then.
SHORTAGES = {
    "of file descriptors": (resource.RLIMIT_NOFILE, 8, "Too many open files"),
    "of room on its disk": (resource.RLIMIT_FSIZE, 0, "File too large"),
}


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_worker_that_is_short_of_something_is_blocked_and_loses_nothing(fleet, serve, shortage):
    limit, low, told = SHORTAGES[shortage]
    with serve("poor", "poor") as worker:
        fleet.wait(fleet.submit(sleeping(), pool="poor").id, timeout=PATIENCE)
        usual = resource.prlimit(worker.pid, limit)
        resource.prlimit(worker.pid, limit, (low, usual[1]))
        job = fleet.submit(sleeping(), pool="poor")
        try:
            wait_until(
                lambda: is_blocked(fleet, "poor", told), description="it says why", within_s=60
            )
        finally:
            resource.prlimit(worker.pid, limit, usual)
            print(fleet.nodes(), serve.log("poor").read_text()[-4_000:])
        done = fleet.wait(job.id, timeout=PATIENCE)
        assert worker.poll() is None
    assert (done.status, done.charged_attempts) == (JobStatus.SUCCEEDED, 0)


def is_blocked(fleet, name: str, told: str) -> bool:
    node = next(node for node in fleet.nodes() if node.name == name)
    return node.state is NodeState.BLOCKED and told in node.reason
