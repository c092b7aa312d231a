"""A job's record, for tests that need one and no fleet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from producer.contract.ids import new_job_id
from producer.contract.jobs import Job, JobStatus
from producer.contract.queues import Tier

NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)


def sample_job(**changes: Any) -> Job:
    """Return a job that runs for the first time, but for *changes*."""
    fields: dict[str, Any] = {
        "id": new_job_id(),
        "status": JobStatus.RUNNING,
        "done": False,
        "attempt": 1,
        "tier": Tier.DEFAULT,
        "pool": "default",
        "queue": "q",
        "template": "t",
        "created_at": NOW,
        "start_deadline": NOW,
        "run_within_s": 60,
    }
    return Job(**{**fields, **changes})
