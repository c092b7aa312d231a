"""What a worker does with a job that it holds: claim it, leave it, write down its progress.

Each write names the attempt and its worker, and is refused with LeaseLost once another attempt has
the job. Outcomes that happen in the normal run of things are values, not errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from producer.contract.errors import LeaseLost
from producer.contract.ids import JobId, PromptId
from producer.contract.jobs import Job, Phase, Progress
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import RECORD_VERSION, job_of, pairs
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


class AttemptStore:
    """The store as the holder of a job uses it; `AttemptEndings` adds how an attempt ends.

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
