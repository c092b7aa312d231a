"""Dead letters, failed jobs that a person should look at: list, show, redrive, drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from producer.contract.arguments import job_id_of
from producer.contract.dead_letters import DeadLetter
from producer.contract.errors import InvalidJob
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.outcomes import Submitted
from producer.store.actions import Actions
from producer.store.dead_letters import DeadLetterIndex
from producer.threaded_calls import ThreadedTwin, in_thread


class Redrive(Protocol):
    """A function that submits a dead letter again as a new job."""

    def __call__(self, job_id: str, *, secrets: Mapping[str, Any] | None) -> Submitted:
        """Return the new job; errors as of `Producer.retry_once`."""


class DeadLetters:
    """The dead letters of a fleet; `Producer.dead_letters` is one of these."""

    def __init__(self, index: DeadLetterIndex, redrive: Redrive, actions: Actions) -> None:
        self._index = index
        self._redrive = redrive
        self._actions = actions

    def list(self, limit: int = 50) -> list[DeadLetter]:
        """Return up to *limit* dead letters, the newest first.

        One whose record has expired is returned once more, and removed from the list.
        """
        return self._index.newest(limit)

    def show(self, job_id: str) -> DeadLetter:
        """Return one dead letter.

        Raises:
            InvalidJob: the job is no dead letter.
        """
        if letter := self._index.find(job_id_of(job_id)):
            return letter
        raise InvalidJob(
            f"job {job_id} is no dead letter", field="job", advice="comfyfleet dead list shows them"
        )

    def redrive(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Job:
        """Submit a dead letter again as a new job, remove it from the list, and return the new job.

        Args:
            secrets: the secrets of its `extra_data`; the old job's are deleted.

        Raises:
            InvalidJob: the job is no dead letter, or its graph has expired.
            JobNotFound: no such job, or its record has expired.
        """
        return self.redrive_once(job_id, secrets=secrets).job

    def redrive_once(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Submitted:
        """Submit a dead letter again as `redrive` does, and tell whether a call before had made the new job."""
        was_there = self._index.find(job_id_of(job_id)) is not None
        made = self._redrive(job_id, secrets=secrets)
        if was_there:  # who asks again gets the same job, and has done nothing
            new = made.job
            self._actions.write("dead.redrive", selection=job_id, owner=new.owner, detail=new.id)
        return made

    def drop(self, job_id: str) -> bool:
        """Remove a job from the list, keeping its record; return whether it was on the list."""
        was_there = bool(self._index.drop([job_id_of(job_id)]))
        if was_there:
            self._actions.write("dead.drop", selection=job_id)
        return was_there

    def ids(self) -> tuple[JobId, ...]:
        """Return the ids of all dead letters, the newest first."""
        return tuple(self._index.ids())

    def causes(self) -> Counter[str]:
        """Return the number of dead letters by cause."""
        return self._index.causes()

    def prune(self) -> int:
        """Remove those whose record has expired, and return their number."""
        return self._index.prune()


class AsyncDeadLetters(ThreadedTwin):
    """The same for asyncio; each call runs in a thread."""

    list = in_thread(DeadLetters.list)
    show = in_thread(DeadLetters.show)
    redrive = in_thread(DeadLetters.redrive)
    redrive_once = in_thread(DeadLetters.redrive_once)
    drop = in_thread(DeadLetters.drop)
    ids = in_thread(DeadLetters.ids)
    causes = in_thread(DeadLetters.causes)
    prune = in_thread(DeadLetters.prune)
