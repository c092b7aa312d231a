"""Following jobs until they have ended: what the client on Redis and the one over HTTP do alike, for threads and for asyncio."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from producer.contract.arguments import checked, event_id_of, job_id_of
from producer.contract.errors import FleetUnreachable
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobEvent
from producer.contract.waits import Deadline, succeeded
from producer.events.async_event_watch import AsyncEventWatch, AsyncFleetWatch
from producer.events.event_watch import EventWatch
from producer.events.job_stream import JobStream
from producer.events.loop_fanout import LoopFanout

#: How often a stream reads the records of jobs whose events may be incomplete.
RECHECK_EVERY: Final = timedelta(seconds=5)


class Following:
    """Follows jobs by a watch, and by their records where its events may be incomplete."""

    def wait(self, job_id: str, *, timeout: timedelta | None = None) -> Job:
        """Return the job once it has succeeded.

        Raises:
            JobNotFound: no such job, or its record has expired.
            JobNotSucceeded: it failed, was cancelled or expired; the error has the job.
            WaitTimeout: it has not ended within *timeout*; it is unaffected.
        """
        for _ in self.stream(job_id, timeout=timeout):
            pass
        return succeeded(self.get(job_id), timeout)

    def _follow(
        self, wanted: Sequence[JobId], deadline: Deadline, after: str | None
    ) -> Iterator[JobEvent]:
        recheck = Deadline(RECHECK_EVERY)
        with self.watch(*wanted) as watch:
            stream = JobStream(after or watch.since)
            yield from stream.snapshots(self.get_many(wanted))
            if after:
                yield from stream.changes(self.events(after=after, until=watch.since))
            while stream.open_jobs and not deadline.is_over:
                yield from stream.deliveries(watch.take(wait=min(deadline.left, recheck.left)))
                if stream.must_recheck or recheck.is_over:
                    recheck = Deadline(RECHECK_EVERY)
                    yield from stream.rechecked(self._doubted(stream))

    def _doubted(self, stream: JobStream) -> list[Job]:
        """Read the jobs that are in doubt; none while they cannot be read: the stream does it later."""
        try:
            return self.get_many(stream.doubted)
        except FleetUnreachable:
            return []

    @abstractmethod
    def get(self, job_id: str) -> Job:
        """Return one job."""

    @abstractmethod
    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs in the given order."""

    @abstractmethod
    def stream(
        self, *job_ids: str, timeout: timedelta | None = None, after: str | None = None
    ) -> Iterator[JobEvent]:
        """Yield the events of some jobs as they happen."""

    @abstractmethod
    def watch(self, *topics: str) -> EventWatch:
        """Return a context manager that delivers the events of some topics."""

    @abstractmethod
    def events(self, *, after: str, until: str = "+") -> Iterator[JobEvent]:
        """Give the events of jobs after one id, up to another."""


class AsyncFollowing:
    """The same for asyncio: a thousand that wait need no thread of their own."""

    async def wait(self, job_id: str, *, timeout: timedelta | None = None) -> Job:  # noqa: ASYNC109 - as the sync one
        """Return the job once it has succeeded; errors as of `Producer.wait`."""
        async for _ in self.stream(job_id, timeout=timeout):
            pass
        return succeeded(await self.get(job_id), timeout)

    async def stream(
        self,
        *job_ids: str,
        timeout: timedelta | None = None,  # noqa: ASYNC109
        after: str | None = None,
    ) -> AsyncIterator[JobEvent]:
        """Yield the events of some jobs as they happen; see `Producer.stream`."""
        deadline, recheck = Deadline(timeout), Deadline(RECHECK_EVERY)
        after = event_id_of(after) if after else None
        wanted = [job_id_of(job_id) for job_id in job_ids]
        if not wanted:
            return
        async with self.watch(*wanted) as watch:
            stream = JobStream(after or watch.since)
            for event in stream.snapshots(await self.get_many(wanted)):
                yield event
            if after:
                for event in stream.changes(await self.events(after=after, until=watch.since)):
                    yield event
            while stream.open_jobs and not deadline.is_over:
                taken = await watch.take(wait=min(deadline.left, recheck.left))
                for event in stream.deliveries(taken):
                    yield event
                if stream.must_recheck or recheck.is_over:
                    recheck = Deadline(RECHECK_EVERY)
                    for event in stream.rechecked(await self._doubted(stream)):
                        yield event

    def watch(self, *topics: str) -> AsyncEventWatch:
        """Return an async context manager that delivers the events of some topics; see `Producer.watch`."""
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return AsyncEventWatch(self.fanout, wanted)

    def watch_fleet(self, *topics: str) -> AsyncFleetWatch:
        """Return an `async with` block as `Producer.watch_fleet` does."""
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return AsyncFleetWatch(self.fanout, wanted)

    async def _doubted(self, stream: JobStream) -> list[Job]:
        try:
            # Mostly there are none, and a thread would be asked for nothing.
            return await self.get_many(stream.doubted) if stream.doubted else []
        except FleetUnreachable:
            return []

    @property
    @abstractmethod
    def fanout(self) -> LoopFanout:
        """The fan-out of events to watchers on the running event loop."""

    @abstractmethod
    async def get(self, job_id: str) -> Job:
        """Return one job."""

    @abstractmethod
    async def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs in the given order."""

    @abstractmethod
    async def events(self, *, after: str, until: str = "+") -> list[JobEvent]:
        """Return the events of jobs after one id, up to another."""
