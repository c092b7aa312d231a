"""The record that a succeeded job had, made again from what its manifest tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from producer.contract.jobs import Job, Phase
from producer.contract.queues import Needs
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.records import fields_of, result_json
from producer.store.times import to_ms

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def record_of(job: Job) -> dict[str, str | int]:
    """Return the hash in which Redis keeps a succeeded job; `records.job_of` reads it as the same job.

    What only a living job has is not in it: its holder, the token of its claim, how many events it had.

    Args:
        job: as `job_of_manifest` returns it.
    """
    times = {
        "created_ms": job.created_at,
        "start_by_ms": job.start_deadline,
        "queued_ms": job.queued_at,
        "started_ms": job.started_at,
        "ended_ms": job.ended_at,
    }
    given = {
        **fields_of(_submission(job)),
        "attempt": job.attempt,
        "queue": job.queue,
        "status": job.status,
        "cause": "",
        "result": result_json(job.artifacts, job.values, job.notes),
        "idempotency": keys.idempotency(job.owner, key) if (key := job.idempotency_key) else None,
        "row": job.row if job.retry_of else None,  # of others the id tells it
        "node": job.node,
        "prompt_id": job.prompt_id,
        "charged": job.charged_attempts or None,
        "free": job.free_attempts or None,
        "progress": job.progress.model_dump_json(exclude_defaults=True) if job.progress else None,
        **{name: _ms(at) for name, at in times.items() if at},
        **_stamps(job),
        **_stories(job),
    }
    return {name: value for name, value in given.items() if value is not None}


def _submission(job: Job) -> Submission:
    """Return what was handed in, as far as a record keeps it: models are in the queue's name only."""
    return Submission(
        id=job.id,
        template=job.template,
        needs=Needs(job.pool),
        start_within=job.start_deadline - job.created_at,
        run_within=timedelta(seconds=job.run_within_s),
        params=job.params,
        graph_values=job.graph_values,
        inputs=job.inputs,
        metadata=job.metadata,
        tier=job.tier,
        pin=job.pin,
        owner=job.owner,
        idempotency_key=job.idempotency_key,
        batch=job.batch,
        retry_of=job.retry_of,
        extra_data=job.extra_data,
        secrets=tuple(job.secrets),
        shape=job.shape or "",
        deliver=job.deliver,
    )


def _stamps(job: Job) -> dict[str, int]:
    """Return when each phase began: one after the other, from the time at which it was queued."""
    if job.queued_at is None:
        return {}
    stamps, at_ms = {}, _ms(job.queued_at) + round(1000 * (job.timings.queued or 0))
    for phase in Phase:
        took_s: float | None = getattr(job.timings, phase.value)
        if took_s is not None:
            stamps[f"at:{phase}"] = at_ms
            at_ms += round(1000 * took_s)
    return stamps


def _stories(job: Job) -> dict[str, str]:
    return {f"attempt:{attempt.number}": attempt.model_dump_json() for attempt in job.attempts}


def _ms(at: datetime) -> int:
    return to_ms(at - _EPOCH)
