"""Jobs that are left lying and queues that nobody hears of are told."""

from __future__ import annotations

from datetime import timedelta
from threading import Timer

import pytest

from producer.checking.findings import Kind
from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.queues import Needs, node_queue
from producer.store import keys
from producer.store.node_store import NodeStore
from tests.integration.checks import check
from tests.integration.default_queue import ANY
from tests.integration.hand_led import LEASE


def register(led, name="gpu-01", *, state="ready"):
    classes = ("EmptyImage", "ComfyFleetSleep", "SaveImage")
    catalog = Catalog({name: GraphNodeClass(is_output=name == "SaveImage") for name in classes})
    NodeStore(led.redis, lease=LEASE).register(
        name,
        worker=f"{name}:w",
        fields={
            "pool": "default",
            "url": "http://127.0.0.1:1",
            "state": state,
            "host": "here",
            "catalog": catalog.to_text(),
            "catalog_sha": catalog.sha,
        },
    )


SOON = {"stuck_after": timedelta(0), "recheck_for": timedelta(seconds=0.5)}


def test_a_job_that_an_idle_node_leaves_lying_is_told(led):
    register(led)
    first, _ = led.queued(), led.queued()
    [finding] = check(led, **SOON)
    assert (finding.kind, finding.about) == (Kind.NOT_STARTED, ANY)
    assert f"job {first.id} and 1 more wait" in finding.sentence
    assert "while gpu-01 could serve it and does nothing" in finding.sentence


def test_a_job_that_waits_for_a_busy_sick_or_other_node_is_not_stuck(led):
    register(led)
    register(led, "gpu-02", state="quarantined")
    led.running(node="gpu-01")
    led.queued()
    led.queued(pin="gpu-02")
    assert check(led, **SOON) == []


def test_a_job_that_has_waited_for_a_moment_is_not_stuck(led):
    register(led)
    led.queued()
    assert check(led, recheck_for=timedelta(seconds=0.5)) == []


@pytest.mark.parametrize("what", ["running", "cancelled"])
def test_a_job_that_is_started_or_cancelled_while_we_watch_is_not_stuck(led, what):
    register(led)
    job = led.queued()
    somebody = Timer(0.5, getattr(led, what), [job])
    somebody.start()
    assert check(led, stuck_after=timedelta(0)) == []
    somebody.join()


def test_a_queue_that_no_worker_hears_of_is_told(led):
    job = led.queued()
    led.redis.hdel(keys.QUEUES, ANY)
    [finding] = check(led)
    assert (finding.kind, finding.about, finding.is_left) == (Kind.UNKNOWN_QUEUE, ANY, True)
    assert job.id in finding.sentence


def test_a_queue_nobody_uses_is_but_a_note(led):
    register(led)
    led.cancelled()
    led.redis.hset(keys.QUEUES, node_queue("gpu-99"), Needs.of("default").to_json())
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.is_note, finding.is_left) == (Kind.UNUSED_QUEUE, True, False)
