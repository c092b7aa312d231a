"""Whose a job is stands in its record and in each of its events; older records are read alike."""

from __future__ import annotations

import json

from producer.store import keys


def events_of(led, job):
    return [entry for _, entry in led.redis.xrange(keys.EVENTS) if entry["job"] == job.id]


def test_the_owner_stands_in_record_and_events(led):
    job = led.failed(led.queued(owner="shop"))
    assert led.fleet.get(job.id).owner == "shop"
    assert led.redis.hget(keys.job(job.id), "owner") == "shop"
    assert [entry["owner"] for entry in events_of(led, job)] == ["shop"] * 3
    assert {event.owner for event in led.fleet.events(after="0")} == {"shop"}
    assert led.fleet.retry(job.id).owner == "shop"


def test_a_job_without_an_owner_costs_no_field(led):
    job = led.queued()
    assert not led.redis.hexists(keys.job(job.id), "owner")
    assert [entry.get("owner") for entry in events_of(led, job)] == [None]
    assert led.fleet.get(job.id).owner == ""


def test_a_record_of_the_version_before_keeps_its_owner(led):
    job = led.queued(owner="shop")
    led.redis.hdel(keys.job(job.id), "owner")
    assert led.fleet.get(job.id).owner == "shop"
    spec = json.loads(led.redis.hget(keys.job(job.id), "spec"))
    assert spec["owner"] == "shop", "readers of the version before look there"


def test_rows_have_the_owner_of_their_batch(led):
    batch = led.fleet.submit_many(
        {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}, [{}], owner="shop"
    )
    assert [job.owner for _, job in led.fleet.batch_jobs(batch.id)] == ["shop"]
