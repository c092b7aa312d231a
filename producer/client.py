"""Client library for a web backend: submit jobs, follow them, fetch their artifacts.

    from producer.client import Producer

    fleet = Producer.from_env()
    job = fleet.submit(graph, params={"6.text": "a red fox", "3.seed": 7})
    job = fleet.wait(job.id, timeout=timedelta(minutes=2))
    url = fleet.url(job.artifacts[0])

A Producer is thread-safe. producer.aio has the same for asyncio.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from producer.access_keys import AccessKeys
from producer.batch.methods import BatchMethods
from producer.bulk_methods import BulkMethods
from producer.celery_app import celery_app
from producer.contract.arguments import checked, job_id_of
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.config.settings import Settings, load_settings
from producer.contract.deliver import Deliver
from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import GraphLike
from producer.contract.jobs import Artifact, Job, JobStatus
from producer.contract.queues import Tier
from producer.contract.uploads import Upload
from producer.dispatch import Dispatch
from producer.events.methods import WatchMethods
from producer.intake.admission import Intake
from producer.intake.files import InputLike
from producer.intake.input_policy import InputPolicy
from producer.intake.named_inputs import NamedInputs
from producer.intake.request import Request
from producer.intake.uploading import Uploading
from producer.long_waits import LongWaits
from producer.nodes.pool_methods import PoolMethods
from producer.retry_methods import RetryMethods
from producer.storage.batch_results import BatchResults
from producer.storage.object_store import LONGEST_URL
from producer.store.access_keys import AccessKeyRecords
from producer.store.actions import Actions
from producer.store.batch_store import BatchStore
from producer.store.begun_batches import BegunBatches
from producer.store.connection import connect
from producer.store.dead_letters import DeadLetterIndex
from producer.store.events import EventStream
from producer.store.job_store import JobStore
from producer.store.node_seconds import NodeSeconds
from producer.store.node_store import NodeStore
from producer.store.previews import Previews
from producer.store.retries import Retries
from producer.store.template_store import TemplateStore
from producer.store.uploads import Uploads
from producer.submit_methods import SubmitMethods
from producer.template_methods import Templates
from producer.webhooks.methods import Webhooks

_SHORTEST_URL: Final = timedelta(seconds=1)


class Producer(
    SubmitMethods,
    WatchMethods,
    RetryMethods,
    BatchMethods,
    BulkMethods,
    PoolMethods,
    LongWaits,
):
    """The client of one fleet, for threads: submits, follows and fetches jobs. Connections open at the first call."""

    def __init__(self, settings: Settings, *, input_policy: InputPolicy | None = None) -> None:
        self.settings = settings
        # A web request should fail soon if Redis hangs.
        self._redis = connect(settings, timeout_s=2)
        keep_ended, most = timedelta(seconds=settings.keep_ended_s), settings.max_queued
        self._jobs = JobStore(self._redis, keep_ended=keep_ended, most_waiting=most)
        self._batches = BatchStore(self._redis, keep_ended=keep_ended, most_waiting=most)
        self._begun = BegunBatches(self._redis)
        self._nodes = NodeStore(self._redis, lease=timedelta(seconds=settings.lease_s))
        self._node_seconds = NodeSeconds(self._redis)
        self._objects = BatchResults(settings)
        nodes, objects = self._nodes, self._objects
        named = NamedInputs(settings, self._redis, jobs=self._jobs, objects=objects)
        store = TemplateStore(self._redis)
        self._actions = Actions(self._redis)
        self._intake = Intake(
            settings,
            nodes=nodes,
            objects=objects,
            named=named,
            templates=store,
            policy=input_policy,
        )
        self._uploading = Uploading(settings, objects, Uploads(self._redis))
        self._events = EventStream(self._redis)
        self._previews = Previews(self._redis)
        self._retries = Retries(self._redis)
        self._dead_index = DeadLetterIndex(self._redis)
        self._dispatch = Dispatch(settings)
        self.keys = AccessKeys(AccessKeyRecords(self._redis), self._actions)
        #: The webhooks of the fleet; see `producer.webhooks.methods.Webhooks`.
        self.webhooks = Webhooks(settings, self._redis, self._actions)
        #: Graphs by name; see `producer.template_methods.Templates`.
        self.templates = Templates(self._intake, store, self._actions)

    @classmethod
    def from_env(cls, *, input_policy: InputPolicy | None = None, **overrides: Any) -> Self:
        """Return a producer with the settings of the environment or the settings file.

        It loads Celery now (0.6 s), so that a backend's first request does not wait for it.

        Args:
            overrides: settings by their name in `Settings`; they take precedence.

        Raises:
            InvalidSettings: some are missing or invalid.
        """
        celery_app().finalize()
        return cls(load_settings(**overrides), input_policy=input_policy)

    def submit(
        self,
        graph: GraphLike,
        *,
        params: Mapping[str, Any] | None = None,
        inputs: Mapping[str, InputLike] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        pool: str = "default",
        tier: Tier | str = Tier.DEFAULT,
        pin: str | None = None,
        metadata: Mapping[str, str] | None = None,
        owner: str = "",
        hook: str = "",
        deliver: Mapping[str, Any] | Deliver | None = None,
        idempotency_key: str | None = None,
        start_within: timedelta | None = None,
        run_within: timedelta | None = None,
    ) -> Job:
        """Submit one job and return its record, without waiting for it to run.

        Args:
            graph: ComfyUI's API format, bare or in an envelope, a picture that ComfyUI saved, or as
                `NamedGraph` the name of a template of the owner's.
            params: values by address: `6.text`, `Positive Prompt.text` or `KSampler.seed`.
            inputs: files by address; see `InputLike`.
            extra_data: posted to ComfyUI beside the graph, as `extra_pnginfo`, and secrets, which are
                never shown again, as `api_key_comfy_org`; overrides that of the graph's envelope.
            pool: the nodes that may run it.
            tier: its urgency: `rush`, `default`, `batch` or `idle`.
            pin: the one node that may run it.
            metadata: texts by name, kept with the job and its artifacts.
            owner: for whom it is submitted; idempotency keys are separate for each owner.
            hook: the name of the webhook that is told of its end.
            deliver: where copies of its artifacts are put, and in which form: a `Deliver`, or a mapping as
                `{"to": "s3://shop/{owner}/{job}-{n}{ext}", "metadata": "strip"}`.
            idempotency_key: the same key again, for the same owner, returns the same job.
            start_within: the job expires if no node has started it within this time.
            run_within: an attempt that takes longer is stopped, and the job fails.

        Raises:
            InvalidJob: the request is invalid; names field or graph node. Nothing was submitted.
            KeyReused: the idempotency key belongs to another request.
            BacklogFull: the limit of waiting jobs is reached, or as OwnerBacklogFull that of its owner.
            FleetUnreachable, StorageError: Redis, or S3 for input files, failed.
        """
        request = Request(
            graph=graph,
            params=params or {},
            inputs=inputs or {},
            extra_data=extra_data or {},
            pool=pool,
            tier=tier,
            pin=pin,
            metadata=metadata or {},
            owner=owner,
            hook=hook,
            deliver=deliver,
            idempotency_key=idempotency_key,
            start_within=start_within,
            run_within=run_within,
        )
        return self._submit(request).job

    def upload(self, content: Path | bytes, *, owner: str = "", name: str = "") -> Upload:
        """Store a file for jobs of an owner, which name it as `{"upload": ID}`; return what it is called.

        The same content again is the same upload. It is remembered for 30 days after it was last named.

        Args:
            content: its bytes, or a path on this machine.
            name: as the owner calls it; its suffix is kept at the node.

        Raises:
            InvalidInput: it is empty, too large, or a picture of too many pixels.
            StorageError: S3 failed.
        """
        return self._uploading.upload(content, owner=owner, name=name)

    def cancel(self, job_id: str) -> Cancelled:
        """Request that the job be cancelled, and return the outcome.

        Raises:
            JobNotFound: no such job.
        """
        return self._jobs.cancel(job_id_of(job_id))

    def hold(self, job_id: str) -> Job:
        """Hold a job that waits for a node, until it is released; return it.

        Raises:
            JobNotFound: no such job.
            InvalidJob: it does not wait, or is a row that its batch has not fed to the queue yet.
        """
        wanted = job_id_of(job_id)
        [status] = self._jobs.hold([wanted])
        job = self.get(wanted)
        if status != JobStatus.HELD:
            raise _not_held(job)
        return job

    def release(self, job_id: str) -> Job:
        """Release a held job, and return it; one that is not held is unchanged.

        Raises:
            JobNotFound: no such job.
        """
        wanted = job_id_of(job_id)
        self._wake_all(self._jobs.release([wanted]))
        return self.get(wanted)

    def url(self, artifact: Artifact, *, expires: timedelta = timedelta(hours=1)) -> str:
        """Return a presigned URL, by which anybody can fetch the artifact until it *expires*.

        Raises:
            InvalidJob: *expires* is below a second or above 7 days.
        """
        stored = checked(artifact, Artifact, field="artifact")
        if not _SHORTEST_URL <= checked(expires, timedelta, field="expires") <= LONGEST_URL:
            raise InvalidJob(
                f"a URL is valid for 1 s to 7 days, not for {expires}", field="expires"
            )
        return self._objects.presigned_url(stored.key, expires=expires, download_name=stored.name)

    def fetch(self, artifact: Artifact, path: Path) -> None:
        """Copy an artifact into a file, and check its SHA-256.

        Raises:
            StorageError: it cannot be fetched, or its SHA-256 differs from the record's.
        """
        stored = checked(artifact, Artifact, field="artifact")
        self._objects.fetch(stored.key, Path(path), sha256=stored.sha256)

    def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        self._redis.close()
        self._dispatch.close()
        self._objects.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _not_held(job: Job) -> InvalidJob:
    if job.waiting_for == "its_turn":
        return InvalidJob(
            f"job {job.id} is a row of a batch that has not reached the queue yet",
            field="job",
            advice=f"comfyfleet batch hold {job.batch} keeps all of them back",
        )
    return InvalidJob(f"job {job.id} is {job.status}; only one that waits can be held", field="job")
