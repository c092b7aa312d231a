"""Collects the evidence, with plain clients of Redis and S3: nothing of the product is asked.

A folder of evidence holds
    client.jsonl    the client's journal: what it asked for, and what it was told
    events.jsonl    every entry of the event stream, in order
    redis.json      every record, list, count and index at the end
    objects.jsonl   every object of the bucket, its bytes hashed and its picture looked at
    prompts.jsonl   every prompt that a node executed
    faults.jsonl    what was done to the fleet, and when
    waiting.jsonl   jobs that stood in two queues at a time, as often as that was seen
    received.jsonl  what a receiver of webhooks got, whether it verified, and what it answered, where there is one
    leftovers.json  files in spools, prompts in the queues of nodes; after how long records are packed
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import redis

from tests.chaos.checker.packed import packed_rows, whole_record
from tests.chaos.checker.pictures import describe
from tests.chaos.checker.recorder import Recorder

_EVENTS: Final = "comfyfleet:events"
_JOB: Final = "comfyfleet:job:"
_BATCH: Final = "comfyfleet:batch:"
_ACTION: Final = "comfyfleet:action:"
_QUEUED: Final = "comfyfleet:queued:"
_OWNER: Final = "comfyfleet:owner:"
_DELIVERY: Final = "comfyfleet:delivery:"
_JOBS: Final = "comfyfleet:jobs"
_ENDED_BADLY: Final = ("failed", "cancelled", "expired")
_INDEXES: Final = {
    **{
        name: name
        for name in ("leases", "delayed", "dead", "unpacked", "results", "outbox", "copies")
    },
    "unpacked_rows": "unpacked:rows",
}
_LISTS: Final = "comfyfleet.*"
_AT_ONCE: Final = 1000


class EventTail(Recorder):
    """Copies the event stream while it grows; it is trimmed at its other end."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url, path, every_s=0.2)
        self._last = "0-0"

    def _look(self) -> Iterator[dict[str, Any]]:
        while entries := self._redis.xrange(_EVENTS, f"({self._last}", "+", count=_AT_ONCE):
            for entry_id, fields in entries:
                self._last = entry_id
                yield {"id": entry_id, **fields}


def collect_redis(url: str, path: Path) -> None:
    """Write every record and index."""
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=30) as client:
        seconds, microseconds = client.time()
        found = {
            **_records(client, url),
            "now_ms": 1000 * seconds + microseconds // 1000,
            "batches": _hashes(client, _BATCH),
            "owner": _hashes(client, _OWNER),
            "owners": client.zrange("comfyfleet:owners", 0, -1),
            "totals": client.hgetall("comfyfleet:totals"),
            "lists": {
                key.removeprefix(_JOBS).removeprefix(":"): client.zrange(key, 0, -1)
                for key in [_JOBS, *client.scan_iter(f"{_JOBS}:*", count=_AT_ONCE)]
            },
            "ended": {status: _scores(client, f"ended:{status}") for status in _ENDED_BADLY},
            "ended_batches": {
                status: _scores(client, f"ended:{status}:batches") for status in _ENDED_BADLY
            },
            **{name: _scores(client, key) for name, key in _INDEXES.items()},
            "queued": {
                key.removeprefix(_QUEUED): client.zrange(key, 0, -1)
                for key in client.scan_iter(f"{_QUEUED}*", count=_AT_ONCE)
            },
            "messages": _messages(client),
            "nodes": _nodes(client),
            "node_wishes": client.hgetall("comfyfleet:desired"),
            "pool_wishes": client.hgetall("comfyfleet:pools"),
            "doubt_wishes": client.hgetall("comfyfleet:quarantined"),
            "actions": _hashes(client, _ACTION),
            "actions_waiting": client.zrange("comfyfleet:actions:waiting", 0, -1),
            "webhooks": client.hgetall("comfyfleet:webhooks"),
            "deliveries": _deliveries(client),
        }
    path.write_text(json.dumps(found))


def collect_objects(s3: Any, bucket: str, path: Path) -> None:
    """Write what every object of the bucket is."""
    with ThreadPoolExecutor(4) as threads, path.open("w", encoding="utf-8") as file:
        for found in threads.map(lambda key: _object(s3, bucket, key), _keys(s3, bucket)):
            file.write(json.dumps(found) + "\n")


def has_messages(client: redis.Redis) -> bool:
    """Tell whether a message lies in any of the broker's lists."""
    return any(client.scan_iter(_LISTS, count=_AT_ONCE, _type="list"))


def _records(client: redis.Redis, url: str) -> dict[str, Any]:
    """Return `jobs`: every record, those of packed rows included; `twice` and `torn`: what is wrong with them."""
    found: dict[str, dict[str, str]] = {}
    twice, torn = [], []
    for job, fields in _hashes(client, _JOB).items():
        try:
            found[job] = whole_record(job, fields)
        except (ValueError, zlib.error) as exc:
            torn.append(f"the record of {job}: {exc}")
            found[job] = fields
    with redis.Redis.from_url(url, socket_timeout=30) as raw:
        for key in client.scan_iter(f"{_BATCH}*:ended", count=_AT_ONCE):
            batch = key.removeprefix(_BATCH).removesuffix(":ended")
            try:
                for job, fields in packed_rows(batch, raw.hgetall(key)):
                    if job in found:
                        twice.append(job)
                    found[job] = fields
            except (ValueError, zlib.error) as exc:
                torn.append(f"rows of batch {batch}: {exc}")
    return {"jobs": found, "twice": twice, "torn": torn}


def _nodes(client: redis.Redis) -> dict[str, dict[str, str]]:
    """Return what each node says of itself."""
    told = ("state", "reason", "pool")
    return {
        name: dict(zip(told, client.hmget(f"comfyfleet:node:{name}", *told), strict=True))
        for name in client.zrange("comfyfleet:nodes", 0, -1)
    }


def _deliveries(client: redis.Redis) -> dict[str, dict[str, dict[str, str]]]:
    """Return the deliveries to each webhook, `owner:name`, by their ids, without what they say."""
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for key, fields in _hashes(client, _DELIVERY).items():
        hook, _, id_ = key.rpartition(":")
        found[hook][id_] = {name: fields.get(name, "") for name in ("subject", "state", "event")}
    return found


def _scores(client: redis.Redis, name: str) -> dict[str, float]:
    return dict(client.zrange(f"comfyfleet:{name}", 0, -1, withscores=True))


def _hashes(client: redis.Redis, prefix: str) -> dict[str, dict[str, str]]:
    keys = [
        key
        for key in client.scan_iter(f"{prefix}*", count=_AT_ONCE)
        if not key.endswith((":rows", ":ended"))  # of batches: packed, and no text
    ]
    found = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        with client.pipeline(transaction=False) as pipe:
            for key in some:
                pipe.hgetall(key)
            found |= dict(zip(some, pipe.execute(), strict=True))
    return {key.removeprefix(prefix): fields for key, fields in found.items()}


def _messages(client: redis.Redis) -> dict[str, list[str]]:
    """Return the task ids in each of the broker's lists; of what is no message, how it begins."""
    found = defaultdict(list)
    for key in client.scan_iter(_LISTS, count=_AT_ONCE, _type="list"):
        for message in client.lrange(key, 0, -1):
            try:
                found[key].append(json.loads(message)["headers"]["id"])
            except (ValueError, TypeError, KeyError):
                found[key].append(message[:80])
    return found


def _keys(s3: Any, bucket: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from (found["Key"] for found in page.get("Contents", ()))


def _object(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    answer = s3.get_object(Bucket=bucket, Key=key)
    metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
    return {"key": key, "metadata": metadata, **describe(key, answer["Body"].read())}
