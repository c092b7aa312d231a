"""Job records: every change is one Lua script, so a job is never seen half-moved."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from producer.contract.batches import BUCKET_ROWS
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import (
    FleetError,
    InvalidInput,
    JobNotFound,
    UnreadableBatch,
    UnreadableRecord,
)
from producer.contract.ids import BatchId, JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.json_texts import read_json
from producer.contract.submissions import Content, Submission, secrets_holder
from producer.store import keys
from producer.store.attempt_endings import AttemptEndings
from producer.store.connection import replies_of, translated
from producer.store.ended_rows import find_ended_rows, flaw_of_row, rows_made_again
from producer.store.new_jobs import SCRIPT, Added, NewJob
from producer.store.record_reader import read_jobs, reading_of
from producer.store.scripts import Scripts
from producer.store.unfed_rows import RowCancel, UnfedRows

if TYPE_CHECKING:
    from redis import Redis

#: While a row is being cancelled, others of its bucket may be, or it may get its record: try again.
_TRIES: Final = BUCKET_ROWS + 1
_STATUSES: Final = frozenset(JobStatus)


class JobStore(AttemptEndings):
    """The fleet's memory of its jobs: what producers do with it, and what attempts do.

    A job may be the row of a batch that has no record yet: it is found by its id all the same.

    Args:
        most_waiting: refuse a new job when so many wait; 0 for no limit.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        keep_ended: timedelta,
        most_waiting: int = 0,
        scripts: Scripts | None = None,
    ) -> None:
        super().__init__(redis, keep_ended=keep_ended, scripts=scripts)
        self._most_waiting = most_waiting
        self._rows = UnfedRows(redis, self._scripts, keep_ms=self._keep_ms)

    def add(
        self,
        submission: Submission,
        *,
        graph: bytes,
        extra_data: bytes = b"",
        secrets: bytes = b"",
        status: JobStatus = JobStatus.QUEUED,
    ) -> tuple[JobId, bool]:
        """Record a new job and what is stored beside it, or nothing at all.

        Args:
            graph, extra_data, secrets: see `Content`.

        Returns:
            The job's id, and whether it is new. An idempotency key seen before gives the id of
            the job it made then.

        Raises:
            KeyReused: the idempotency key belongs to another request.
            BacklogFull: too many jobs wait already, in all or of its owner.
        """
        new = NewJob(
            submission,
            Content(graph, extra_data, secrets),
            status=status,
            most_waiting=self._most_waiting,
        )
        script_keys, arguments = new.call
        added = new.answered(self._scripts.run(SCRIPT, keys=script_keys, args=arguments))
        if isinstance(added, FleetError):
            raise added
        return added.job_id, added.is_new

    def add_each(
        self, submissions: Sequence[tuple[Submission, Content, str]]
    ) -> list[Added | FleetError]:
        """Record new jobs and send their messages in one round trip, each for itself.

        Args:
            submissions: each with its content and its message, as of `NewJob`.

        Returns:
            Of each what became of it, or the error that `add` raises.
        """
        new = [
            NewJob(submission, content, most_waiting=self._most_waiting, message=message)
            for submission, content, message in submissions
        ]
        replies = self._scripts.run_each(SCRIPT, [one.call for one in new])
        return [
            reply if isinstance(reply, FleetError) else one.answered(reply)
            for one, reply in zip(new, replies, strict=True)
        ]

    def get(self, job_id: JobId) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no such job, or its record has expired.
            UnreadableRecord: it is torn.
            UnreadableBatch: it is a row of a batch that makes no sense.
        """
        found = self.find([job_id])
        if job_id not in found:
            raise self.why_not_found(job_id)
        return found[job_id]

    def why_not_found(self, job_id: JobId) -> JobNotFound | UnreadableRecord | UnreadableBatch:
        """Return the error of a job that `find` did not give."""
        [reading] = read_jobs(self._redis, [job_id])
        if flaw := reading.flaw or flaw_of_row(self._redis, job_id):
            return UnreadableRecord(job_id, flaw)
        try:
            self.check_unfed([job_id])
        except UnreadableBatch as exc:
            return exc
        return JobNotFound(job_id)

    def check_unfed(self, job_ids: Sequence[JobId]) -> None:
        """Check those that `find` did not give, and which may be rows that have no record yet.

        Raises:
            UnreadableBatch: the batch of one makes no sense.
        """
        self._rows.check(job_ids)

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Read many jobs in one round trip; those that are not there, or torn, are left out."""
        found: dict[JobId, Job] = {}
        # A row that was fed after the look at unfed ones has its record by now, or has even ended.
        for look in (self._read, self._ended, self._rows.find, self._read, self._ended):
            if not (missing := [job_id for job_id in job_ids if job_id not in found]):
                break
            found |= look(missing)
        return found

    def made_again(self, job_ids: Sequence[JobId]) -> dict[JobId, JobId]:
        """Return which jobs were made of packed rows again, by the row's own job."""
        return rows_made_again(self._redis, job_ids)

    def give_record(self, job_id: JobId) -> bool:
        """Give a row that ended with its batch a record, which it had not; False if there is no such row."""
        return self._rows.give_record(job_id)

    def cancel(self, job_id: JobId) -> Cancelled:
        """Ask for a job's end.

        Raises:
            JobNotFound: no such job.
        """
        for _ in range(_TRIES):
            [met] = self.cancel_all([job_id])
            if met:
                return met
            row = self._rows.cancel(job_id)
            if row is RowCancel.MISSING:
                [met] = self.cancel_all([job_id])  # it may have got its record in between
                if met:
                    return met
                break
            if row is not RowCancel.STALE:
                return Cancelled(row)
        raise JobNotFound(job_id)

    def cancel_all(self, job_ids: Sequence[JobId]) -> list[Cancelled | None]:
        """Ask for the end of jobs; return what each request met, None where there is no record."""
        reply = self._scripts.run("cancel", args=[self._keep_ms, *job_ids])
        return [None if met == "missing" else Cancelled(met) for met, _ in reply]

    def hold(
        self, job_ids: Sequence[JobId], *, of: BatchId | None = None
    ) -> list[JobStatus | None]:
        """Keep back jobs that wait; return the status of each now, None where there is none, or no sense in it.

        Args:
            of: the batch because of which they are held; nothing happens if it is not any more.
        """
        statuses = self._scripts.run("hold", keys=_batch_key(of), args=job_ids)
        # A status that makes no sense is that of a record that cannot be read: nobody learns more of it here.
        return [JobStatus(status) if status in _STATUSES else None for status in statuses]

    def release(self, job_ids: Sequence[JobId], *, of: BatchId | None = None) -> list[JobId]:
        """Let held jobs wait for a node again; return those that were, which need a message.

        Args:
            of: the batch because of which they are released; nothing happens if it is held again.
        """
        outcomes = self._scripts.run("release", keys=_batch_key(of), args=job_ids)
        return [
            job_id
            for job_id, outcome in zip(job_ids, outcomes, strict=True)
            if outcome == "released"
        ]

    def graph(self, template: str) -> bytes:
        """Return a template's graph as canonical JSON.

        Raises:
            JobNotFound: no such template, which a live job never meets.
        """
        found = self._bytes(keys.template(template))
        if found is None:
            raise JobNotFound(f"with template {template}")
        return zlib.decompress(found)

    def extra_data(self, job: Job) -> dict[str, Any]:
        """Return all that goes to the node beside the job's graph, secrets included.

        Raises:
            InvalidInput: a part is not there any more, which a live job never meets.
        """
        extra: dict[str, Any] = {}
        if job.extra_data:
            extra |= read_json(self.shared_extra_data(job))
        if job.secrets:
            holder = secrets_holder(job.id, batch=job.batch, retry_of=job.retry_of)
            extra |= read_json(self._bytes(keys.secrets(holder)) or _gone(job))
        return extra

    def shared_extra_data(self, job: Job) -> bytes:
        """Return what goes beside the job's graph as canonical JSON, without its secrets.

        Raises:
            InvalidInput: it is not there any more, which a live job that has any never meets.
        """
        shared = self._bytes(keys.extra_data(job.extra_data or ""))
        return zlib.decompress(shared) if shared else _gone(job)

    def _ended(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        return find_ended_rows(self._redis, job_ids)

    def _bytes(self, key: str) -> bytes | None:
        with translated(self._redis):
            found: Any = self._redis.execute_command(  # type: ignore[no-untyped-call]
                "GET", key, NEVER_DECODE=True
            )
        return None if found is None else bytes(found)

    def _read(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        if not job_ids:
            return {}
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(keys.job(job_id))
            replies = replies_of(pipe)
        readings = map(reading_of, job_ids, replies)
        return {reading.job_id: reading.job for reading in readings if reading.job}


def _batch_key(batch: BatchId | None) -> list[str]:
    return [keys.batch(batch)] if batch else []


def _gone(job: Job) -> NoReturn:
    raise InvalidInput(
        f"what job {job.id} has beside its graph is not there any more",
        field="extra_data",
        advice="submit it anew",
    )
