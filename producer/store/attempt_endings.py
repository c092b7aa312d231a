"""Attempt endings: committed, failed, cancelled, or requeued for the next one.

Each ending is one Lua script, which writes nothing once another attempt has the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from producer.contract.causes import Cause
from producer.contract.errors import LeaseLost
from producer.contract.ids import JobId
from producer.contract.jobs import Artifact, JobError, JobStatus, Progress
from producer.store import keys
from producer.store.attempts import AttemptStore, Hold
from producer.store.records import attempt_json, flat, result_json
from producer.store.times import to_ms


class Commit(StrEnum):
    """What an attempt's wish to succeed met."""

    DONE = "ok"
    CANCEL_CAME_FIRST = "cancel"


class AttemptEndings(AttemptStore):
    """The store as whoever ends an attempt uses it: its worker, or upkeep once its lease has run out."""

    def commit(
        self,
        hold: Hold,
        *,
        artifacts: Sequence[Artifact],
        values: Mapping[str, Any],
        notes: Sequence[str] = (),
        shape: str | None = None,
        fetched_in: timedelta | None = None,
        device: str = "",
        graph_nodes: int = 0,
    ) -> Commit:
        """Make the job succeeded, with all that it made; last step of an attempt.

        Args:
            notes: what a reader should know beside the artifacts, as `fit_notes` gives them.
            shape: of its graph, where its record has none.
            fetched_in: how long it fetched before it began to store, if that phase was not noted then.
            device: what it rendered on, if that is known.
            graph_nodes: how many its progress counts.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        progress = Progress.complete(graph_nodes)
        fields = {
            "result": result_json(artifacts, values, notes),
            "progress": progress.model_dump_json(exclude_defaults=True),
        }
        written = self._finish(
            hold,
            JobStatus.SUCCEEDED,
            fields=fields | ({"shape": shape} if shape else {}),
            fetched_in=fetched_in,
            device=device,
        )
        return Commit(written)

    def fail(
        self, hold: Hold, error: JobError, *, charged: bool, dead: bool, fingerprint: str = ""
    ) -> None:
        """End the job as failed.

        Args:
            charged: whether the attempt counts against the job.
            dead: whether to list it as a dead letter.
            fingerprint: of the failure; empty where nobody knows it.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        self._finish(
            hold,
            JobStatus.FAILED,
            cause=error.cause,
            counts="charged" if charged else "",
            dead=dead,
            fields=_failure(hold.attempt, error, charged=charged, fingerprint=fingerprint),
        )

    def fail_lapsed(
        self, job_id: JobId, *, attempt: int, error: JobError, fingerprint: str = ""
    ) -> None:
        """End a job as failed whose lease has run out; an uncharged dead letter.

        Raises:
            LeaseLost: it was renewed, taken back or ended in between.
        """
        self._finish(
            Hold(job_id, attempt, worker=""),
            JobStatus.FAILED,
            cause=error.cause,
            counts="free",
            dead=True,
            fields=_failure(attempt, error, charged=False, fingerprint=fingerprint),
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
        fingerprint: str = "",
    ) -> int | None:
        """End an attempt and let the job wait for the next one.

        Args:
            worker: the holder; None for upkeep, which may only once the lease has run out.
            counts: whether the attempt counts at all, be it charged or not.
            delay: how long nobody may start it.
            elsewhere: whether another node is to be preferred.
            fingerprint: as of `fail`.

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
                _story(attempt, error, charged=charged, fingerprint=fingerprint),
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
        fetched_in: timedelta | None = None,
        device: str = "",
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
                "" if fetched_in is None else to_ms(fetched_in),
                device,
                *flat(fields or {}),
            ],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
        return outcome


def _failure(attempt: int, error: JobError, *, charged: bool, fingerprint: str) -> dict[str, str]:
    """Return the fields of a record that a failed attempt sets."""
    ended = _story(attempt, error, charged=charged, fingerprint=fingerprint)
    return {"error": error.model_dump_json(), f"attempt:{attempt}": ended}


def _story(attempt: int, error: JobError, *, charged: bool, fingerprint: str) -> str:
    return attempt_json(
        number=attempt, node=error.node, charged=charged, error=error, fingerprint=fingerprint
    )
