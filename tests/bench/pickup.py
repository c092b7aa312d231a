"""From the moment `submit` returns to the prompt's start at an idle node: with params, and with a whole graph.

Floor: a raw LPUSH that wakes a BRPOP in another process, plus one empty POST to the node.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from redis import Redis

from infra.local.stack import LocalStack, Options
from producer.client import Producer
from tests.bench.results import Case, Result, median, percentile
from tests.graphs import journal, sleeping
from tests.polling import wait_until

ROUNDS = 60
GOAL_RATIO, GOAL_MS = 8.0, 50.0

_GRAPH = sleeping(0.01, nonce=0)

_ECHO = """
import sys, time
from redis import Redis
redis = Redis.from_url(sys.argv[1], socket_timeout=None)
while redis.brpop("bench:ping")[1] != b"end":
    redis.lpush("bench:pong", repr(time.time()))
"""


def run() -> Result:
    """Measure product, floor and plain Celery in turns on one idle fleet."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        LocalStack(Options(state_dir=Path(folder), standin_nodes=1)) as stack,
        Producer.from_env(**stack.settings) as fleet,
        Redis.from_url(fleet.settings.redis_url) as redis,
        requests.Session() as session,
        _echo(fleet.settings.redis_url),
        _plain_worker(fleet.settings.redis_url) as plain,
    ):
        [node] = stack.nodes
        session.trust_env = False
        product, whole, floor, plainly = [], [], [], []
        for number in range(ROUNDS + 3):
            measured = (
                _product(fleet, node, number, whole=False),
                _product(fleet, node, number, whole=True),
                _wake(redis) + _empty_post(session, node.url),
                _plainly(plain, node, number),
            )
            if number >= 3:  # the first ones load code and open connections
                for samples, sample in zip((product, whole, floor, plainly), measured, strict=True):
                    samples.append(sample * 1000)
            time.sleep(random.uniform(0.1, 0.4))  # so that rounds meet the loop at any point
        redis.lpush("bench:ping", "end")
    return Result(
        name="pickup",
        unit="ms",
        cases=[
            _case("p50", median(product), floor, plainly, median),
            _case("p90", percentile(product, 90), floor, plainly, lambda s: percentile(s, 90)),
            _case("whole graphs, p50", median(whole), floor, plainly, median),
        ],
        figures={"whole_over_params": median(whole) / median(product)},
    )


def _case(name, value, floor, plainly, of) -> Case:
    ground = median(floor)
    return Case(
        name=f"an idle fleet, {name}",
        value=value,
        floor=ground,
        plain=of(plainly),
        goal=f"<= {GOAL_RATIO:g} x floor, or {GOAL_MS:g} ms"
        if name.endswith("p50")
        else "none: shown",
        holds=not name.endswith("p50") or value <= max(GOAL_RATIO * ground, GOAL_MS),
    )


def _product(fleet: Producer, node, number: int, *, whole: bool) -> float:
    nonce = 2 * number + whole  # nothing is cached
    job = (
        fleet.submit(sleeping(0.01, nonce=nonce))
        if whole
        else fleet.submit(_GRAPH, params={"1.color": nonce, "2.nonce": nonce})
    )
    returned = time.time()
    job = fleet.wait(job.id)
    started = next(n["started_ms"] for n in journal(node) if n["prompt_id"] == job.prompt_id)
    return max(0.0, started / 1000 - returned)


def _wake(redis: Redis) -> float:
    sent = time.time()
    redis.lpush("bench:ping", "x")
    return float(redis.brpop("bench:pong")[1]) - sent


def _empty_post(session: requests.Session, url: str) -> float:
    sent = time.perf_counter()
    session.post(f"{url}/history", json={"delete": []}, timeout=10).raise_for_status()
    return time.perf_counter() - sent


def _plainly(app, node, number: int) -> float:
    prompt_id = str(uuid.uuid4())
    app.send_task("plain.render", args=(node.url, sleeping(0.01, nonce=1_000 + number), prompt_id))
    returned = time.time()

    def note():
        return next((n for n in journal(node) if n["prompt_id"] == prompt_id), None)

    wait_until(lambda: (found := note()) and found["ended_ms"], description="it was rendered")
    return max(0.0, note()["started_ms"] / 1000 - returned)


@contextmanager
def _echo(url: str) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _ECHO, url]) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def _plain_worker(url: str) -> Iterator[object]:
    """Run a worker as `celery worker` starts one, on another database of the same Redis."""
    broker = url.rpartition("/")[0] + "/1"
    os.environ["PLAIN_BROKER_URL"] = broker
    from tests.bench.plain_celery import app  # noqa: PLC0415 - it reads the address at import

    command = ("celery", "-A", "tests.bench.plain_celery", "worker", "-c", "2", "-l", "ERROR")
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: app.control.ping(timeout=0.5), description="it is up")
            yield app
        finally:
            process.terminate()
