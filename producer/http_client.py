"""Client library over the HTTP API, for backends that hold an access key in place of Redis' password.

    from producer.http_client import HttpProducer

    fleet = HttpProducer("https://fleet.example", key="cfk_...")
    job = fleet.submit(graph, params={"6.text": "a red fox", "3.seed": 7})
    job = fleet.wait(job.id, timeout=timedelta(minutes=2))
    url = fleet.url(job.artifacts[0])

It has the verbs of `producer.client.Producer`, gives the same records and raises the same errors, so that a backend
may change from one to the other. It loads neither Redis nor Celery nor boto3. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, Self, Unpack
from urllib.parse import quote

import requests

from producer.contract.arguments import job_id_of
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.filters.query import Filter
from producer.contract.graph.graph import GraphLike
from producer.contract.ids import JobId
from producer.contract.job_pages import JobPage
from producer.contract.jobs import Job, JobEvent
from producer.contract.nodes import Node
from producer.contract.outcomes import Acted, BulkAction, Submitted
from producer.contract.queues import Tier
from producer.contract.uploads import Upload
from producer.contract.waits import Deadline, succeeded
from producer.events.job_stream import snapshot_of
from producer.intake.request import JobOptions
from producer.over_http.artifact_methods import HttpArtifactMethods
from producer.over_http.batch_methods import HttpBatchMethods
from producer.over_http.bodies import encoded, job_body, mapping, opened
from producer.over_http.connection import Connection
from producer.over_http.event_stream import EventSource, ServerEvent
from producer.over_http.webhooks import HttpWebhooks

_JSON: Final = {"Content-Type": "application/json"}
_BYTES: Final = {"Content-Type": "application/octet-stream"}
#: The names of server-sent events that are of jobs; others, and those of a newer API, are passed over.
_JOB_EVENTS: Final = frozenset({"", "message"})
#: An upload is stored in S3 before it is answered, s.
_UPLOAD_S: Final = 120.0


class HttpProducer(HttpBatchMethods, HttpArtifactMethods):
    """The client of one fleet over its HTTP API, for threads. Connections open at the first call.

    What it hands in and sees is what the key's owner has. A call that may be repeated safely is tried three times:
    one that only reads, and one that hands something in, under an idempotency key of its own where none is given.

    Args:
        url: the API's address, as `https://fleet.example`.
        key: an access key, as `comfyfleet key create` prints it.
        timeout: how long one try may wait for an answer to begin.
        session: for a proxy, or certificates of one's own.

    Raises:
        InvalidSettings: the address or the key is of another form.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        session: requests.Session | None = None,
    ) -> None:
        self._connection = Connection(url, key, timeout=timeout, session=session)
        #: The webhooks of the key's owner.
        self.webhooks = HttpWebhooks(self._connection)

    def submit(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Job:
        """Submit one job and return its record, without waiting for it to run.

        Options are those of `Producer.submit`, without `owner`. Files of this machine are uploaded first.

        Raises:
            InvalidJob: the request is invalid; names field or graph node. Nothing was submitted.
            KeyReused: the idempotency key belongs to another request.
            BacklogFull: the limit of waiting jobs is reached, or as OwnerBacklogFull that of its owner.
            AccessKeyNotValid, ScopeMissing, TooManyRequests: the key does not open this, or not so often.
            FleetUnreachable, StorageError: the API or Redis does not answer, or S3 for input files failed.
        """
        return self.submit_once(graph, **options).job

    def submit_once(self, graph: GraphLike, **options: Unpack[JobOptions]) -> Submitted:
        """Submit one job as `submit` does, and tell whether its idempotency key had made it before.

        That may have been a try of this very call, if its answer was lost.
        """
        body = encoded(job_body(graph, options, self._upload))
        answer = self._connection("POST", "/v1/jobs", data=body, headers=_JSON, is_safe=True)
        is_replay = options.get("idempotency_key") is not None and answer.status_code == 200  # noqa: PLR2004
        return Submitted(Job.model_validate(self._connection.parsed(answer)), is_replay)

    def upload(self, content: Path | bytes, *, name: str = "") -> Upload:
        """Store a file for jobs of the owner, which name it as `{"upload": ID}`; errors as of `Producer.upload`."""
        found = opened(content)
        if not isinstance(found, Path):
            return self._uploaded(found, name)
        with found.open("rb") as file:
            return self._uploaded(file, name or found.name)

    def get(self, job_id: str) -> Job:
        """Return one job; raises JobNotFound where there is none, or it is another owner's."""
        return Job.model_validate(self._connection.json("GET", _path(job_id)))

    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs in the given order, read one by one; errors as of `get`."""
        return [self.get(job_id) for job_id in job_ids]

    def jobs(
        self,
        filter: str | Filter = "",  # noqa: A002 - as it is called everywhere
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of the owner's jobs that answer a filter; all as of `Producer.jobs`."""
        text = filter.text if isinstance(filter, Filter) else filter
        query = {"filter": text, "limit": limit, **({"cursor": cursor} if cursor else {})}
        return JobPage.model_validate(self._connection.json("GET", "/v1/jobs", params=query))

    def wait(self, job_id: str, *, timeout: timedelta | None = None) -> Job:
        """Return the job once it has succeeded; errors as of `Producer.wait`."""
        for _ in self.stream(job_id, timeout=timeout):
            pass
        return succeeded(self.get(job_id), timeout)

    def stream(
        self, *job_ids: str, timeout: timedelta | None = None, after: str | None = None
    ) -> Iterator[JobEvent]:
        """Yield the events of some jobs as they happen, beginning with the present state of each.

        It ends when all jobs have ended. A lost connection is made anew, and goes on after the last event; where the
        fleet holds what came meanwhile no more, the present states are yielded again. At most 100 jobs.

        Args:
            timeout: end after this time, whatever the jobs' status.
            after: the id of the last event seen; the events since then are yielded first.

        Raises:
            JobNotFound: no such job, or its record has expired.
            FleetUnreachable: the API does not answer at the beginning.
        """
        wanted = [job_id_of(job_id) for job_id in job_ids]
        if not wanted:
            return
        source = EventSource(
            self._connection, _events_path(wanted), deadline=Deadline(timeout), after=after
        )
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

    def cancel(self, job_id: str) -> Cancelled:
        """Request that the job be cancelled, and return the outcome; raises JobNotFound."""
        return Cancelled(self._connection.json("POST", _path(job_id, "cancel"))["outcome"])

    def hold(self, job_id: str) -> Job:
        """Hold a job that waits for a node, until it is released; errors as of `Producer.hold`."""
        return Job.model_validate(self._connection.json("POST", _path(job_id, "hold")))

    def release(self, job_id: str) -> Job:
        """Release a held job, and return it; one that is not held is unchanged. Raises JobNotFound."""
        return Job.model_validate(self._connection.json("POST", _path(job_id, "release")))

    def retry(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit an ended job again as a new one; all as of `Producer.retry`."""
        wanted = {"tier": tier, "pin": pin, "secrets": mapping(secrets or {}, "secrets")}
        body = encoded({name: value for name, value in wanted.items() if value is not None})
        path = _path(job_id, "retry")
        # It is made once, however often it is asked for.
        told = self._connection.json("POST", path, data=body, headers=_JSON, is_safe=True)
        return Job.model_validate(told)

    def act(
        self,
        action: BulkAction | str,
        filter: str | Filter,  # noqa: A002 - as it is called everywhere
        *,
        cursor: str | None = None,
        dry_run: bool = False,
        reason: str = "",
    ) -> Acted:
        """Cancel, hold, release or retry the next 500 of the jobs that a filter means; as of `Producer.act`."""
        text = filter.text if isinstance(filter, Filter) else filter
        wanted = {"action": action, "filter": text, "dry_run": dry_run, "reason": reason}
        body = encoded({**wanted, **({"cursor": cursor} if cursor else {})})
        told = self._connection.json("POST", "/v1/actions", data=body, headers=_JSON)
        return Acted(told["matched"], told["done"], told.get("cursor"))

    def nodes(self) -> list[Node]:
        """Return every node that sent a beat within the last week; the key needs the scope `operate`."""
        told = self._connection.json("GET", "/v1/nodes")
        return [Node.model_validate(node) for node in told["nodes"]]

    def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _upload(self, content: Path | bytes, name: str) -> Upload:
        return self.upload(content, name=name)

    def _uploaded(self, content: bytes | IO[bytes], name: str) -> Upload:
        query = {"name": name} if name else {}
        told = self._connection.json(
            "POST",
            "/v1/uploads",
            params=query,
            data=content,
            headers=_BYTES,
            is_safe=isinstance(content, bytes),  # a file was read to its end
            timeout_s=_UPLOAD_S,
        )
        return Upload.model_validate(told)


def _path(job_id: str, *parts: str) -> str:
    return "/".join(["/v1/jobs", job_id_of(job_id), *parts])


def _events_path(jobs: list[JobId]) -> str:
    if len(jobs) == 1:
        return _path(jobs[0], "events")
    return f"/v1/events?topics={quote(','.join(f'job:{job}' for job in jobs))}"


def _job_events(events: Iterator[ServerEvent], *, shows_snapshots: bool) -> Iterator[JobEvent]:
    """Yield the events of jobs; without snapshots unless events are missing before them."""
    for event in events:
        shows_snapshots = shows_snapshots or event.name == "reset"
        if event.name in _JOB_EVENTS:
            told = JobEvent.model_validate_json(event.data)
            if shows_snapshots or told.type != "snapshot":
                yield told
