"""The manifest beside the last file, and what jobs share: stored once, true, and believed by nobody before the commit."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.checking.verify import Verifier
from producer.contract.errors import StorageRefused
from producer.contract.graph.graph import stored_graph
from producer.contract.jobs import JobError, JobStatus
from producer.contract.manifests import job_of_manifest
from producer.contract.params.params import set_params
from producer.storage.object_store import ObjectStore
from tests.graphs import sleeping
from tests.integration.checks import check
from tests.integration.delivery_rig import NODE, Rig, pictures, rigs
from worker.attempt.shutdown import Stopping


@pytest.fixture
def rig(led_with_s3, tmp_path) -> Iterator[Callable[..., Rig]]:
    with rigs(led_with_s3, tmp_path) as make:
        yield make


class CountingStore(ObjectStore):
    """Notes which JSON is put, and may refuse some of it."""

    def __init__(self, settings, *, refuses: str = "") -> None:
        super().__init__(settings)
        self.refuses, self.put = refuses, []

    def put_json_text(self, key, body) -> None:
        self.put.append(key)
        if self.refuses and self.refuses in key:
            raise StorageRefused(f"{key} is refused")
        super().put_json_text(key, body)


def counted(rig: Rig, **options) -> CountingStore:
    """Have what the rig stores as JSON counted."""
    objects = CountingStore(rig.led.settings, **options)
    rig.delivery.contents._objects = objects
    return objects


def test_a_manifest_holds_all_that_the_job_can_be_made_from_again(rig):
    rig = rig()
    extra = {"extra_pnginfo": {"workflow": {"nodes": []}}, "api_key_comfy_org": "comfyui-secret"}
    job = rig.led.queued(
        params={"2.seconds": 0.25},
        metadata={"order": "7"},
        owner="shop",
        tier="rush",
        idempotency_key="order-7",
        extra_data=extra,
        run_within=timedelta(minutes=7),
    )
    rig.take(job)
    rig.deliver(rig.made(*pictures(2)))

    ended, manifest = rig.led.fleet.get(job.id), rig.manifest()
    told = {
        "version": 2,
        "job": job.id,
        "attempt": 1,
        "template": job.template,
        "shape": job.shape,
        "params": job.set_values,
        "own": ["2.seconds"],
        "metadata": {"order": "7"},
        "owner": "shop",
        "tier": "rush",
        "pool": job.pool,
        "queue": job.queue,
        "idempotency_key": "order-7",
        "extra_data": job.extra_data,
        "secrets": ["api_key_comfy_org"],
        "run_within_s": 420.0,
        "node": NODE,
        "device": "cuda:0 RTX",
        "comfyui_version": "0.33.0",
        "prompt_id": str(ended.prompt_id),
        "artifacts": [artifact.model_dump(exclude_none=True) for artifact in ended.artifacts],
    }
    assert told.items() <= manifest.items()
    assert job_of_manifest(manifest, stored_at=ended.ended_at) == ended
    assert {"queued", "preparing", "fetching"} <= manifest["timings"].keys()
    assert "comfyui-secret" not in json.dumps(manifest)
    assert manifest.keys().isdisjoint({"status", "done", "cancel_requested"})
    prefix = rig.led.settings.s3_prefix
    assert rig.objects.get_json(f"{prefix}/extra_data/{job.extra_data}.json") == {
        "extra_pnginfo": extra["extra_pnginfo"]
    }


def test_a_template_is_stored_once_however_many_jobs_have_it(rig):
    rig = rig()
    objects, graph = counted(rig), sleeping()
    for _ in range(2):
        rig.take(rig.led.fleet.submit(graph))
        rig.deliver(rig.made(*pictures(1)))

    [key] = objects.put
    assert key == f"{rig.led.settings.s3_prefix}/templates/{rig.job.template}.json"
    stored = rig.led.s3.get_object(Bucket=rig.led.settings.s3_bucket, Key=key)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == rig.job.template
    assert set_params(stored_graph(stored), rig.job.set_values) == graph


def test_a_bucket_that_refuses_templates_costs_no_job_and_is_not_asked_again_at_once(rig):
    rig = rig()
    objects = counted(rig, refuses="/templates/")
    rig.deliver(rig.made(*pictures(1)))
    rig.take(rig.led.queued())
    rig.deliver(rig.made(*pictures(1)))

    assert rig.led.fleet.get(rig.job.id).status is JobStatus.SUCCEEDED
    assert len(objects.put) == 1
    assert rig.manifest()["template"] == rig.job.template


# --- the manifest, beside the last file


class ManifestFirst(ObjectStore):
    """Takes a file only once the manifest is there, and then perhaps not at all.

    Args:
        files: how many files are taken before it must be there.
    """

    def __init__(self, settings, *, files: int = 0, then: Exception | None = None) -> None:
        super().__init__(settings)
        self.then = then
        self._files = files
        self._manifest = threading.Event()

    def put_json(self, key, value) -> None:
        super().put_json(key, value)
        self._manifest.set()

    def put_file(self, path, **about) -> None:
        if self._files:
            self._files -= 1
        else:
            assert self._manifest.wait(10), "the manifest waits for its files"
            if self.then:
                raise self.then
        super().put_file(path, **about)


def flaws(rig: Rig) -> list:
    with Verifier(rig.led.settings) as verifier:
        return list(verifier.flaws(verifier.succeeded()))


def test_the_manifest_is_sent_beside_the_last_file(rig):
    rig = rig()
    rig.delivery = replace(rig.delivery, objects=ManifestFirst(rig.led.settings, files=2))
    rig.deliver(rig.made(*pictures(3)))

    ended = rig.led.fleet.get(rig.job.id)
    assert ended.status is JobStatus.SUCCEEDED
    assert [entry["key"] for entry in rig.manifest()["artifacts"]] == [
        artifact.key for artifact in ended.artifacts
    ]


def test_what_made_values_alone_has_a_manifest_all_the_same(rig):
    rig = rig()
    rig.deliver(())
    assert rig.led.fleet.get(rig.job.id).status is JobStatus.SUCCEEDED
    assert rig.manifest()["artifacts"] == []


def test_a_manifest_whose_file_was_refused_makes_nobody_believe_in_the_file(rig):
    rig = rig()
    refusing = ManifestFirst(rig.led.settings, then=StorageRefused("too large for this store"))
    whole = rig.delivery
    rig.delivery = replace(whole, objects=refusing)
    with pytest.raises(StorageRefused, match="too large"):
        rig.deliver(rig.made(*pictures(1)))

    first = rig.led.manifest_key(rig.job)
    assert rig.led.fleet.get(rig.job.id).status is JobStatus.RUNNING
    assert first in rig.led.stored_keys()
    assert check(rig.led, objects=True) == []

    error = JobError(cause="storage_refused", message="too large", node=NODE)
    rig.led.store.requeue(
        rig.job.id, attempt=1, worker=rig.lease.hold.worker, error=error, charged=False,
        delay=timedelta(0),
    )  # fmt: skip
    rig.delivery = whole
    rig.take(rig.led.fleet.get(rig.job.id))
    rig.deliver(rig.made(*pictures(1)))

    assert rig.job.attempt == 2
    assert flaws(rig) == []
    [orphan] = check(rig.led, objects=True, orphan_age=timedelta(0), repair=True)
    assert (orphan.kind, orphan.about, orphan.mended) == (Kind.ORPHAN_OBJECT, first, True)
    assert check(rig.led, objects=True) == []


def test_who_takes_back_an_attempt_with_a_manifest_and_no_file_stores_the_file(rig):
    rig = rig()
    leaving = ManifestFirst(rig.led.settings, then=Stopping())
    whole = rig.delivery
    rig.delivery = replace(whole, objects=leaving)
    outputs = rig.made(*pictures(2))
    with pytest.raises(Stopping):
        rig.deliver(outputs)
    assert rig.led.manifest_key(rig.job) in rig.led.stored_keys()
    assert rig.led.fleet.get(rig.job.id).status is JobStatus.RUNNING

    rig.delivery = whole
    rig.deliver(outputs)
    assert rig.led.fleet.get(rig.job.id).status is JobStatus.SUCCEEDED
    assert flaws(rig) == []
    assert check(rig.led, objects=True) == []
