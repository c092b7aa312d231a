"""The submission that makes an ended job again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.jobs import Job
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission


def retry_of(
    job: Job,
    *,
    needs: Needs | None,
    tier: Tier | None = None,
    pin: str | None = None,
    secrets: Mapping[str, Any] | None = None,
) -> Submission:
    """Return a submission equal to *job*, except for id, idempotency key and the arguments here.

    Args:
        needs: of the job's queue; may be None for a pinned job only.
        tier, pin: in place of the job's own.
        secrets: of its `extra_data`; those of the ended job are deleted.

    Raises:
        InvalidJob: secrets are missing, or the queue's needs have expired.
    """
    pin, secrets = pin or job.pin, secrets or {}
    lost = sorted(set(job.secrets) - secrets.keys())
    if lost and job.done and job.retried_as is None:
        raise InvalidJob(
            f"job {job.id} was handed in with {', '.join(map(printable, lost))}, which is forgotten "
            "when a job ends",
            field="extra_data",
            advice="hand it in again: --api-key-file FILE (secrets={...})",
        )
    if needs is None and pin is None:
        raise InvalidJob(
            f"the fleet has forgotten what the queue of job {job.id} needs ({job.queue})",
            field="job",
            advice="submit it anew, or pin it to a node",
        )
    return Submission(
        template=job.template,
        shape=job.shape or "",
        hook=job.hook,
        deliver=job.deliver,
        needs=needs or Needs.of(job.pool),
        start_within=job.start_deadline - job.created_at,
        run_within=timedelta(seconds=job.run_within_s),
        params=job.params,
        graph_values=job.graph_values,
        inputs=job.inputs,
        metadata=job.metadata,
        tier=job.tier if tier is None else tier,
        pin=pin,
        owner=job.owner,
        batch=job.batch,
        extra_data=job.extra_data,
        secrets=tuple(sorted(secrets)),
        retry_of=job.id,
    )
