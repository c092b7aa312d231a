"""From an ended job to the submission that makes it again, or a clear refusal."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from producer.contract.errors import InvalidJob
from producer.contract.jobs import Job
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission


def retry_of(
    job: Job,
    *,
    needs: Needs | None,
    tier: Tier | str | None,
    pin: str | None,
    nodes: Collection[str],
) -> Submission:
    """Return *job* anew: the same in all but id, idempotency key and what is asked for here.

    Args:
        needs: what the job's queue needs; only a pinned job can do without.
        tier, pin: in place of the job's own.
        nodes: the names that *pin* may have.

    Raises:
        InvalidJob: naming the field.
    """
    if pin is not None and pin not in nodes:
        known = ", ".join(sorted(nodes)) or "none yet"
        raise InvalidJob(f"there is no node {pin!r}; nodes are: {known}", field="pin")
    pin = pin or job.pin
    if needs is None and pin is None:
        raise InvalidJob(
            f"the fleet has forgotten what the queue of job {job.id} needs ({job.queue})",
            field="job",
            advice="submit it anew, or pin it to a node",
        )
    return Submission(
        template=job.template,
        needs=needs or Needs.of(job.pool),
        start_within=job.start_deadline - job.created_at,
        run_within=timedelta(seconds=job.run_within_s),
        params=job.params,
        inputs=job.inputs,
        metadata=job.metadata,
        tier=job.tier if tier is None else _tier(tier),
        pin=pin,
        owner=job.owner,
        batch=job.batch,
        retry_of=job.id,
    )


def _tier(value: Tier | str) -> Tier:
    try:
        return Tier(value)
    except ValueError:
        raise InvalidJob(
            f"there is no tier {value!r}; tiers are {', '.join(Tier)}", field="tier"
        ) from None
