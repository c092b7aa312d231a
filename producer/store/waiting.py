"""What waits: jobs by queue, tier and reason, and the rows of batches that have no record yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import UnreadableBatch
from producer.contract.ids import BatchId
from producer.contract.queue_lines import WaitReason
from producer.contract.queues import PRIORITIES, Needs, Tier, readable_needs
from producer.store import keys
from producer.store.batch_records import BatchRecord, queue_of
from producer.store.connection import replies_of, translated
from producer.store.scripts import Scripts
from producer.store.times import utc
from producer.store.unreadable_batches import sense_of

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one script looks at, which takes about 3 ms.
_AT_ONCE: Final = 2_000
_TIERS: Final = {priority: tier for tier, priority in PRIORITIES.items()}


@dataclass(frozen=True)
class Waiting:
    """Jobs that wait in the same queues for the same reason.

    Args:
        queues: any of which they may wait in.
        pool: of a batch, its own; None where the queue says it.
    """

    queues: tuple[str, ...]
    tier: Tier
    reason: str
    jobs: int
    since: datetime
    pool: str | None = None


def waiting(redis: Redis, scripts: Scripts) -> Iterator[Waiting]:
    """Give all that waits; jobs that come or go meanwhile may be counted or not."""
    start, looked_at = 0, _AT_ONCE
    while looked_at == _AT_ONCE:
        looked_at, lines = scripts.run("count_waiting", args=[start, _AT_ONCE])
        start += looked_at
        for queue, priority, reason, jobs, since in lines:
            if priority in _TIERS:
                yield Waiting((queue,), _TIERS[priority], reason, jobs, utc(since))
    yield from unfed_rows(redis)


def needs_of_queues(redis: Redis) -> dict[str, Needs]:
    """Return what every queue needs, those included that are retired."""
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.QUEUES_RETIRED)
        pipe.hgetall(keys.QUEUES)
        retired, known = pipe.execute()
    return readable_needs({**retired, **known})


def unfed_rows(redis: Redis) -> Iterator[Waiting]:
    """Give the rows of batches that have no record yet, a batch at a time."""
    with translated(redis):
        found: Any = redis.zrange(keys.FEEDING, 0, -1)
        with redis.pipeline(transaction=False) as pipe:
            for batch in found:
                pipe.hgetall(keys.batch(batch))
            records: list[Any] = replies_of(pipe)
    for batch, fields in zip(found, records, strict=True):
        if isinstance(fields, dict):
            with suppress(UnreadableBatch):  # `comfyfleet check` tells of it; the others are well
                yield from _waiting_in(BatchRecord(BatchId(batch), fields))


def _waiting_in(record: BatchRecord) -> list[Waiting]:
    """Return what of a batch waits: one entry, or none; raise UnreadableBatch where it makes no sense."""
    if not record.is_readable or record.is_open or not record.number("waiting"):
        return []
    spec = record.spec
    with sense_of(record.id):
        since = utc(record.fields["sealed_ms"])
    return [
        Waiting(
            tuple({queue_of(needs, spec) for needs in record.places}),
            spec.tier,
            WaitReason.HELD if record.is_held else WaitReason.ITS_TURN,
            record.number("waiting"),
            since,
            spec.pool,
        )
    ]
