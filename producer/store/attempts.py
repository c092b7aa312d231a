"""What an attempt writes: each write names it and its worker, and is refused once it was overtaken.

One that was overtaken gets LeaseLost and stops. Outcomes that happen in the normal run of things
are values, not errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from producer.contract.causes import Cause
from producer.contract.errors import LeaseLost
from producer.contract.ids import JobId, PromptId
from producer.contract.jobs import Artifact, Job, JobError, JobStatus, Phase, Progress
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import RECORD_VERSION, attempt_json, flat, job_of, pairs
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True)
class Hold:
    """The right of one attempt of one worker to write for a job, while its lease lasts."""

    job_id: JobId
    attempt: int
    worker: str


class Shunned(Exception):
    """The job failed on this node before, and others may have it first.

    Args:
        nodes: where it failed.
    """

    def __init__(self, nodes: frozenset[str]) -> None:
        super().__init__(nodes)
        self.nodes = nodes


class Commit(StrEnum):
    """What an attempt's wish to succeed met."""

    DONE = "ok"
    CANCEL_CAME_FIRST = "cancel"


class AttemptStore:
    """The store, as the one sees it who holds a job; JobStore is the whole.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ended: how long the record of an ended job is kept.
        scripts: only tests give their own, to move the clock.
    """

    def __init__(
        self, redis: Redis, *, keep_ended: timedelta, scripts: Scripts | None = None
    ) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._keep_ms = to_ms(keep_ended)

    def claim(
        self,
        job_id: JobId,
        *,
        attempt: int,
        node: str,
        worker: str,
        lease: timedelta,
        prompt_id: PromptId,
        courtesy: timedelta = timedelta(0),
    ) -> Job | None:
        """Take a queued job for *worker* on *node*.

        Args:
            courtesy: so long a job that failed here before is left to other nodes.

        Returns:
            The job, now running; None if its message was stale: claimed by a quicker node,
            ended, requeued since, or delivered twice. All are normal.

        Raises:
            Shunned: other nodes should have it; take it without courtesy, or pass it on.
        """
        outcome, reply = self._scripts.run(
            "claim",
            keys=[keys.job(job_id)],
            args=[
                job_id,
                attempt,
                node,
                worker,
                to_ms(lease),
                prompt_id,
                uuid4().hex,
                self._keep_ms,
                to_ms(courtesy),
                RECORD_VERSION,
            ],
        )
        if outcome == "shunned":
            raise Shunned(frozenset(reply.split()))
        return job_of(job_id, pairs(reply)) if outcome == "claimed" else None

    def pass_on(self, job_id: JobId, *, attempt: int, wait: timedelta) -> None:
        """Leave a queued job to other nodes; after *wait*, upkeep sends a new message."""
        self._scripts.run("pass_on", keys=[keys.job(job_id)], args=[job_id, attempt, to_ms(wait)])

    def leave(self, hold: Hold) -> None:
        """Say that the worker leaves the job to its successor, in good order."""
        self._scripts.run("leave", keys=[keys.job(hold.job_id)], args=[hold.attempt, hold.worker])

    def running_for(self, job_id: JobId) -> timedelta:
        """Return how long the job's attempt has run, by Redis' own clock, whoever held it.

        Its wait behind another prompt on its node is none of it.
        """
        stamps = [f"at:{phase}" for phase in (Phase.PREPARING, Phase.AHEAD, Phase.RENDERING)]
        with translated(self._redis):
            found: Any = self._redis.hmget(keys.job(job_id), stamps)
        now = now_ms(self._redis)
        began, ahead, rendering = (int(at) if at else None for at in found)
        waited_ms = (rendering or now) - ahead if ahead else 0
        ran_ms = now - began - waited_ms if began else 0
        return timedelta(milliseconds=max(0, ran_ms))

    def note(
        self, hold: Hold, *, phase: Phase | None = None, progress: Progress | None = None
    ) -> bool:
        """Write down how far the attempt is; return whether somebody asked for the job's end.

        Raises:
            LeaseLost: the attempt no longer holds the job.
        """
        outcome = self._scripts.run(
            "note",
            keys=[keys.job(hold.job_id)],
            args=[
                hold.job_id,
                hold.attempt,
                hold.worker,
                phase or "",
                progress.model_dump_json(exclude_defaults=True) if progress else "",
            ],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
        return bool(outcome == "cancel")

    def commit(
        self,
        hold: Hold,
        *,
        artifacts: Sequence[Artifact],
        values: Mapping[str, Any],
        notes: Sequence[str] = (),
    ) -> Commit:
        """Make the job succeeded, with all that it made; last step of an attempt.

        Args:
            notes: what a reader should know beside the artifacts, as `fit_notes` gives them.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        result = {
            "artifacts": [
                artifact.model_dump(exclude_none=True, exclude={"url"}) for artifact in artifacts
            ],
            "values": values,
            **({"notes": list(notes)} if notes else {}),
        }
        written = self._finish(
            hold, JobStatus.SUCCEEDED, fields={"result": json.dumps(result, separators=(",", ":"))}
        )
        return Commit(written)

    def fail(self, hold: Hold, error: JobError, *, charged: bool, dead: bool) -> None:
        """End the job as failed.

        Args:
            charged: whether the attempt counts against the job.
            dead: whether to list it as a dead letter.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        story = attempt_json(number=hold.attempt, node=error.node, charged=charged, error=error)
        self._finish(
            hold,
            JobStatus.FAILED,
            cause=error.cause,
            counts="charged" if charged else "",
            dead=dead,
            fields={"error": error.model_dump_json(), f"attempt:{hold.attempt}": story},
        )

    def fail_lapsed(self, job_id: JobId, *, attempt: int, error: JobError) -> None:
        """End a job as failed whose lease has run out; an uncharged dead letter.

        Raises:
            LeaseLost: it was renewed, taken back or ended in between.
        """
        story = attempt_json(number=attempt, node=error.node, charged=False, error=error)
        self._finish(
            Hold(job_id, attempt, worker=""),
            JobStatus.FAILED,
            cause=error.cause,
            counts="free",
            dead=True,
            fields={"error": error.model_dump_json(), f"attempt:{attempt}": story},
        )

    def end_cancelled(self, hold: Hold) -> None:
        """End the job as cancelled, after its prompt was stopped.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        self._finish(hold, JobStatus.CANCELLED, cause=Cause.CANCELLED)

    def requeue(
        self,
        job_id: JobId,
        *,
        attempt: int,
        worker: str | None,
        error: JobError,
        charged: bool,
        counts: bool = True,
        delay: timedelta = timedelta(0),
        elsewhere: bool = True,
    ) -> int | None:
        """End an attempt and let the job wait for the next one.

        Args:
            worker: the holder; None for upkeep, which may only once the lease has run out.
            counts: whether the attempt counts at all, be it charged or not.
            delay: how long nobody may start it.
            elsewhere: whether another node is to be preferred.

        Returns:
            The next attempt's number if it needs a message now; None if it waits out its
            delay, or ended because a cancel had been asked for.

        Raises:
            LeaseLost: the attempt no longer holds the job, or still holds it.
        """
        outcome, number = self._scripts.run(
            "requeue",
            keys=[keys.job(job_id)],
            args=[
                job_id,
                attempt,
                worker or "",
                ("charged" if charged else "free") if counts else "",
                attempt_json(number=attempt, node=error.node, charged=charged, error=error),
                to_ms(delay),
                self._keep_ms,
                int(elsewhere),
            ],
        )
        if outcome == "lost":
            raise LeaseLost(job_id, attempt)
        return int(number) if outcome == "queued" else None

    def _finish(
        self,
        hold: Hold,
        status: JobStatus,
        *,
        fields: Mapping[str, str] | None = None,
        cause: str = "",
        counts: str = "",
        dead: bool = False,
    ) -> str:
        outcome: str = self._scripts.run(
            "finish",
            keys=[keys.job(hold.job_id)],
            args=[
                hold.job_id,
                hold.attempt,
                hold.worker,
                status,
                self._keep_ms,
                cause,
                int(dead),
                counts,
                *flat(fields or {}),
            ],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
        return outcome
