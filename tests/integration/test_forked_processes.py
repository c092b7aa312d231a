"""A producer that was made before its process forked, as web servers that preload do."""

from __future__ import annotations

import multiprocessing

from producer.contract.errors import FleetError
from tests.graphs import sleeping


def test_a_forked_process_submits_by_its_parents_producer(led):
    led.fleet.submit(sleeping(1))
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()

    def submit() -> None:
        try:
            its.send(led.fleet.submit(sleeping(2)).id)
        except (FleetError, RuntimeError) as exc:
            its.send(f"refused: {exc}")

    child = context.Process(target=submit)
    child.start()
    assert mine.poll(20), "the child has said nothing"
    job = led.fleet.get(mine.recv())
    child.join(20)
    sent = {
        key: led.redis.llen(key)
        for key in led.redis.keys("*pool*")
        if led.redis.type(key) == "list"
    }
    assert (child.exitcode, job.done, sum(sent.values())) == (0, False, 2)
    led.fleet.submit(sleeping(3))
