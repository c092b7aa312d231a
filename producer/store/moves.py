"""Jobs that wait, and batches, change their place: tier, pool and so queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import BatchNotFound, InvalidBatch
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.json_texts import read_json
from producer.contract.queues import Message, Needs, Tier
from producer.store import keys
from producer.store.batch_records import BatchRecord, places_json
from producer.store.connection import translated
from producer.store.record_reader import in_pages
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one script moves: about 3 ms.
_AT_ONCE: Final = 100
#: Messages that one script looks at: about 3 ms.
_MESSAGES_AT_ONCE: Final = 1_000


@dataclass(frozen=True)
class Place:
    """Where a job is to wait.

    Args:
        needs: of its queue.
    """

    tier: Tier
    pool: str
    queue: str
    needs: Needs


class Moves:
    """Moves jobs, and says which messages must be sent then.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def move(self, places: Mapping[JobId, Place]) -> tuple[int, list[Message]]:
        """Move jobs in the order given; return how many moved, and the messages that must be sent.

        One that does not wait any more stays as it is.
        """
        moved, messages = 0, []
        for page in in_pages(places.items(), _AT_ONCE):
            ids = [job_id for job_id, _ in page]
            known = [
                (job_id, place, *rest)
                for (job_id, place), rest in zip(page, self._read(ids), strict=True)
            ]
            calls = [
                (job_id, place, attempt, spec) for job_id, place, spec, attempt in known if spec
            ]
            outcomes = self._scripts.run(
                "move",
                args=[
                    part
                    for job_id, place, _, spec in calls
                    for part in (
                        *(job_id, spec, _moved(spec, place.tier, place.pool), place.queue),
                        *(place.needs.to_json(), place.tier.priority),
                    )
                ],
            )
            for (job_id, place, attempt, _), outcome in zip(calls, outcomes, strict=True):
                moved += bool(outcome)
                if outcome == "queued":
                    messages.append(Message(job_id, int(attempt), place.queue, place.tier.priority))
        return moved, messages

    def drop_moved(self, queue: str, priority: int) -> int:
        """Take the messages off a place whose jobs wait in another one now; return how many."""
        key = keys.message_list(queue, priority)
        seen = dropped = 0
        looked_at = _MESSAGES_AT_ONCE
        while looked_at == _MESSAGES_AT_ONCE:
            looked_at, gone = self._scripts.run(
                "drop_moved", keys=[key], args=[queue, priority, seen, _MESSAGES_AT_ONCE]
            )
            seen, dropped = seen + looked_at - gone, dropped + gone
        return dropped

    def move_rows(self, record: BatchRecord, *, tier: Tier, pool: str, places: list[Needs]) -> bool:
        """Have the rows of a batch that have no record yet go elsewhere; False if it has changed meanwhile.

        Raises:
            BatchNotFound: there is none.
            InvalidBatch: it is still open, or over.
        """
        spec = record.fields["spec"]
        outcome = self._scripts.run(
            "batch_move",
            keys=[keys.batch(record.id)],
            args=[record.id, spec, _moved(spec, tier, pool), places_json(tuple(places))],
        )
        _expect(record, outcome)
        return bool(outcome == "ok")

    def expect_movable(self, record: BatchRecord) -> None:
        """Raise as `move_rows` would."""
        is_over = "ended_ms" in record.fields or record.moving == "cancel"
        _expect(record, "open" if record.is_open else "ended" if is_over else "ok")

    def live(self, record: BatchRecord) -> list[JobId]:
        """Return the jobs of a batch that have a record and have not ended, in the order of its rows."""
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.live(record.id), 0, -1)
        return sorted(JobId(job_id) for job_id in found)

    def _read(self, job_ids: list[JobId]) -> list[Any]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(keys.job(job_id), ["spec", "attempt"])
            return pipe.execute()


def is_elsewhere(job: Job, place: Place) -> bool:
    """Tell whether a job waits in another place than it should."""
    return (job.queue, job.tier, job.pool) != (place.queue, place.tier, place.pool)


def _expect(record: BatchRecord, outcome: str) -> None:
    if outcome == "missing":
        raise BatchNotFound(record.id)
    if outcome == "open":
        raise InvalidBatch(record.id, "is still open: its rows are not accepted yet")
    if outcome == "ended":
        raise InvalidBatch(record.id, "is over")


def _moved(spec: str, tier: Tier, pool: str) -> str:
    """Return the JSON of a record with another tier and pool. Lua would spoil its numbers."""
    return json.dumps({**read_json(spec), "tier": tier, "pool": pool}, separators=(",", ":"))
