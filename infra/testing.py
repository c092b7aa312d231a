"""A fleet for a backend's tests: real records and a real store, and you say what becomes of each job.

    from infra.testing import running_fleet

    with running_fleet() as fleet:
        job = fleet.producer.submit(graph)          # as the backend does
        fleet.finish(job)                           # as a node would
        assert fleet.producer.wait(job.id).artifacts

Redis and S3 are the embedded ones, on free ports; there is no node, no worker and no GPU. Needs the extra `local`;
`fleet.http` needs `api` as well. For tests in which something renders, see `infra.local.stack.LocalStack`.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from infra.local.stack import LocalStack, Options
from infra.standin.painter import paint
from producer.client import Producer
from producer.contract.access import Scope
from producer.contract.causes import Cause
from producer.contract.config.settings import Settings, load_settings
from producer.contract.errors import InvalidJob
from producer.contract.ids import prompt_id
from producer.contract.jobs import Artifact, Job, JobError, JobStatus, Phase, Progress
from producer.contract.manifests import manifest_of
from producer.http_client import HttpProducer
from producer.storage.object_keys import artifact_key, manifest_key
from producer.storage.object_store import ObjectStore
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.batch_feeds import BatchFeeds
from producer.store.connection import connect
from producer.store.job_store import JobStore
from producer.upkeep.batch_feeder import Feeder

#: The node that the records name.
NODE: Final = "test-node"
_WORKER: Final = f"{NODE}:tests"
#: Longer than any test: a lease that runs out would be ended by nobody here.
_LEASE: Final = timedelta(hours=1)
_SIZE: Final = (64, 64)
_PNG: Final = "image/png"


@contextmanager
def running_fleet(directory: Path | None = None) -> Iterator[FleetForTests]:
    """Have Redis and an S3 store as long as the block, and what leads jobs by hand.

    Args:
        directory: for data and logs; a temporary one, which is removed, by default.

    Raises:
        BinaryNotFound, ServiceFailed: a server is not installed, or does not start.
    """
    with ExitStack() as exits:
        place = directory or Path(exits.enter_context(tempfile.TemporaryDirectory()))
        options = Options(state_dir=place, standin_nodes=0, workers=False, is_throwaway=True)
        stack = exits.enter_context(LocalStack(options))
        fleet = FleetForTests(stack)
        exits.callback(fleet.close)
        yield fleet


class FleetForTests:
    """A fleet whose jobs a test leads: started, failed or finished by a call, and by nothing else."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._exits = ExitStack()
        #: For `load_settings(**fleet.settings)`, or `Producer.from_env(**fleet.settings)`.
        self.settings = stack.settings
        #: For the environment of a backend in a process of its own. It names all, so that nothing which that of whoever
        #: runs the tests says of another fleet takes precedence.
        self.environment = {
            **stack.settings_env,
            **{f"COMFYFLEET_{name.upper()}": value for name, value in stack.settings.items()},
        }
        loaded = load_settings(**stack.settings)
        #: The library, as a backend has it.
        self.producer = Producer(loaded)
        self._settings: Settings = loaded
        self._redis = connect(loaded)
        keep = timedelta(seconds=loaded.keep_ended_s)
        self._jobs = JobStore(self._redis, keep_ended=keep)
        self._feeds = BatchFeeds(self._redis, keep_ended=keep, lease=_LEASE)
        self._objects = ObjectStore(loaded)

    @cached_property
    def api_url(self) -> str:
        """The address of the HTTP API, which is started when it is first asked for."""
        from infra.testing_api import running_api  # noqa: PLC0415 - who tests without HTTP needs no `api`

        return self._exits.enter_context(running_api(self._settings))

    def key(self, owner: str = "tests", scopes: Sequence[Scope | str] = tuple(Scope)) -> str:
        """Return a new access key of the HTTP API; it allows everything by default."""
        number = len(self.producer.keys.list()) + 1
        return self.producer.keys.create(f"test-{number}", owner=owner, scopes=scopes).secret

    @cached_property
    def http(self) -> HttpProducer:
        """A client of the HTTP API, with a key of the owner `tests`."""
        return self._exits.enter_context(HttpProducer(self.api_url, self.key()))

    def start(self, job: Job | str) -> Job:
        """Have a node begin a job, and return it: it runs, and renders.

        Raises:
            InvalidJob: it does not wait.
        """
        found = self._fed(job)
        claimed = None
        if found.status is JobStatus.QUEUED:
            claimed = self._jobs.claim(
                found.id,
                attempt=found.attempt,
                node=NODE,
                worker=_WORKER,
                lease=_LEASE,
                prompt_id=prompt_id(found.id, found.attempt),
            )
        if claimed is None:
            raise InvalidJob(
                f"job {found.id} is {found.status}; only a queued one can begin", field="job"
            )
        self._jobs.note(_hold(claimed), phase=Phase.RENDERING)
        return self.producer.get(found.id)

    def progress(self, job: Job | str, percent: float) -> Job:
        """Have a running job tell how far its render is, 0 to 100; start it where it waits."""
        running = self._running(job)
        told = Progress(graph_node="3", value=percent, max=100, share=percent / 100)
        self._jobs.note(_hold(running), progress=told)
        return self.producer.get(running.id)

    def finish(
        self,
        job: Job | str,
        *,
        pictures: int | Sequence[bytes] = 1,
        values: Mapping[str, Any] | None = None,
    ) -> Job:
        """Have a job succeed, its pictures stored, and return it. One that waits is started first.

        Args:
            pictures: how many, each painted from the job's params; or the bytes of PNG files.
            values: what its graph nodes returned beside files, by their ids.

        Raises:
            InvalidJob: it is held, or has ended.
        """
        running = self._running(job)
        contents = _painted(running, pictures) if isinstance(pictures, int) else pictures
        artifacts = [self._stored(running, number, made) for number, made in enumerate(contents)]
        prefix = self._settings.s3_prefix
        manifest = manifest_of(running, artifacts=artifacts, values=values or {}, notes=())
        key = manifest_key(prefix, job_id=running.id, attempt=running.attempt)
        self._objects.put_json(key, manifest)
        self._jobs.commit(_hold(running), artifacts=artifacts, values=values or {})
        return self.producer.get(running.id)

    def fail(
        self,
        job: Job | str,
        cause: Cause | str = Cause.EXECUTION_ERROR,
        *,
        message: str = "the test wants it so",
        advice: str | None = None,
    ) -> Job:
        """Have a job fail for good, and return it. One that waits is started first.

        Raises:
            InvalidJob: it is held, or has ended; or there is no such cause.
        """
        if cause not in list(Cause):
            known = ", ".join(Cause)
            raise InvalidJob(f"there is no cause {cause!r}; causes are {known}", field="cause")
        running = self._running(job)
        error = JobError(cause=str(cause), message=message, node=NODE, advice=advice)
        self._jobs.fail(_hold(running), error, charged=True, dead=False)
        return self.producer.get(running.id)

    def pictures(self, job: Job | str) -> list[bytes]:
        """Return the contents of a job's artifacts, as the store has them."""
        found = self.producer.get(_id(job))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "artifact"
            contents = []
            for artifact in found.artifacts:
                self.producer.fetch(artifact, path)
                contents.append(path.read_bytes())
        return contents

    def clear(self) -> None:
        """Forget all but access keys, as between two tests: jobs, batches, webhooks. Objects stay in the store."""
        found = [key for key in self._redis.scan_iter(count=1_000) if key != keys.ACCESS_KEYS]
        if found:
            self._redis.unlink(*found)

    def close(self) -> None:
        """Close all connections, and end the API if it was started."""
        self._exits.close()
        self.producer.close()
        self._objects.close()
        self._redis.close()

    def _running(self, job: Job | str) -> Job:
        found = self.producer.get(_id(job))
        return found if found.status is JobStatus.RUNNING else self.start(found)

    def _fed(self, job: Job | str) -> Job:
        """Return a job; a row of a batch is moved to the queue first, as upkeep would do."""
        found = self.producer.get(_id(job))
        if found.batch and not found.done and found.queued_at is None:
            Feeder(self._feeds, wake=lambda _: None, resend=lambda _: None).feed()
            found = self.producer.get(found.id)
        return found

    def _stored(self, job: Job, number: int, content: bytes) -> Artifact:
        digest = hashlib.sha256(content).hexdigest()
        artifact = Artifact(
            key=artifact_key(
                self._settings.s3_prefix,
                job_id=job.id,
                attempt=job.attempt,
                graph_node="9",
                index=number,
                extension=".png",
            ),
            graph_node="9",
            index=number,
            kind="images",
            type="output",
            name=f"picture_{number + 1:05}_.png",
            media_type=_PNG,
            bytes=len(content),
            sha256=digest,
            width=_SIZE[0],
            height=_SIZE[1],
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._objects.put_file(
                Path(file.name),
                key=artifact.key,
                sha256=digest,
                media_type=_PNG,
                metadata=job.metadata,
                download_name=artifact.name,
            )
        return artifact


def _painted(job: Job, count: int) -> list[bytes]:
    pictures = []
    for number in range(count):
        file = io.BytesIO()
        paint(*_SIZE, {"job": job.id, "number": number}).save(file, "PNG")
        pictures.append(file.getvalue())
    return pictures


def _hold(job: Job) -> Hold:
    return Hold(job.id, job.attempt, _WORKER)


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
