"""Retries that a person asks for: where the new job may go is checked before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from producer.contract import retries
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
    """Return the submission that makes *job* again; all as of `producer.contract.retries.retry_of`.

    Args:
        nodes: every known node; *pin* must be one of them.

    Raises:
        InvalidJob: tier or pin is unknown, secrets are missing, or the queue's needs have expired.
    """
    check_place(nodes, pool=None, pin=pin)
    known = None if tier is None else as_tier(tier)
    return retries.retry_of(job, needs=needs, tier=known, pin=pin, secrets=secrets)
