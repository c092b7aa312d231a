"""Jobs whose lives a test leads by hand: submitted by the library, moved by the store, no worker."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis import Redis

from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.contract.ids import prompt_id
from producer.contract.jobs import Artifact, InputFile, Job, JobError, JobStatus
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.storage.object_keys import artifact_key, manifest_key
from producer.store.attempts import Hold
from producer.store.job_store import JobStore
from tests.graphs import sleeping

WORKER = "gpu-01:test"
LEASE = timedelta(seconds=15)


class HandLed:
    """The library, and the hand that does what workers would.

    Args:
        redis: of the settings.
        s3: a boto3 client; needed by jobs that succeed.
    """

    def __init__(self, settings: Settings, redis: Redis, *, s3: Any = None) -> None:
        self.settings = settings
        self.fleet = Producer(settings)
        self.redis = redis
        self.store = JobStore(self.redis, keep_ended=timedelta(seconds=settings.keep_ended_s))
        self.s3 = s3

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command in another process, with the address of Redis alone."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("comfyfleet")), *args],
            env={"COMFYFLEET_REDIS_URL": self.settings.redis_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done

    def queued(self, **options) -> Job:
        return self.fleet.submit(sleeping(), **options)

    def of_batch(self, batch: str | None, *, status=JobStatus.QUEUED) -> Job:
        """Make a job of a batch, with all that a submission can have."""
        submission = Submission(
            template="0" * 64,
            needs=Needs.of("video", models=["wan.safetensors"]),
            start_within=timedelta(hours=2),
            run_within=timedelta(minutes=7),
            params={"6.text": "a fox"},
            inputs={"34.image": InputFile(source="inputs/1", name="me.png")},
            metadata={"order": "7"},
            tier=Tier.BATCH,
            owner="somebody",
            idempotency_key=str(uuid.uuid4()),
            batch=batch,
        )
        self.store.add(submission, graph=b"{}", status=status)
        return self.fleet.get(submission.id)

    def running(self, job=None, *, node="gpu-01") -> Job:
        job = job or self.queued()
        claimed = self.store.claim(
            job.id,
            attempt=job.attempt,
            node=node,
            worker=WORKER,
            lease=LEASE,
            prompt_id=prompt_id(job.id, job.attempt),
        )
        assert claimed
        return claimed

    def delayed(self, *, delay=timedelta(minutes=1)) -> Job:
        job = self.running()
        error = JobError(cause="node_fault", message="the node went away", node="gpu-01")
        self.store.requeue(
            job.id, attempt=1, worker=WORKER, error=error, charged=False, delay=delay
        )
        return self.fleet.get(job.id)

    def failed(self, job=None, *, cause="execution_error", dead=True) -> Job:
        job = self.running(job)
        error = JobError(cause=cause, message="no such colour", graph_node="2", node="gpu-01")
        self.store.fail(hold(job), error, charged=True, dead=dead)
        return self.fleet.get(job.id)

    def cancelled(self, job=None) -> Job:
        job = job or self.queued()
        self.fleet.cancel(job.id)
        return self.fleet.get(job.id)

    def succeeded(self, job=None, *, contents=(b"a picture",)) -> Job:
        job = self.running(job)
        artifacts = [self._stored(job, number, content) for number, content in enumerate(contents)]
        listed = [artifact.model_dump(exclude_none=True) for artifact in artifacts]
        self.put(self.manifest_key(job), json.dumps({"artifacts": listed}).encode())
        self.store.commit(hold(job), artifacts=artifacts, values={})
        return self.fleet.get(job.id)

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=self.settings.s3_bucket, Key=key, Body=content)

    def stored_keys(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=self.settings.s3_bucket).get("Contents", ())
        return {entry["Key"] for entry in found}

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.settings.s3_bucket, Key=key)

    def manifest_key(self, job) -> str:
        return manifest_key(self.settings.s3_prefix, job_id=job.id, attempt=job.attempt)

    def artifact_key(self, job, number=0, *, attempt=None) -> str:
        return artifact_key(
            self.settings.s3_prefix,
            job_id=job.id,
            attempt=attempt or job.attempt,
            graph_node="3",
            index=number,
            extension=".png",
        )

    def _stored(self, job, number, content) -> Artifact:
        artifact = self.artifact(job, number, content)
        self.put(artifact.key, content)
        return artifact

    def artifact(self, job, number, content) -> Artifact:
        """Return what a record says of a file, which nobody has stored."""
        return Artifact(
            key=self.artifact_key(job, number),
            graph_node="3",
            index=number,
            kind="images",
            type="output",
            name="slept_00001_.png",
            media_type="image/png",
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )


def hold(job) -> Hold:
    """Return the right to write that `running` gave."""
    return Hold(job.id, job.attempt, WORKER)
