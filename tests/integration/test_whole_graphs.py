"""Graphs that are handed in whole, in Redis: one template for all of a kind, and a record as with params."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.cli.job_view import show_job
from producer.client import Producer
from producer.contract.errors import KeyReused
from producer.contract.graph.graph import stored_graph
from producer.contract.params.params import set_params
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.graphs import rendering
from tests.integration.test_command_counts import calls

MODEL = "a.safetensors"
#: Jobs after which a producer knows what differs among graphs of a kind.
KNOWN_AFTER = 10


def whole(number, *, text=None):
    """Return a graph as a backend fills it in."""
    graph = rendering(MODEL, seed=10**9 + number)
    graph["6"]["inputs"]["text"] = text or f"a quiet harbour, seen for the {number:04}th time"
    return graph


def by_params(fleet, number):
    graph = whole(number)
    params = {f"{a}.{b}": graph[a]["inputs"][b] for a, b in (("3", "seed"), ("6", "text"))}
    return fleet.submit(rendering(MODEL, seed=1), params=params)


def cost(led, submit):
    """Return the bytes of a job's record, and the commands that Redis ran to record it."""
    sizes, counts = [], []
    for number in range(KNOWN_AFTER, 40):
        before = calls(led.redis)
        job = submit(number)
        counts.append(calls(led.redis) - before)
        sizes.append(led.redis.memory_usage(keys.job(job.id)))
    return sum(sizes) / len(sizes), sum(counts) / len(counts)


def test_a_job_handed_in_whole_costs_what_it_costs_with_params(led):
    for number in range(KNOWN_AFTER):
        led.fleet.submit(whole(number))
        by_params(led.fleet, number)
    templates = len(led.redis.keys("comfyfleet:template:*"))
    assert templates <= 4
    whole_bytes, whole_calls = cost(led, lambda number: led.fleet.submit(whole(number)))
    bytes_, calls_ = cost(led, lambda number: by_params(led.fleet, number))
    assert whole_bytes <= 1.1 * bytes_
    assert whole_calls <= 1.1 * calls_
    assert len(led.redis.keys("comfyfleet:template:*")) == templates


def test_a_process_that_hands_in_one_graph_makes_no_template_of_its_own(led):
    for number in range(5):
        with Producer(led.settings) as fleet:
            fleet.submit(whole(number))
    assert len(led.redis.keys("comfyfleet:template:*")) == 1


def test_a_worker_of_the_version_before_makes_the_graph_of_the_record(led):
    # It sets all of `params`, and knows of nothing else.
    for number in range(12):
        job = led.fleet.submit(whole(number), params={"3.steps": 7} if number % 2 else {})
        spec = json.loads(led.redis.hget(keys.job(job.id), "spec"))
        made = set_params(stored_graph(led.store.graph(spec["template"])), spec["params"])
        expected = whole(number)
        expected["3"]["inputs"]["steps"] = 7 if number % 2 else 4
        assert made == expected


def test_the_record_tells_ones_own_params_from_what_stood_in_the_graph(led, capsys):
    for number in range(KNOWN_AFTER):
        led.fleet.submit(whole(number))
    job = led.fleet.get(led.fleet.submit(whole(99), params={"KSampler.seed": 5}).id)
    text = whole(99)["6"]["inputs"]["text"]
    assert (job.params, job.graph_values) == ({"3.seed": 5}, {"6.text": text})
    assert job.set_values == {"3.seed": 5, "6.text": text}
    show_job(job, waits_for=None)
    shown = capsys.readouterr().out
    assert "set 3.seed" in shown
    assert "in its graph 6.text" in shown
    again = led.fleet.retry(led.failed(job).id)
    assert (again.params, again.graph_values) == (job.params, job.graph_values)
    led.cancelled(again)
    Sweeps(led.redis, keep_ended=timedelta(days=7)).packing(after=timedelta(0)).pack()
    assert led.fleet.get(again.id).graph_values == job.graph_values


def test_an_idempotency_key_stands_for_the_graph_that_was_handed_in_however_it_was_split(led):
    first = led.fleet.submit(whole(0), idempotency_key="k")
    for number in range(KNOWN_AFTER):
        led.fleet.submit(whole(number))
    with Producer(led.settings) as other:
        for fleet in (led.fleet, other):
            assert fleet.submit(whole(0), idempotency_key="k").id == first.id
            with pytest.raises(KeyReused):
                fleet.submit(whole(1), idempotency_key="k")
            with pytest.raises(KeyReused):
                fleet.submit(whole(0), params={"3.seed": 10**9 + 1}, idempotency_key="k")
