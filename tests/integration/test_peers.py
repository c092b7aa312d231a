"""Whether another node could have a job at once; with a real Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.jobs import Attempt, Job, JobError
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs, readable_needs
from producer.store import keys
from producer.store.backlog import Backlog
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from tests.integration.hand_led import LEASE
from worker.node.peers import Peers


@pytest.fixture
def job(led) -> Job:
    """One that was handed in before a node was there to judge it."""
    return led.running()


@pytest.fixture
def peers(led, job) -> Peers:
    """Those of `gpu-01`: `gpu-02`, which waits for work and can run anything."""
    nodes = NodeStore(led.redis, lease=LEASE)
    needs = readable_needs(led.redis.hgetall(keys.QUEUES))[job.queue]
    catalog = Catalog({name: GraphNodeClass() for name in needs.classes})
    fields = {"pool": "default", "url": "", "state": NodeState.READY}
    texts = {"catalog": catalog.to_text(), "catalog_sha": catalog.sha}
    nodes.register("gpu-02", worker="gpu-02:1", fields={**fields, **texts})
    Backlog(led.redis, node="gpu-02", pool="default", lease=LEASE).say_idle(is_idle=True)
    backlog = Backlog(led.redis, node="gpu-01", pool="default", lease=LEASE)
    sweeps = Sweeps(led.redis, keep_ended=timedelta(minutes=1))
    return Peers(nodes, backlog, sweeps, name="gpu-01", pool="default")


@pytest.mark.parametrize("entry", [None, "", "{torn", "[]", '"x"'])
def test_a_job_whose_queue_has_no_readable_entry_stays_where_it_is(led, job, peers, entry):
    assert peers.has_idle_for(job, may_load=True)
    led.redis.hdel(keys.QUEUES, job.queue)
    if entry is not None:
        led.redis.hset(keys.QUEUES, job.queue, entry)
    assert not peers.has_idle_for(job, may_load=True)


def test_a_node_where_the_job_failed_is_none_for_it(job, peers):
    error = JobError(cause="out_of_memory", message="as asked", node="gpu-02")
    now = datetime.now(UTC)
    attempt = Attempt(number=1, node="gpu-02", charged=True, error=error, ended_at=now)
    assert peers.able_to_run(job, excluding=()) == (["gpu-02"], [])
    assert peers.able_to_run(job, excluding={"gpu-02"}) == ([], [])
    assert not peers.has_idle_for(job.model_copy(update={"attempts": [attempt]}), may_load=True)


def test_a_node_that_lacks_what_the_job_needs_is_none_for_it(led, job, peers):
    led.redis.hset(
        keys.QUEUES, job.queue, Needs.of("default", models=["not-there.safetensors"]).to_json()
    )
    assert peers.able_to_run(job, excluding=()) == ([], [])
