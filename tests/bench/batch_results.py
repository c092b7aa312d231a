"""What a batch of very many ended rows takes: bytes of Redis, and memory and time of `comfyfleet batch results`.

10,000 and 100,000 rows, with --full a million. They are packed by the product's own code, of records that never
were in Redis. Redis' memory is all that it uses, the batch and its graph included. Memory of the process is its
peak, and flat if it is that of 10,000 rows. Floor of a row: the same buckets read by the same client, inflated and
parsed, and a dict like its line written as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

from redis import Redis

from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.result_lines import Line
from producer.store import keys, limits
from producer.store.ended_buckets import IN_COMMON, packed_part
from tests.bench.ended_rows import fill_packed
from tests.bench.results import Case, Result
from tests.bench.rows import empty_redis, used_memory

COUNTS, FULL = (10_000, 100_000), 1_000_000
BYTES_A_ROW, FLAT, OVER_FLOOR = 120, 1.2, 6
_AT_ONCE = 10


def run(*, full: bool = False) -> Result:
    """Fill an empty Redis once a count, and print all results."""
    cases, figures, first_peak = [], {}, 0.0
    with empty_redis() as (settings, _), Producer(settings) as fleet:
        for count in (*COUNTS, *([FULL] if full else [])):
            fleet._redis.flushall()
            began = time.monotonic()
            batch = fill_packed(fleet, fleet._redis, count)
            figures[f"seeding_s_{count}"] = time.monotonic() - began
            used = used_memory(fleet._redis)
            seconds, peak = _print_results(settings, batch, count)
            first_peak = first_peak or peak
            cases += _cases(count, used, peak, first_peak)
            line = next(fleet.batch_results(batch))
            cases.append(_speed(count, seconds, _floor(fleet._redis, batch, count, line)))
    return Result(name="batch_results", unit="MB", cases=cases, figures=figures)


def _cases(count: int, used: int, peak: float, first_peak: float) -> list[Case]:
    return [
        Case(
            name=f"Redis, {count:,} rows",
            value=used / 1e6,
            floor=count * BYTES_A_ROW / 1e6,
            plain=None,
            # What is there without rows weighs too much on few of them.
            goal=f"<= {BYTES_A_ROW} bytes a row" if count >= COUNTS[-1] else "none",
            holds=used <= count * BYTES_A_ROW or count < COUNTS[-1],
        ),
        Case(
            name=f"peak of the process, {count:,} rows",
            value=peak,
            floor=first_peak,
            plain=None,
            goal=f"<= {FLAT} x that of {COUNTS[0]:,} rows",
            holds=peak <= FLAT * first_peak,
        ),
    ]


def _speed(count: int, seconds: float, floor_s: float) -> Case:
    return Case(
        name=f"{count:,} rows printed as JSON",
        value=seconds / count * 1e6,
        floor=floor_s / count * 1e6,
        plain=None,
        # The start of the command weighs too much on few of them.
        goal=f"<= {OVER_FLOOR} x floor" if count >= COUNTS[-1] else "none",
        holds=seconds <= OVER_FLOOR * floor_s or count < COUNTS[-1],
        unit="us a row",
    )


def _print_results(settings: Settings, batch: str, count: int) -> tuple[float, float]:
    """Run the command; return its CPU seconds and its peak memory, MB."""
    command = [
        str(Path(sys.executable).with_name("comfyfleet")),
        "batch",
        "results",
        batch,
        "--json",
    ]
    environment = {"COMFYFLEET_REDIS_URL": settings.redis_url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        lines = sum(chunk.count(b"\n") for chunk in iter(process.stdout.read1, b""))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (lines, process.returncode) == (count, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def _floor(redis: Redis, batch: str, count: int, line: Line) -> float:
    """Return the CPU seconds of reading, inflating and parsing the buckets, and of writing so many lines."""
    began = time.process_time()
    numbers = range(-(-count // limits.BUCKET_ROWS))
    for start in numbers[::_AT_ONCE]:
        with redis.pipeline(transaction=False) as pipe:
            for number in numbers[start : start + _AT_ONCE]:
                pipe.execute_command("HGET", keys.ended_rows(batch), number, NEVER_DECODE=True)
            for data in pipe.execute():
                inflater = zlib.decompressobj(-zlib.MAX_WBITS, zdict=IN_COMMON)
                json.loads(inflater.decompress(packed_part(data)))
    for _ in range(count):
        json.dumps(line)
    return time.process_time() - began
