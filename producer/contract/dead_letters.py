"""Dead letters: failed jobs that a person should look at."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from producer.contract.ids import JobId
from producer.contract.jobs import Job


class DeadLetter(BaseModel):
    """One entry of the index, and the job's record as long as there is one to read."""

    model_config = ConfigDict(frozen=True)

    id: JobId
    ended_at: datetime
    cause: str
    job: Job | None = None
