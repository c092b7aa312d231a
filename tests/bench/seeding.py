"""Fills the queue quickly: records by the product's own script, messages as Celery makes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from redis import Redis

from producer.contract.batches import BUCKET_ROWS, BatchSpec, PackedRow
from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.config.settings import Settings
from producer.contract.ids import new_batch_id, new_job_id
from producer.contract.nodes import NodeState
from producer.contract.queues import Message, Needs, Tier
from producer.contract.submissions import Content, Submission
from producer.dispatch import Dispatch
from producer.store import keys
from producer.store.batch_rows import Bucket, pack, row_text
from producer.store.batch_store import BatchStore
from producer.store.connection import connect
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts

NEEDS = Needs.of("default", models=[])
TIER = Tier.BATCH
TEMPLATE = "5" * 64
_GRAPH = b'{"1": {"class_type": "EmptyImage", "inputs": {}}}'
_DAY = timedelta(days=1)
_AT_ONCE = 500


def announce_node(redis: Redis, object_info: dict[str, Any]) -> None:
    """Let a node of the default pool live that has these classes, as `GET /object_info` tells them."""
    catalog = Catalog.from_object_info(object_info)
    rules = InputRules.from_object_info(object_info, version="0.33.0")
    fields = {
        "pool": "default",
        "url": "http://127.0.0.1:1",
        "state": NodeState.READY,
        "host": "here",
        "catalog": catalog.to_text(),
        "catalog_sha": catalog.sha,
        "rules": rules.to_text(),
        "rules_sha": rules.sha,
        "rules_for": catalog.sha,
    }
    NodeStore(redis, lease=_DAY).register("gpu-01", worker="gpu-01:bench", fields=fields)


def seed(settings: Settings, count: int) -> None:
    """Let *count* jobs more wait in the queue of the default pool."""
    with connect(settings) as redis:
        calls = _Calls(redis)
        store = JobStore(redis, keep_ended=_DAY, scripts=calls)
        message, sample = _message(settings, redis)
        for start in range(0, count, _AT_ONCE):
            jobs = [_submission() for _ in range(min(_AT_ONCE, count - start))]
            for job in jobs:
                store.add(job, graph=_GRAPH)
            calls.send()
            redis.lpush(message_list(), *(message.replace(sample, job.id) for job in jobs))


def seed_rows(settings: Settings, rows: int) -> None:
    """Let so many rows more wait, in one batch that is all theirs; each is like the others."""
    texts = [row_text(PackedRow({"1.color": 7}, {}, {}, 0))] * BUCKET_ROWS
    data, id_, count = pack(texts, [0] * BUCKET_ROWS), new_batch_id(), rows // BUCKET_ROWS
    buckets = [
        Bucket(
            number=number,
            rows=BUCKET_ROWS,
            before=str(number or ""),
            after=str(number + 1),
            data=data,
        )
        for number in range(count)
    ]
    spec = BatchSpec(
        template=TEMPLATE, tier=TIER, pool="default", start_within_s=86_400, run_within_s=3_600
    )
    with connect(settings) as redis:
        store = BatchStore(redis, keep_ended=_DAY)
        store.open(id_, spec, name="bench", key=None)
        for start in range(0, count, _AT_ONCE):
            store.add(id_, buckets[start : start + _AT_ONCE], (NEEDS,))
        end = Bucket(number=count, rows=0, before=str(count), after=str(count))
        content = Content(_GRAPH)
        store.seal(id_, end, (NEEDS,), rows=count * BUCKET_ROWS, template=TEMPLATE, content=content)


def message_list() -> str:
    """Return the list in which the messages of these jobs lie."""
    return keys.message_list(NEEDS.queue, TIER.priority)


class _Calls(Scripts):
    """Keeps calls of `submit` until they are sent together."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self._calls: list[tuple[Sequence[str], Sequence[Any]]] = []

    def run(self, name: str, *, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        assert name == "submit"
        self._calls.append((keys, args))
        return "same", args[0]  # what `send` sends is not known to be done yet

    def send(self) -> None:
        self.run_all("submit", self._calls)
        self._calls.clear()


def _submission() -> Submission:
    return Submission(
        template=TEMPLATE,
        needs=NEEDS,
        start_within=_DAY,
        run_within=timedelta(hours=1),
        tier=TIER,
    )


def _message(settings: Settings, redis: Redis) -> tuple[str, str]:
    """Return a message, and the job id in it; its body names that too, in base64, which only
    Celery would look into.
    """
    sample = new_job_id()
    Dispatch(settings).send_all([Message(sample, 1, NEEDS.queue, TIER.priority)])
    message = redis.lpop(message_list())
    assert sample in message
    return message, sample
