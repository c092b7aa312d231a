"""`Producer.queue`: what waits by pool, tier and reason, since when, and how many nodes could take it."""

from __future__ import annotations

import asyncio
import json

from producer.aio import AsyncProducer
from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs
from producer.store import keys
from producer.store.node_store import NodeStore
from tests.integration.hand_led import LEASE
from tests.integration.test_job_pages import GRAPH, rows

LOADER = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "big.safetensors"}}}


def register(led, name, state=NodeState.READY, *, models=(), pool="default"):
    classes = {found["class_type"]: GraphNodeClass() for found in GRAPH.values()}
    classes["SaveImage"] = GraphNodeClass(is_output=True)
    classes["CheckpointLoaderSimple"] = GraphNodeClass(models={"ckpt_name": models})
    catalog = Catalog(classes)
    fields = {
        "pool": pool,
        "url": "http://127.0.0.1:1",
        "state": state,
        "host": "here",
        "catalog": catalog.to_text(),
        "catalog_sha": catalog.sha,
    }
    NodeStore(led.redis, lease=LEASE).register(name, worker=f"{name}:w", fields=fields)


def lines(led):
    return {(line.tier, line.pin, line.reason): line for line in led.fleet.queue()}


def test_nothing_waits_in_an_empty_fleet(led):
    assert led.fleet.queue() == []


def test_what_waits_is_told_by_tier_and_reason_with_the_nodes_that_could_take_it(led):
    first = led.queued()
    led.queued()
    led.fleet.hold(led.queued().id)
    led.queued(tier="rush")
    led.delayed()
    led.failed()
    led.fleet.submit_many(GRAPH, rows(250))
    assert {key[2] for key in lines(led)} == {"no_node", "held", "retry_at"}
    register(led, "gpu-01", NodeState.QUARANTINED)
    assert {key[2] for key in lines(led)} == {"not_ready", "held", "retry_at"}
    register(led, "gpu-01")
    register(led, "gpu-02")
    found = lines(led)
    assert {key: (line.jobs, line.nodes) for key, line in found.items()} == {
        ("rush", None, "capacity"): (1, 2),
        ("default", None, "capacity"): (2, 2),
        ("default", None, "held"): (1, 2),
        ("default", None, "retry_at"): (1, 2),
        ("batch", None, "its_turn"): (250, 2),
    }
    assert found["default", None, "capacity"].oldest_at == first.queued_at
    assert {line.pool for line in found.values()} == {"default"}
    tiers = [line.tier for line in led.fleet.queue()]
    assert tiers == ["rush", "default", "default", "default", "batch"]


def test_only_nodes_that_have_what_a_job_needs_count(led):
    register(led, "gpu-01")
    register(led, "gpu-02", models=("big.safetensors",))
    graph = {**GRAPH, **{f"9{key}": node for key, node in LOADER.items()}}
    graph["3"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["91", 0], "filename_prefix": "x"},
    }
    led.fleet.submit(graph)
    led.fleet.submit(GRAPH, pin="gpu-01", tier="rush")
    found = lines(led)
    assert found["default", None, "capacity"].nodes == 1
    pinned = found["rush", "gpu-01", "capacity"]
    assert (pinned.pool, pinned.nodes, pinned.jobs) == ("default", 1, 1)


def test_a_batch_that_is_held_waits_for_its_release(led):
    batch = led.fleet.submit_many(GRAPH, rows(3))
    led.fleet.hold_batch(batch.id)
    [line] = led.fleet.queue()
    assert (line.reason, line.jobs, line.tier) == ("held", 3, "batch")


def test_more_jobs_than_one_script_looks_at_are_counted(led):
    job = led.queued()
    fields = led.redis.hgetall(keys.job(job.id))
    with led.redis.pipeline() as pipe:
        for number in range(4_100):
            pipe.hset(f"{keys.JOB}copy-{number}", mapping=fields)
            pipe.expire(f"{keys.JOB}copy-{number}", 60)
            pipe.zadd(keys.DELAYED, {f"copy-{number}": 4_000_000_000_000})
        pipe.execute()
    [line] = led.fleet.queue()
    assert line.jobs == 4_101


def test_what_makes_no_sense_hides_nothing(led):
    job, bad = led.queued(), led.queued()
    led.redis.hset(keys.job(bad.id), "priority", "soon")
    led.redis.zadd(keys.DELAYED, {keys.NODES: 1, "gone": 1})
    led.redis.hset(keys.QUEUES, Needs.of("default").queue, "{")
    [line] = led.fleet.queue()
    assert (line.jobs, line.reason, line.oldest_at) == (1, "no_node", job.queued_at)


def test_the_command_and_the_twin_tell_the_same(led):
    led.queued()
    told = led.command("queue")
    head, line = told.stdout.splitlines()
    assert head.split()[:5] == ["pool", "tier", "jobs", "oldest", "nodes"]
    assert line.split()[:3] == ["default", "default", "1"]
    assert "no living node could run it" in line
    [found] = map(json.loads, led.command("queue", "--json").stdout.splitlines())
    assert (found["reason"], found["jobs"], found["nodes"]) == ("no_node", 1, 0)

    async def ask():
        fleet = AsyncProducer(led.settings)
        lines = await fleet.queue()
        await fleet.close()
        return lines

    assert asyncio.run(ask()) == led.fleet.queue()
