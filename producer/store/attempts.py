"""Attempts in the store: claim a job, pass it on, leave it to a successor, record its progress.

Each write names the attempt and its worker, and raises LeaseLost once another attempt has the job.
Outcomes that occur in normal operation are return values, not errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from producer.contract.errors import KeyOfAnotherType, LeaseLost, UnreadableRecord
from producer.contract.ids import JobId, PromptId
from producer.contract.jobs import Job, Phase, Progress
from producer.store import keys
from producer.store.connection import translated
from producer.store.record_reader import reading_of
from producer.store.records import RECORD_VERSION, job_of, pairs
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True)
class Hold:
    """The right of one worker's attempt to write for a job, while its lease lasts."""

    job_id: JobId
    attempt: int
    worker: str


class Shunned(Exception):
    """The job failed on this node before, so other nodes should claim it first.

    Args:
        nodes: the names of the nodes on which it failed.
    """

    def __init__(self, nodes: frozenset[str]) -> None:
        super().__init__(nodes)
        self.nodes = nodes


class AttemptStore:
    """The store's operations for the holder of a job; `AttemptEndings` adds those that end an attempt.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ended: how long the record of an ended job is kept.
        scripts: passed by tests only, with a clock of their own.
    """

    def __init__(
        self, redis: Redis, *, keep_ended: timedelta, scripts: Scripts | None = None
    ) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._keep_ms = to_ms(keep_ended)

    @property
    def scripts(self) -> Scripts:
        """The scripts of its Redis, of which a process keeps each that it has run."""
        return self._scripts

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
        """Claim a queued job for *worker* on *node*.

        Args:
            courtesy: how long a job that failed on this node is left to other nodes.

        Returns:
            The job, now running; None if its message was stale: the job was claimed by another
            node, ended, or requeued since, or the message was delivered twice. All are normal.

        Raises:
            Shunned: other nodes should claim it; claim it without courtesy, or pass it on.
            UnreadableRecord: it runs now, and makes no sense.
            KeyOfAnotherType: it makes no sense in what scripts look at, and was left as it was.
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
        if outcome == "unreadable":
            raise KeyOfAnotherType(
                f"the record of job {job_id} makes no sense", key=keys.job(job_id)
            )
        if outcome != "claimed":
            return None
        reading = reading_of(job_id, pairs(reply))
        if reading.job is None:
            raise UnreadableRecord(job_id, reading.flaw or "it is empty")
        return reading.job

    def pass_on(self, job_id: JobId, *, attempt: int, wait: timedelta) -> None:
        """Leave a queued job to other nodes; after *wait*, upkeep sends a new message."""
        self._scripts.run("pass_on", keys=[keys.job(job_id)], args=[job_id, attempt, to_ms(wait)])

    def leave(self, hold: Hold) -> None:
        """Record that the worker shuts down regularly, and leaves the job to its successor."""
        self._scripts.run("leave", keys=[keys.job(hold.job_id)], args=[hold.attempt, hold.worker])

    def running_for(self, job_id: JobId) -> timedelta:
        """Return how long the job's attempt has run, by Redis' own clock, also under another worker.

        The time that its prompt waited behind another one on its node does not count.
        """
        stamps = [f"at:{phase}" for phase in (Phase.PREPARING, Phase.AHEAD, Phase.RENDERING)]
        with translated(self._redis):
            found: Any = self._redis.hmget(keys.job(job_id), stamps)
        now = now_ms(self._redis)
        began, ahead, rendering = (int(at) if at else None for at in found)
        waited_ms = (rendering or now) - ahead if ahead else 0
        ran_ms = now - began - waited_ms if began else 0
        return timedelta(milliseconds=max(0, ran_ms))

    def enter_phase(self, hold: Hold, phase: Phase) -> tuple[Job, bool]:
        """Record the attempt's phase; return the job as it is then, and whether its cancellation was requested.

        Raises:
            LeaseLost: the attempt no longer holds the job.
        """
        outcome, record = self._scripts.run(
            "enter_phase",
            keys=[keys.job(hold.job_id)],
            args=[hold.job_id, hold.attempt, hold.worker, phase],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
        return job_of(hold.job_id, pairs(record)), outcome == "cancel"

    def note(
        self,
        hold: Hold,
        *,
        phase: Phase | None = None,
        progress: Progress | None = None,
        is_watched: bool = True,
    ) -> bool:
        """Record the attempt's phase or progress; return whether the job's cancellation was requested.

        Args:
            is_watched: whether somebody reads the events; else progress is not told there.

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
                int(is_watched),
            ],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
        return bool(outcome == "cancel")
