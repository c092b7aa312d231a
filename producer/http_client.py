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

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, Self, Unpack

import requests

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.filters.query import Filter
from producer.contract.graph.graph import GraphLike
from producer.contract.job_pages import JobPage
from producer.contract.jobs import Job
from producer.contract.outcomes import Submitted
from producer.contract.queues import Tier
from producer.contract.uploads import Upload
from producer.intake.request import JobOptions
from producer.over_http.action_methods import HttpActionMethods
from producer.over_http.answers import formed, job_page
from producer.over_http.artifact_methods import HttpArtifactMethods
from producer.over_http.batch_methods import HttpBatchMethods
from producer.over_http.bodies import job_body, mapping, opened
from producer.over_http.connection import Connection
from producer.over_http.dead_letters import HttpDeadLetters
from producer.over_http.event_reader import HttpEventReader
from producer.over_http.fleet_methods import HttpFleetMethods
from producer.over_http.templates import HttpTemplates
from producer.over_http.watch_methods import HttpWatchMethods, job_path
from producer.over_http.webhooks import HttpWebhooks

_BYTES: Final = {"Content-Type": "application/octet-stream"}
#: An upload is stored in S3 before it is answered, s.
_UPLOAD_S: Final = 120.0


class HttpProducer(
    HttpWatchMethods, HttpBatchMethods, HttpArtifactMethods, HttpFleetMethods, HttpActionMethods
):
    """The client of one fleet over its HTTP API, for threads. Connections open at the first call.

    What it hands in and sees is what the key's owner has. A call that may be repeated safely is tried three times:
    one that only reads, and one that hands something in, under an idempotency key of its own where none is given.

    Args:
        url: the API's address, as `https://fleet.example`; with `/v1` at its end it is the same.
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
        self._readers: dict[int, HttpEventReader] = {}
        #: The webhooks of the key's owner.
        self.webhooks = HttpWebhooks(self._connection)
        #: The dead letters of the fleet, for a key with the scope `admin`.
        self.dead_letters = HttpDeadLetters(self._connection)
        #: The templates of the key's owner: graphs by name.
        self.templates = HttpTemplates(self._connection)

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
        body = job_body(graph, options, self._upload)
        answer = self._connection("POST", "/v1/jobs", body=body, is_safe=True)
        is_replay = options.get("idempotency_key") is not None and answer.status_code == 200  # noqa: PLR2004
        return Submitted(formed(answer, Job.model_validate), is_replay)

    def upload(self, content: Path | bytes, *, name: str = "") -> Upload:
        """Store a file for jobs of the owner, which name it as `{"upload": ID}`; errors as of `Producer.upload`."""
        found = opened(content)
        if not isinstance(found, Path):
            return self._uploaded(found, name)
        with found.open("rb") as file:
            return self._uploaded(file, name or found.name)

    def jobs(
        self,
        filter: str | Filter = "",  # noqa: A002 - as it is called everywhere
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of the owner's jobs that answer a filter; all as of `Producer.jobs`."""
        text = filter.readable if isinstance(filter, Filter) else filter
        query = {"filter": text, "limit": limit, **({"cursor": cursor} if cursor else {})}
        return self._connection.read(job_page, "GET", "/v1/jobs", params=query)

    def cancel(self, job_id: str) -> Cancelled:
        """Request that the job be cancelled, and return the outcome; raises JobNotFound."""
        path = job_path(job_id, "cancel")
        return self._connection.read(lambda told: Cancelled(told["outcome"]), "POST", path)

    def hold(self, job_id: str) -> Job:
        """Hold a job that waits for a node, until it is released; errors as of `Producer.hold`."""
        return self._connection.read(Job.model_validate, "POST", job_path(job_id, "hold"))

    def release(self, job_id: str) -> Job:
        """Release a held job, and return it; one that is not held is unchanged. Raises JobNotFound."""
        return self._connection.read(Job.model_validate, "POST", job_path(job_id, "release"))

    def retry(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit an ended job again as a new one; all as of `Producer.retry`."""
        return self.retry_once(job_id, tier=tier, pin=pin, secrets=secrets).job

    def retry_once(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Submitted:
        """Submit an ended job again, and tell whether that was done before; all as of `Producer.retry_once`."""
        wanted = {"tier": tier, "pin": pin, "secrets": mapping(secrets or {}, "secrets")}
        body = {name: value for name, value in wanted.items() if value is not None}
        # It is made once, however often it is asked for.
        answer = self._connection("POST", job_path(job_id, "retry"), body=body, is_safe=True)
        return Submitted(formed(answer, Job.model_validate), answer.status_code == 200)  # noqa: PLR2004

    def close(self) -> None:
        """Close all connections; they are opened again at the next use. Watches hear nothing more."""
        for reader in self._readers.values():
            reader.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _upload(self, content: Path | bytes, name: str) -> Upload:
        return self.upload(content, name=name)

    def _uploaded(self, content: bytes | IO[bytes], name: str) -> Upload:
        query = {"name": name} if name else {}
        return self._connection.read(
            Upload.model_validate,
            "POST",
            "/v1/uploads",
            params=query,
            data=content,
            headers=_BYTES,
            is_safe=isinstance(content, bytes),  # a file was read to its end
            timeout_s=_UPLOAD_S,
        )
