"""What a filter asks of jobs, read without their whole records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from producer.contract.filters.query import Filter
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.queues import PRIORITIES, pool_of
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.packed_records import KEPT_FIELDS, PACKED_MARK, unpacked
from producer.store.record_reader import Reading, read_jobs
from producer.store.times import maybe_utc

if TYPE_CHECKING:
    from redis import Redis

#: By field of a filter, the field of a record that tells it.
_RECORD: Final = {
    "status": "status",
    "cause": "cause",
    "node": "node",
    "batch": "batch",
    "owner": "owner",
    "pool": "queue",
    "tier": "priority",
    "shape": "shape",
    "created": "created_ms",
    "ended": "ended_ms",
}
#: By field of a filter, what of a job it asks for.
_OF_JOB: Final = {field: field for field in _RECORD} | {
    "created": "created_at",
    "ended": "ended_at",
}
#: So many whole records cost less than to read twice what is mostly meant: lists hold what is asked for.
FEW: Final = 101
_TIERS: Final = {str(priority): str(tier) for tier, priority in PRIORITIES.items()}


def predicate_of(wanted: Filter) -> Callable[[Job], bool]:
    """Return what tells whether a job answers a filter."""
    asked = [(field, name) for field, name in _OF_JOB.items() if field in wanted.fields]
    return lambda job: wanted.holds({field: getattr(job, name) for field, name in asked})


def answering(redis: Redis, job_ids: Sequence[JobId], wanted: Filter) -> list[Job | None]:
    """Return each job that answers a filter, None for another; what cannot be read answers none.

    Of many jobs only what the filter asks for is read, all in one round trip; those that seem to answer are
    read as a whole in another, and judged by that. A page's worth is read as a whole at once.
    """
    likely = list(job_ids) if len(job_ids) <= FEW else _likely(redis, job_ids, wanted)
    found = {job.id: job for job in judged(read_jobs(redis, likely), wanted) if job}
    return [found.get(job_id) for job_id in job_ids]


def judged(readings: Iterable[Reading], wanted: Filter) -> list[Job | None]:
    """Return the job of each reading that answers a filter, None for another or for none."""
    answers = predicate_of(wanted)
    jobs = (reading.job for reading in readings)
    return [job if job is not None and answers(job) else None for job in jobs]


def _likely(redis: Redis, job_ids: Sequence[JobId], wanted: Filter) -> list[JobId]:
    fields = sorted(wanted.fields & _RECORD.keys())
    if not fields:
        return list(job_ids)
    names = [_RECORD[field] for field in fields]
    is_kept = set(names) <= set(KEPT_FIELDS)
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hmget(keys.job(job_id), [*names, PACKED_MARK, "status"])
        replies: list[Any] = replies_of(pipe)
    found: dict[JobId, Mapping[str, str | None]] = {
        job_id: dict(zip(names, reply, strict=False))
        for job_id, reply in zip(job_ids, replies, strict=True)
        if isinstance(reply, list) and (is_kept or reply[-2] is None)
    }
    if not is_kept:
        packed = [
            job_id
            for job_id, reply in zip(job_ids, replies, strict=True)
            if isinstance(reply, list) and reply[-2] is not None
        ]
        found |= _unpacked(redis, packed)
    # The row of a batch may be packed with others; only reading it tells.
    no_record = {
        job_id
        for job_id, reply in zip(job_ids, replies, strict=True)
        if isinstance(reply, list) and reply[-1] is None
    }
    return [
        job_id
        for job_id in job_ids
        if job_id in no_record or (job_id in found and wanted.holds(_facts(fields, found[job_id])))
    ]


def _unpacked(redis: Redis, job_ids: Sequence[JobId]) -> dict[JobId, Mapping[str, str | None]]:
    """Read packed records; those that make no sense are left out."""
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(keys.job(job_id))
        replies: list[Any] = replies_of(pipe)
    found: dict[JobId, Mapping[str, str | None]] = {}
    for job_id, record in zip(job_ids, replies, strict=True):
        with suppress(ValueError, TypeError):
            found[job_id] = unpacked(job_id, record)
    return found


def _facts(fields: Sequence[str], record: Mapping[str, str | None]) -> dict[str, Any]:
    """Return what a few fields of a record tell; what they do not tell for certain is left out."""
    facts: dict[str, Any] = {field: record.get(_RECORD[field]) for field in fields}
    if "tier" in facts:
        facts["tier"] = _TIERS.get(facts["tier"] or "")
    if "pool" in facts and (pool := pool_of(facts.pop("pool") or "")):
        facts["pool"] = pool
    for time in facts.keys() & {"created", "ended"}:
        text = facts.pop(time)
        with suppress(ValueError, OverflowError):
            facts[time] = maybe_utc(text)
    return facts
