"""Rows of a batch that have ended: records as an attempt of some seconds leaves them, packed as upkeep packs them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from datetime import timedelta

from redis import Redis

from producer.client import Producer
from producer.contract.ids import BatchId, JobId, prompt_id
from producer.contract.jobs import JobStatus, Phase
from producer.store import keys, limits
from producer.store.batch_feeds import BatchFeeds
from producer.store.batch_records import BatchRecord
from producer.store.ended_buckets import pack_ended
from producer.store.ended_rows import EndedBucket
from producer.store.record_reader import in_pages
from producer.store.records import fields_of
from producer.store.row_packing import RowPacking
from producer.store.scripts import Scripts
from tests.bench.rows import graph_of_20_kb, rows

_HOUR = timedelta(hours=1)
_IN_TWO_HOURS = "local t = redis.call('TIME') return t[1] * 1000 + 7200000"


def fill(fleet: Producer, redis: Redis, count: int) -> BatchId:
    """Let a batch of so many rows end, and pack them as upkeep does; return the batch."""
    batch = fleet.submit_many(graph_of_20_kb(), rows(count)).id
    scripts = Scripts(redis, clock_lua=_IN_TWO_HOURS)
    packing = RowPacking(redis, scripts, after=_HOUR, keep_ended=timedelta(days=7))
    feeds = BatchFeeds(redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    record = fleet._batches.record(batch)
    for page in in_pages(range(1, count + 1), 8 * limits.BUCKET_ROWS):
        _end(redis, record, feeds, page)
        while packing.pack():
            pass
    _note_end(redis, batch, count)
    return batch


def fill_packed(fleet: Producer, redis: Redis, count: int) -> BatchId:
    """Do the same for very many rows: packed as upkeep packs them, of records that never were in Redis."""
    batch = fleet.submit_many(graph_of_20_kb(), rows(count)).id
    feeds = BatchFeeds(redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    record = fleet._batches.record(batch)
    for firsts in in_pages(range(1, count + 1, limits.BUCKET_ROWS), 20):
        packed = {}
        for first in firsts:
            number = (first - 1) // limits.BUCKET_ROWS
            records = {
                int(job_id[-8:], 16) - first: fields
                for job_id, fields in _bucket(record, feeds, first)
            }
            bucket = EndedBucket(batch, number, b"", {})
            packed[number] = pack_ended(records, bucket.id_of)
        redis.hset(keys.ended_rows(batch), mapping=packed)
    _note_end(redis, batch, count)
    return batch


def _note_end(redis: Redis, batch: BatchId, count: int) -> None:
    redis.delete(keys.rows(batch), keys.WAITING, keys.FEEDING)
    ended = {"waiting": 0, JobStatus.SUCCEEDED: count, "fed": count, "ended_ms": _now(redis)}
    redis.hset(keys.batch(batch), mapping=ended)


def _bucket(
    record: BatchRecord, feeds: BatchFeeds, first: int
) -> Iterator[tuple[JobId, dict[str, str]]]:
    """Yield the ended records of the rows of a bucket."""
    at = BatchRecord(record.id, {**record.fields, "fed": str(first - 1)})
    for row in filter(None, feeds.next_rows(at)):
        fields = {name: str(value) for name, value in fields_of(row).items()}
        yield row.id, _ended(row.id, at, fields)


def _end(redis: Redis, record: BatchRecord, feeds: BatchFeeds, page: list[int]) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for first in page[:: limits.BUCKET_ROWS]:
            for job_id, fields in _bucket(record, feeds, first):
                pipe.hset(keys.job(job_id), mapping=fields)
            place = f"{record.id}:{(first - 1) // limits.BUCKET_ROWS}"
            pipe.zadd(keys.UNPACKED_ROWS, {place: _now(redis)})
        pipe.execute()


def _ended(job_id: JobId, record: BatchRecord, fields: Mapping[str, str]) -> dict[str, str]:
    """Return a record after its commit: ten nodes, some seconds a job, a picture of 1.5 MB."""
    chance = random.Random(job_id)
    sealed, number = int(record.fields["sealed_ms"]), int(job_id[-8:], 16)
    queued = sealed + number // 50 * 15_000
    stamps, stamp = {}, queued + chance.randrange(120_000)
    for phase, longest in zip(Phase, (8, 20, 4_000, 60, 90), strict=True):
        stamps[f"at:{phase}"] = str(stamp)
        stamp += chance.randrange(longest)
    node = chance.randrange(1, 11)
    artifact = {
        "key": f"jobs/{job_id}/1/9-0.png",
        "graph_node": "9",
        "index": 0,
        "kind": "images",
        "type": "output",
        "name": f"comfyfleet-{job_id}-1-9-out_00001_.png",
        "subfolder": "",
        "media_type": "image/png",
        "bytes": chance.randrange(1_200_000, 1_800_000),
        "sha256": chance.randbytes(32).hex(),
        "width": 1024,
        "height": 1024,
    }
    progress = {"graph_node": "9", "value": 20.0, "max": 20.0, "graph_nodes_done": 3}
    return {
        **fields,
        **stamps,
        "status": JobStatus.SUCCEEDED,
        "created_ms": str(sealed),
        "start_by_ms": record.fields["start_by_ms"],
        "queued_ms": str(queued),
        "started_ms": stamps["at:preparing"],
        "ended_ms": str(stamp),
        "cause": "",
        "node": f"gpu-{node:02}",
        "worker": f"gpu-{node:02}:{chance.randbytes(8).hex()}",
        "prompt_id": prompt_id(job_id, 1),
        "n": str(chance.randrange(9, 13)),
        "progress": json.dumps({**progress, "graph_nodes": 3}),
        "result": json.dumps({"artifacts": [artifact], "values": {}}),
    }


def _now(redis: Redis) -> int:
    return redis.time()[0] * 1000
