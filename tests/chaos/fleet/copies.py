"""Copies of what jobs make: where a storm wants them, and how their next tries are hurried."""

from __future__ import annotations

import time
from typing import Final

import redis

from tests.chaos.checker.copies import FOLDER
from tests.chaos.fleet.servers import BUCKET

#: What a job asks for, and the setting of workers and producers that allows it.
DELIVER: Final = {"to": f"s3://{BUCKET}/{FOLDER}{{job}}-{{n}}{{ext}}"}
ALLOWED: Final = {"deliver_buckets": f"{BUCKET}/*"}

_LIST: Final = "comfyfleet:copies"
#: Who makes copies has their job for a minute, so what is due later is put off by the ladder, s.
_HELD_S: Final = 65.0


def hurry(client: redis.Redis) -> None:
    """Have what failed some times be tried now: the ladder would wait for minutes, then for hours."""
    now = time.time()
    for job, due_ms in client.zrange(_LIST, 0, -1, withscores=True):
        if due_ms / 1000 > now + _HELD_S:
            client.zadd(_LIST, {job: 1000 * now}, xx=True)


def make_now(client: redis.Redis) -> None:
    """Have all that is left be made now, also by others than who has it: he was cut off from it, where nobody works."""
    for job in client.zrange(_LIST, 0, -1):
        client.zadd(_LIST, {job: 1000 * time.time()}, xx=True)
