"""Methods for reading jobs, following their events and waiting; `Producer` inherits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from producer.contract.arguments import checked, event_id_of, job_id_of
from producer.contract.config.settings import Settings
from producer.contract.fleet_events import FleetEvent
from producer.contract.jobs import Job, JobEvent
from producer.contract.previews import Preview, PreviewNote
from producer.contract.waits import Deadline
from producer.events.event_watch import EventWatch, FleetWatch
from producer.events.following import Following
from producer.events.loop_fanout import LoopFanouts
from producer.events.missed import Missed, missed
from producer.events.reader import fanout_of
from producer.store.events import EventStream
from producer.store.job_store import JobStore
from producer.store.previews import Previews


class WatchMethods(Following):
    """The methods of `Producer` that read, follow and wait for jobs."""

    settings: Settings
    _jobs: JobStore
    _events: EventStream
    _previews: Previews

    def get(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobNotFound: no such job, or its record has expired.
        """
        return self._jobs.get(job_id_of(job_id))

    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs in the given order, read in one round trip; errors as of `get`."""
        wanted = [job_id_of(job_id) for job_id in job_ids]
        found = self._jobs.find(wanted)
        for job_id in wanted:
            if job_id not in found:
                raise self._jobs.why_not_found(job_id)
        return [found[job_id] for job_id in wanted]

    def stream(
        self, *job_ids: str, timeout: timedelta | None = None, after: str | None = None
    ) -> Iterator[JobEvent]:
        """Yield the events of some jobs as they happen, beginning with the present state of each.

        It ends when all jobs have ended, each with an event of a terminal status. All streams of a
        process share one reader. An outage of Redis is waited for; if events were lost in it, or
        dropped because the caller was too slow, the present states are yielded again.

        Args:
            timeout: end after this time, whatever the jobs' status.
            after: the id of the last event seen; the events since then are yielded first.

        Raises:
            JobNotFound: no such job, or its record has expired.
            InvalidQuery: *after* is no id of an event.
            FleetUnreachable: Redis cannot be read at the beginning.
        """
        deadline = Deadline(timeout)
        after = event_id_of(after) if after else None
        yield from self._follow([job_id_of(job_id) for job_id in job_ids], deadline, after)

    def watch(self, *topics: str) -> EventWatch:
        """Return a context manager that delivers the events of some topics.

        Args:
            topics: job ids, batch ids, or `producer.events.subscribers.EVERYTHING`.
        """
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return EventWatch(fanout_of(self.settings), wanted)

    def watch_fleet(self, *topics: str) -> FleetWatch:
        """Return a `with` block within which the events of batches and nodes are delivered, too.

        Args:
            topics: `batch:ID`, `node:NAME`, `producer.events.subscribers.BATCHES` for every batch, `NODES`
                for every node; and those of `watch`.
        """
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return FleetWatch(fanout_of(self.settings), wanted)

    def preview(self, job_id: str) -> Preview | None:
        """Return the newest preview of a job that renders.

        Nodes hand previews on, one a second at most, for 15 s after somebody has asked: call it once a second, the
        first call finds none. ComfyUI makes them where it runs with `--preview-method`.

        Returns:
            None while there is none; of a job that has just ended, its last one for up to 15 s.
        """
        return self._previews.find(job_id_of(job_id))

    def preview_note(self, job_id: str) -> PreviewNote | None:
        """Return the same as `preview`, without the picture: whether there is another one."""
        return self._previews.find_note(job_id_of(job_id))

    def events(self, *, after: str, until: str = "+") -> Iterator[JobEvent]:
        """Give what the stream still holds of all events of jobs after one id, up to another."""
        return self._events.between(event_id_of(after), _until(until))

    def missed(self, *topics: str, after: str) -> Missed | None:
        """Return a part of what came of some topics after an event's id, beginning with the oldest.

        Call it again with the `position` that it gives until `is_end`.

        Args:
            topics: those of `watch_fleet`.

        Returns:
            None if the stream does not hold all of it any more: then read the records.
        """
        return missed(self._events, topics, after=after)

    def position(self) -> str:
        """Return the id after which `missed` gives what happens from now on."""
        return self._events.end()

    def fleet_events(self, *, after: str, until: str = "+") -> Iterator[JobEvent | FleetEvent]:
        """Give the same with those of batches and nodes."""
        return self._events.all_between(event_id_of(after), _until(until))


def _until(text: str) -> str:
    return text if text == "+" else event_id_of(text, field="until")


def loop_fanouts(settings: Settings) -> LoopFanouts:
    """Return the fan-outs of a fleet's events to event loops."""
    return LoopFanouts(lambda: fanout_of(settings))
