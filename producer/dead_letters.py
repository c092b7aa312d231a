"""What a producer can do with dead letters: failed jobs that a person should look at."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from producer.contract.errors import InvalidJob
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.events.methods import job_id_of
from producer.store.dead_letters import DeadLetter, DeadLetterIndex


class Redrive(Protocol):
    """Makes a dead letter again as a new job."""

    def __call__(self, job_id: str, *, secrets: Mapping[str, Any] | None) -> Job:
        """Return the new job; errors as of `Producer.retry`."""


class DeadLetters:
    """The dead letters of a fleet; `Producer.dead_letters` is one of these."""

    def __init__(self, index: DeadLetterIndex, redrive: Redrive) -> None:
        self._index = index
        self._redrive = redrive

    def list(self, limit: int = 50) -> list[DeadLetter]:
        """Return up to *limit* of them, the newest first.

        One whose record has expired is given this last time, and leaves the list.
        """
        return self._index.newest(limit)

    def show(self, job_id: str) -> DeadLetter:
        """Return one.

        Raises:
            InvalidJob: the job is no dead letter.
        """
        if letter := self._index.find(job_id_of(job_id)):
            return letter
        raise InvalidJob(
            f"job {job_id} is no dead letter", field="job", advice="comfyfleet dead list shows them"
        )

    def redrive(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Job:
        """Make one again as a new job, so that it is none any more, and return that.

        Args:
            secrets: the keys and tokens of its `extra_data`; the old job's are forgotten.

        Raises:
            InvalidJob: the job is no dead letter, or its graph has expired.
            JobNotFound: no such job, or its record has expired.
        """
        return self._redrive(job_id, secrets=secrets)

    def drop(self, job_id: str) -> bool:
        """Take a job off the list and return whether it stood there; its record stays as it is."""
        return bool(self._index.drop([job_id_of(job_id)]))

    def ids(self) -> tuple[JobId, ...]:
        """Return the ids of all, the newest first."""
        return tuple(self._index.ids())

    def causes(self) -> Counter[str]:
        """Count all of them by cause."""
        return self._index.causes()

    def prune(self) -> int:
        """Take out those whose record has expired, and return how many that were."""
        return self._index.prune()


class AsyncDeadLetters:
    """The same for asyncio; each call runs in a thread."""

    def __init__(self, calls: DeadLetters) -> None:
        self._calls = calls

    async def list(self, limit: int = 50) -> list[DeadLetter]:
        """Return up to *limit* of them, the newest first; as of `DeadLetters.list`."""
        return await asyncio.to_thread(self._calls.list, limit)

    async def show(self, job_id: str) -> DeadLetter:
        """Return one; errors as of `DeadLetters.show`."""
        return await asyncio.to_thread(self._calls.show, job_id)

    async def redrive(self, job_id: str, *, secrets: Mapping[str, Any] | None = None) -> Job:
        """Make one again as a new job; errors as of `DeadLetters.redrive`."""
        return await asyncio.to_thread(self._calls.redrive, job_id, secrets=secrets)

    async def drop(self, job_id: str) -> bool:
        """Take a job off the list and return whether it stood there."""
        return await asyncio.to_thread(self._calls.drop, job_id)

    async def ids(self) -> tuple[JobId, ...]:
        """Return the ids of all, the newest first."""
        return await asyncio.to_thread(self._calls.ids)

    async def causes(self) -> Counter[str]:
        """Count all of them by cause."""
        return await asyncio.to_thread(self._calls.causes)

    async def prune(self) -> int:
        """Take out those whose record has expired, and return how many that were."""
        return await asyncio.to_thread(self._calls.prune)
