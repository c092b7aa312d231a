"""What a job survives: lost messages, killed workers, killed nodes."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest

from producer.contract.errors import UnreadableRecord
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.connection import connect
from tests.acceptance.test_jobs import runs_of
from tests.graphs import journal, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=40)
#: What a shell reports of a process that a signal 9 has ended.
KILLED = 137


def test_a_lost_message_is_sent_again(fleet, stack):
    busy = [fleet.submit(sleeping(30), pin=node.name) for node in stack.nodes]
    for other in busy:
        wait_until(lambda other=other: fleet.get(other.id).phase, description="it runs")
    job = fleet.submit(sleeping())
    with connect(fleet.settings) as redis:
        lost = redis.delete(keys.message_list(job.queue, job.tier.priority))
    assert lost == 1
    for other in busy:
        fleet.cancel(other.id)
    done = fleet.wait(job.id, timeout=PATIENCE)
    assert done.attempt == 1


@pytest.mark.parametrize("lost", ["nothing", "at:preparing"])
def test_a_killed_worker_comes_back_to_its_render(fleet, stack, lost):
    node = stack.nodes[0]
    job = fleet.submit(sleeping(5), pin=node.name)
    wait_until(lambda: runs_of(stack, job), description="it renders")
    os.kill(stack.pid(f"worker-{node.name}"), signal.SIGKILL)
    with connect(fleet.settings) as redis:
        redis.hdel(keys.job(job.id), lost)  # since when it runs is not what tells that it does
    done = fleet.wait(job.id, timeout=PATIENCE)
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 1)
    assert len(runs_of(stack, job)) == 1


def test_a_killed_node_costs_its_job_nothing_but_time(fleet, stack):
    node = stack.nodes[1]
    job = fleet.submit(sleeping(3), pin=node.name)
    wait_until(lambda: runs_of(stack, job), description="it renders")
    os.kill(stack.pid(node.name), signal.SIGKILL)
    done = fleet.wait(job.id, timeout=PATIENCE)
    assert done.status is JobStatus.SUCCEEDED
    assert done.charged_attempts == 0
    assert done.free_attempts >= 1


def test_what_ends_its_worker_three_times_is_not_taken_up_by_a_fourth(fleet, node, serve):
    with serve("mortal", "mortal", COMFYFLEET_CRASHPOINT="output.fetched") as worker:
        job = fleet.submit(sleeping(), pool="mortal")
        assert worker.wait(timeout=20) == KILLED
    for _ in range(2):
        with serve.begun("mortal", "mortal", COMFYFLEET_CRASHPOINT="output.fetched") as worker:
            assert worker.wait(timeout=20) == KILLED
    assert fleet.get(job.id).attempt == 1
    with serve.begun("mortal", "mortal"):
        done = fleet.wait(job.id, timeout=PATIENCE)
    died = done.attempts[0]
    assert (died.error.cause, died.node) == ("worker_died", "mortal")
    assert (done.attempt, done.charged_attempts, done.free_attempts) == (2, 0, 1)
    assert len(journal(node)) == 2


@pytest.mark.parametrize(("field", "status"), [("spec", "failed"), ("v", "queued")])
def test_a_record_that_makes_no_sense_keeps_its_node_from_no_other_job(fleet, stack, field, status):
    node = stack.nodes[0]
    busy = fleet.submit(sleeping(30), pin=node.name)
    wait_until(lambda: fleet.get(busy.id).phase, description="it runs")
    torn = fleet.submit(sleeping(), pin=node.name)
    with connect(fleet.settings) as redis:
        whole = redis.hget(keys.job(torn.id), field)
        redis.hset(keys.job(torn.id), field, "{")
        other = fleet.submit(sleeping(), pin=node.name)
        fleet.cancel(busy.id)
        assert fleet.wait(other.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
        assert redis.hget(keys.job(torn.id), "status") == status
        with pytest.raises(UnreadableRecord, match=f"the record of job {torn.id} cannot be read"):
            fleet.get(torn.id)
        redis.hset(keys.job(torn.id), field, whole)
    if status == "queued":
        assert fleet.wait(torn.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
    else:
        told = fleet.get(torn.id).error
        assert told.cause == "fleet_fault"
        assert "cannot be read" in told.message
