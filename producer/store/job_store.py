"""Job records: every change is one Lua script, so a job is never seen half-moved."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from producer.contract.errors import JobNotFound, KeyReused
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.attempts import AttemptStore
from producer.store.connection import translated
from producer.store.records import fields_of, flat, job_of, to_ms


class Cancelled(StrEnum):
    """What a request to cancel met."""

    CANCELLED = "cancelled"  #: The job waited; it is over now.
    REQUESTED = "requested"  #: It runs; its worker will end it, or commit it if quicker.
    ENDED = "ended"  #: It was over before.


class JobStore(AttemptStore):
    """The fleet's memory of its jobs: what producers do with it, and what attempts do."""

    def add(
        self,
        submission: Submission,
        *,
        graph: bytes,
        status: JobStatus = JobStatus.QUEUED,
    ) -> tuple[JobId, bool]:
        """Record a new job and its template.

        Args:
            graph: canonical JSON of the template's graph; kept once for all jobs that share it.

        Returns:
            The job's id, and whether it is new. An idempotency key seen before gives the id of
            the job it made then.

        Raises:
            KeyReused: the idempotency key belongs to another request.
        """
        self._keep_template(submission, graph)
        key = submission.idempotency_key
        outcome, job_id = self._scripts.run(
            "submit",
            keys=[
                keys.job(submission.id),
                keys.idempotency(submission.owner, key) if key else "",
            ],
            args=[
                submission.id,
                submission.fingerprint,
                to_ms(submission.start_within),
                submission.queue,
                submission.needs.to_json(),
                *flat(fields_of(submission, status=status)),
            ],
        )
        if outcome == "reused":
            raise KeyReused(str(key), job_id)
        return JobId(job_id), outcome == "new"

    def get(self, job_id: JobId) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no such job, or its record has expired.
        """
        with translated(self._redis):
            record: Any = self._redis.hgetall(keys.job(job_id))
        if not record:
            raise JobNotFound(job_id)
        return job_of(job_id, record)

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Read many jobs in one round trip; those without a record are left out."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(keys.job(job_id))
            records = pipe.execute()
        found = zip(job_ids, records, strict=True)
        return {job_id: job_of(job_id, record) for job_id, record in found if record}

    def cancel(self, job_id: JobId) -> Cancelled:
        """Ask for a job's end.

        Raises:
            JobNotFound: no such job.
        """
        outcome, _ = self._scripts.run(
            "cancel", keys=[keys.job(job_id)], args=[job_id, self._keep_ms]
        )
        if outcome == "missing":
            raise JobNotFound(job_id)
        return Cancelled(outcome)

    def graph(self, template: str) -> bytes:
        """Return a template's graph as canonical JSON.

        Raises:
            JobNotFound: no such template, which a live job never meets.
        """
        with translated(self._redis):
            packed: Any = self._redis.execute_command(  # type: ignore[no-untyped-call]
                "GET", keys.template(template), NEVER_DECODE=True
            )
        if packed is None:
            raise JobNotFound(f"with template {template}")
        return zlib.decompress(packed)

    def _keep_template(self, submission: Submission, graph: bytes) -> None:
        key = keys.template(submission.template)
        # Twice the margin of a record: it must be there for the last attempt of the last job.
        life = to_ms(submission.start_within) + 2 * keys.LIVE_MS
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(key, zlib.compress(graph), nx=True, px=life)
            pipe.pexpire(key, life, gt=True)
            pipe.execute()
