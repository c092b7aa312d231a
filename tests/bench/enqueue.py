"""How long it takes to hand a job in: one by one, in bulk, and from a file by the command.

Floor: a pipelined LPUSH of the bytes of each row's own JSON. Beside it a loop of Celery's
`apply_async` with nothing but an id. The graph has 20 KB.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from redis import Redis

from producer.client import Producer
from tests.bench.results import Case, Result, median
from tests.bench.rows import empty_redis, graph_of_20_kb, rows

ROUNDS = 5
BULK, SINGLE, PLAIN, OF_FILE = 20_000, 400, 1_000, 10_000
FLOOR_SHARE, OVER_PLAIN, FILE_S = 0.3, 10, 2.0


def run() -> Result:
    """Hand jobs in by every way in turn, some rounds of it."""
    graph = graph_of_20_kb()
    taken: dict[str, list[float]] = {"bulk": [], "single": [], "file": [], "floor": [], "plain": []}
    with (
        empty_redis() as (settings, folder),
        Producer(settings) as fleet,
        Redis.from_url(settings.redis_url) as redis,
    ):
        plain = _plain_app(settings.redis_url)
        fleet.submit(graph)  # the first one opens connections and loads Celery
        for number in range(ROUNDS):
            some = list(rows(BULK, first=number * BULK))
            texts = [json.dumps(row) for row in some]
            taken["floor"].append(_timed(_push, redis, texts) / BULK)
            taken["bulk"].append(_timed(fleet.submit_many, graph, some) / BULK)
            taken["plain"].append(_timed(_apply, plain) / PLAIN)
            taken["single"].append(_timed(_submit, fleet, graph, some[:SINGLE]) / SINGLE)
            redis.flushall()
        for number in range(3):
            command = _command(folder, graph, first=number * OF_FILE)
            environment = {**os.environ, "COMFYFLEET_REDIS_URL": settings.redis_url}
            taken["file"].append(_timed(_run, command, environment) / OF_FILE)
    micros = {name: median(seconds) * 1e6 for name, seconds in taken.items()}
    return Result(
        name="enqueue",
        unit="µs a job",
        cases=[
            _case(
                "in bulk",
                micros["bulk"],
                micros,
                goal=f"rate >= {FLOOR_SHARE} x floor and >= {OVER_PLAIN} x apply_async",
                holds=micros["bulk"] <= micros["floor"] / FLOOR_SHARE
                and micros["bulk"] <= micros["plain"] / OVER_PLAIN,
            ),
            _case("one by one", micros["single"], micros, goal="none: shown", holds=True),
            _case(
                f"{OF_FILE:,} rows of CSV by the command",
                micros["file"],
                micros,
                goal=f"<= {FILE_S:g} s in all",
                holds=micros["file"] * OF_FILE <= FILE_S * 1e6,
            ),
        ],
        figures={
            "bulk_jobs_per_s": 1e6 / micros["bulk"],
            "single_jobs_per_s": 1e6 / micros["single"],
            "apply_async_per_s": 1e6 / micros["plain"],
            "csv_s": micros["file"] * OF_FILE / 1e6,
        },
    )


def _case(name, value, micros, *, goal, holds) -> Case:
    return Case(
        name=name, value=value, floor=micros["floor"], plain=micros["plain"], goal=goal, holds=holds
    )


def _timed(call, *args) -> float:
    began = time.perf_counter()
    call(*args)
    return time.perf_counter() - began


def _push(redis: Redis, texts: Iterable[str]) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for number, text in enumerate(texts, 1):
            pipe.lpush("bench:floor", text)
            if number % 2_000 == 0:
                pipe.execute()
        pipe.execute()


def _submit(fleet: Producer, graph: dict, some: Iterable[dict]) -> None:
    for row in some:
        fleet.submit(graph, params=row)


def _plain_app(url: str):
    os.environ["PLAIN_BROKER_URL"] = url.rpartition("/")[0] + "/1"
    from tests.bench.plain_celery import render  # noqa: PLC0415 - it reads the address at import

    return render


def _apply(task) -> None:
    for _ in range(PLAIN):
        task.apply_async(args=("", {}, str(uuid.uuid4())))


def _command(folder: Path, graph: dict, *, first: int) -> list[str]:
    (folder / "graph.json").write_text(json.dumps(graph))
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("6.text", "3.seed", "3.cfg"))
        writer.writeheader()
        writer.writerows(rows(OF_FILE, first=first))
    command = str(Path(sys.executable).with_name("comfyfleet"))
    return [command, "batch", "submit", str(folder / "graph.json"), str(folder / "rows.csv")]


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True)
