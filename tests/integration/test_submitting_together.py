"""Jobs that have nothing to do with each other and are handed in at one moment: each has an answer of its own."""

from __future__ import annotations

import asyncio
import json

import pytest

from producer.aio import AsyncProducer
from producer.contract.errors import InvalidGraph, InvalidJob, KeyReused, OwnerBacklogFull
from producer.contract.graph.named_graphs import NamedGraph
from producer.intake import named_templates
from producer.intake import request as request_module
from producer.intake.request import Request
from producer.store import keys
from tests.graphs import sleeping
from tests.integration.test_celery_traps import job_of


def together(led, *requests):
    return led.fleet._submit_each([Request(**request) for request in requests])


def test_each_has_its_own_answer(led):
    good = {"graph": sleeping(1), "owner": "shop", "idempotency_key": "one"}
    told = together(
        led,
        good,
        {"graph": {"1": {}}},
        good,
        {**good, "graph": sleeping(2)},
        {"graph": sleeping(3), "pool": "no pool"},
        {"graph": sleeping(4)},
    )
    first, broken, again, reused, nowhere, last = told
    assert (first.is_replay, last.is_replay) == (False, False)
    assert (again.is_replay, again.job.id) == (True, first.job.id)
    assert [type(error) for error in (broken, reused, nowhere)] == [
        InvalidGraph,
        KeyReused,
        InvalidJob,
    ]
    queued = led.redis.lrange(keys.message_list(last.job.queue, last.job.tier.priority), 0, -1)
    assert [job_of(raw) for raw in queued] == [last.job.id, first.job.id]


def test_the_answer_is_the_record(led):
    [told] = together(
        led,
        {
            "graph": sleeping(1),
            "owner": "shop",
            "metadata": {"order": "7"},
            "extra_data": {"api_key_comfy_org": "secret"},
        },
    )
    assert told.job == led.fleet.get(told.job.id)


def test_a_limit_that_is_reached_among_them_refuses_the_rest_alone(led):
    led.fleet.limit_owner("shop", max_waiting=2)
    told = together(led, *({"graph": sleeping(n), "owner": "shop"} for n in range(4)))
    assert [isinstance(answer, OwnerBacklogFull) for answer in told] == [False, False, True, True]
    assert led.fleet.owner("shop").waiting == 2


def test_redis_may_have_forgotten_the_script(led):
    led.queued()
    led.redis.script_flush()
    assert [answer.is_replay for answer in together(led, *[{"graph": sleeping(1)}] * 3)] == [
        False
    ] * 3


def test_the_nodes_are_read_once_for_all_that_came_together(led):
    led.queued()
    before = led.redis.info("commandstats")["cmdstat_time"]["calls"]
    together(led, *({"graph": sleeping(n)} for n in range(20)))
    # A script asks for the time by itself; each submission runs one.
    after = led.redis.info("commandstats")["cmdstat_time"]["calls"]
    assert after - before == 21


def test_those_that_asyncio_hands_in_at_once_make_a_job_each(led):
    async def submit():
        async with AsyncProducer(led.settings) as fleet:
            jobs = await asyncio.gather(*(fleet.submit(sleeping(n)) for n in range(30)))
            with pytest.raises(InvalidGraph):
                await fleet.submit(json.dumps({"1": {}}))
            return jobs

    jobs = asyncio.run(submit())
    assert len({job.id for job in jobs}) == 30
    assert led.fleet.get_many([job.id for job in jobs]) == jobs


@pytest.mark.parametrize("form", ["by its name", "in the request"])
def test_a_large_graph_is_none_that_others_wait_for(led, monkeypatch, form):
    monkeypatch.setattr(named_templates, "LARGE", 1_000)
    monkeypatch.setattr(request_module, "_MANY", 20)
    large = {str(n): {"class_type": "EmptyImage", "inputs": {"width": n}} for n in range(30)}
    large["99"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0], "filename_prefix": ""}}
    led.fleet.templates.put("large", large)
    groups = []

    async def submit():
        async with AsyncProducer(led.settings) as fleet:
            each = fleet._sync._submit_each

            def seen(requests):
                groups.append([request.may_wait for request in requests])
                return each(requests)

            monkeypatch.setattr(fleet._sync, "_submit_each", seen)
            graph = NamedGraph("large") if form == "by its name" else large
            await asyncio.gather(*(fleet.submit(one) for one in (sleeping(1), graph, sleeping(2))))

    asyncio.run(submit())
    assert [True] in groups
    assert len(led.fleet.jobs().jobs) == 3
