"""Methods for reading jobs, following their events and waiting; `producer.http_client.HttpProducer` inherits them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from producer.contract.arguments import checked, event_id_of, job_id_of
from producer.contract.errors import FleetUnreachable
from producer.contract.fleet_events import FleetEvent
from producer.contract.ids import JobId, event_order
from producer.contract.jobs import Job, JobEvent
from producer.contract.previews import Preview, PreviewNote
from producer.contract.waits import Deadline
from producer.events.event_watch import EventWatch, FleetWatch
from producer.events.following import Following
from producer.events.job_stream import snapshot_of
from producer.over_http.answers import formed, in_form
from producer.over_http.connection import Connection
from producer.over_http.event_reader import PATH, HttpEventReader, event_of, shown
from producer.over_http.event_stream import EventSource, ServerEvent

#: Jobs that one stream of the API follows; more are followed among all that the key sees.
_MOST_TOPICS: Final = 100
_PREVIEW_NOTE: Final = "Preview-Note"


class HttpWatchMethods(Following):
    """The methods of `HttpProducer` that read, follow and wait for jobs."""

    _connection: Connection
    _readers: dict[int, HttpEventReader]

    def get(self, job_id: str) -> Job:
        """Return one job; raises JobNotFound where there is none, or it is another owner's."""
        return self._connection.read(Job.model_validate, "GET", job_path(job_id))

    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs in the given order, read one by one; errors as of `get`."""
        return [self.get(job_id) for job_id in job_ids]

    def stream(
        self, *job_ids: str, timeout: timedelta | None = None, after: str | None = None
    ) -> Iterator[JobEvent]:
        """Yield the events of some jobs as they happen, beginning with the present state of each.

        It ends when all jobs have ended. A lost connection is made anew, and goes on after the last event; where the
        fleet holds what came meanwhile no more, the present states are yielded again.

        Args:
            timeout: end after this time, whatever the jobs' status.
            after: the id of the last event seen; the events since then are yielded first.

        Raises:
            JobNotFound: no such job, or its record has expired.
            InvalidQuery: *after* is no id of an event.
            FleetUnreachable: the API does not answer at the beginning.
        """
        wanted = [job_id_of(job_id) for job_id in job_ids]
        deadline = Deadline(timeout)
        after = event_id_of(after) if after else None
        if len(wanted) > _MOST_TOPICS:
            yield from self._follow(wanted, deadline, after)
        elif wanted:
            yield from self._streamed(wanted, deadline, after)

    def watch(self, *topics: str) -> EventWatch:
        """Return a context manager that delivers the events of some topics; all as of `Producer.watch`.

        All watches of a client share one connection and one thread, which read what happens to all that the key sees.
        """
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return EventWatch(self.reader, wanted)

    def watch_fleet(self, *topics: str) -> FleetWatch:
        """Return the same with the events of batches and, for the scope `operate`, of nodes; as of `Producer.watch_fleet`."""
        wanted = [checked(topic, str, field="topic") for topic in topics]
        return FleetWatch(self.reader, wanted)

    def events(self, *, after: str, until: str = "+") -> Iterator[JobEvent]:
        """Give the events of the owner's jobs after one id, up to another: none, unless the fleet still holds all of them."""
        for event in self.fleet_events(after=after, until=until):
            if isinstance(event, JobEvent):
                yield event

    def fleet_events(self, *, after: str, until: str = "+") -> Iterator[JobEvent | FleetEvent]:
        """Give the same with those of batches and, for the scope `operate`, of nodes."""
        begin, end = (
            event_id_of(after),
            until if until == "+" else event_id_of(until, field="until"),
        )
        source = EventSource(self._connection, PATH, deadline=Deadline(None), after=begin)
        for events in source.connections():
            for event in events:
                if event.is_mark or event.name == "reset" or _is_beyond(event, end):
                    source.stop()
                    return
                if (told := _understood(event)) and told.type != "snapshot":
                    yield told

    def preview(self, job_id: str) -> Preview | None:
        """Return the newest preview of a job that renders, or None while there is none; all as of `Producer.preview`."""
        answer = self._connection("GET", job_path(job_id, "preview"), may_lack=True)
        if not answer.ok:
            return None
        note = in_form(
            answer, PreviewNote.model_validate_json, answer.headers.get(_PREVIEW_NOTE, "")
        )
        return Preview(**note.model_dump(), content=answer.content)

    def preview_note(self, job_id: str) -> PreviewNote | None:
        """Return the same as `preview`, without the picture: whether there is another one."""
        answer = self._connection("GET", job_path(job_id, "preview-note"), may_lack=True)
        return formed(answer, PreviewNote.model_validate) if answer.ok else None

    @property
    def reader(self) -> HttpEventReader:
        """The reader of events of this process, for all of the client's watchers."""
        # A forked child has no thread that reads, so it has a reader of its own.
        return self._readers.setdefault(os.getpid(), HttpEventReader(self._connection))

    def _streamed(
        self, wanted: list[JobId], deadline: Deadline, after: str | None
    ) -> Iterator[JobEvent]:
        """Follow jobs by a stream of the API's own."""
        source = EventSource(self._connection, _events_path(wanted), deadline=deadline, after=after)
        open_jobs = set(wanted)
        for number, events in enumerate(source.connections()):
            for told in _job_events(events, shows_snapshots=not number):
                if told.job in open_jobs:
                    open_jobs -= {told.job} if told.status.is_terminal else set()
                    yield told
                if not open_jobs:
                    return
        # Jobs of which no event came: all was told before, or they are rows that never began.
        for job in self.get_many(sorted(open_jobs)) if source.has_ended else ():
            yield snapshot_of(job, source.position)


def job_path(job_id: str, *parts: str) -> str:
    """Return the path of a job, or of something of it; raises InvalidJob if that is no id."""
    return "/".join(["/v1/jobs", job_id_of(job_id), *parts])


def _events_path(jobs: list[JobId]) -> str:
    if len(jobs) == 1:
        return job_path(jobs[0], "events")
    return f"/v1/events?topics={quote(','.join(f'job:{job}' for job in jobs))}"


def _job_events(events: Iterator[ServerEvent], *, shows_snapshots: bool) -> Iterator[JobEvent]:
    """Yield the events of jobs; without snapshots unless events are missing before them."""
    for event in events:
        shows_snapshots = shows_snapshots or event.name == "reset"
        told = _understood(event)
        if isinstance(told, JobEvent) and (shows_snapshots or told.type != "snapshot"):
            yield told


def _understood(event: ServerEvent) -> JobEvent | FleetEvent | None:
    """Return an event as the library has it; raises FleetUnreachable where a newer API sends what we do not know."""
    try:
        return event_of(event)
    except ValueError as exc:
        raise FleetUnreachable(
            f"event {event.id} of the API is not understood: {shown(exc)}",
            advice="is this the API's address, and is the API as new as this library?",
        ) from exc


def _is_beyond(event: ServerEvent, until: str) -> bool:
    return until != "+" and event_order(event.id) > event_order(until)
