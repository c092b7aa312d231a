"""Retries of ended jobs: makes the submission for the new job, or refuses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.jobs import Job
from producer.contract.nodes import Node
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.intake.request import as_tier, check_place


def retry_of(
    job: Job,
    *,
    needs: Needs | None,
    tier: Tier | str | None,
    pin: str | None,
    nodes: Sequence[Node],
    secrets: Mapping[str, Any],
) -> Submission:
    """Return a submission equal to *job*, except for id, idempotency key and the arguments here.

    Args:
        needs: of the job's queue; may be None for a pinned job only.
        tier, pin: in place of the job's own.
        nodes: every known node; *pin* must be one of them.
        secrets: of its `extra_data`; those of the ended job are deleted.

    Raises:
        InvalidJob: tier or pin is unknown, secrets are missing, or the queue's needs have expired.
    """
    check_place(nodes, pool=None, pin=pin)
    pin = pin or job.pin
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
        tier=job.tier if tier is None else as_tier(tier),
        pin=pin,
        owner=job.owner,
        batch=job.batch,
        extra_data=job.extra_data,
        secrets=tuple(sorted(secrets)),
        retry_of=job.id,
    )
