"""The worker's own delivery, from a stand-in node into a real store, for jobs led by hand."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from producer.checking.findings import Kind
from producer.checking.verify import Verifier
from producer.contract.errors import StorageRefused
from producer.contract.graph.graph import stored_graph
from producer.contract.jobs import JobError, JobStatus
from producer.contract.manifests import job_of_manifest
from producer.contract.params.params import set_params
from producer.storage.object_store import ObjectStore
from tests.graphs import picture, sleeping
from tests.integration.checks import check
from tests.integration.hand_led import HandLed, hold
from tests.media_samples import noise, saved
from worker.attempt.delivery import Delivery
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.outages import Outages
from worker.attempt.shared_contents import SharedContents
from worker.attempt.shutdown import Shutdown, Stopping
from worker.attempt.templates import Templates
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, Outcome, OutputFile
from worker.errors import NodeTimeout, OutputDamaged
from worker.node.registration import NodeFacts
from worker.node.storage_breaker import StorageBreaker

NODE = "gpu-01"


class Rig:
    """One node's folder, and what a worker has to deliver from it."""

    def __init__(self, led: HandLed, url: str, output: Path, spool: Path) -> None:
        objects = ObjectStore(led.settings)
        outages = Outages(StorageBreaker(objects), Shutdown(NODE), on_damage=lambda: None)
        prefix = led.settings.s3_prefix
        self.objects = objects
        self.led, self.output, self.spool = led, output, spool
        self.url = url
        self.comfyui = ComfyUI(url, node=NODE)
        self.delivery = Delivery(
            node=NODE,
            prefix=prefix,
            comfyui=self.comfyui,
            objects=objects,
            store=led.store,
            outages=outages,
            contents=SharedContents(
                objects, led.store, Templates(led.store), outages, prefix=prefix
            ),
            handed_in=lambda _: sleeping(),
            node_facts=lambda: NodeFacts(device="cuda:0 RTX", comfyui_version="0.33.0"),
        )
        self.take(led.queued())

    def take(self, job) -> None:
        """Have the worker hold this job from now on."""
        self.job = self.led.running(job, node=NODE)
        self.lease = Lease(hold(self.job))
        self.folder = f"comfyfleet/{self.job.id}-1"

    def made(self, *contents: bytes, subfolder: str | None = None) -> tuple[OutputFile, ...]:
        """Write files as a prompt of the job would, and return how the history names them."""
        folder = self.folder if subfolder is None else subfolder
        (self.output / folder).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (self.output / folder / f"{number}.png").write_bytes(content)
        return tuple(
            OutputFile("3", "images", number, f"{number}.png", folder, "output")
            for number in range(len(contents))
        )

    def deliver(self, outputs: tuple[OutputFile, ...]) -> None:
        entry = HistoryEntry(
            prompt_id=str(self.job.prompt_id),
            outcome=Outcome.SUCCEEDED,
            error=None,
            cached=frozenset(),
            duration_s=None,
            outputs=outputs,
            values={},
            left_out=(),
        )
        self.spool.mkdir(exist_ok=True)
        self.delivery.deliver(self.job, sleeping(), entry, self.lease, self.spool)

    def faulty(self, rule: dict) -> None:
        """Have the node do something wrong, as `infra/standin/faults.py` lists it."""
        requests.post(f"{self.url}/standin/faults", json=rule, timeout=5).raise_for_status()

    def manifest(self) -> dict:
        return self.objects.get_json(self.led.manifest_key(self.job))

    def left_on_the_node(self) -> int:
        return sum(path.is_file() for path in self.output.rglob("*"))


@pytest.fixture
def rig(led_with_s3, tmp_path) -> Iterator[Callable[..., Rig]]:
    """Return what makes a rig, of a stand-in with these options."""
    with ExitStack() as stack:

        def make(**options) -> Rig:
            options = StandinOptions(directory=tmp_path / "node", **options)
            node = stack.enter_context(standin_thread(options))
            return Rig(led_with_s3, node.url, options.directory / "output", tmp_path / "spool")

        yield make


def pictures(count: int) -> list[bytes]:
    return [picture((16 + number, 16)) for number in range(count)]


def test_many_files_are_delivered_in_their_order_and_no_spool_is_left(rig):
    rig = rig()
    rig.deliver(rig.made(*pictures(5)))

    ended = rig.led.fleet.get(rig.job.id)
    assert ended.status is JobStatus.SUCCEEDED
    assert [artifact.width for artifact in ended.artifacts] == [16, 17, 18, 19, 20]
    assert {artifact.key for artifact in ended.artifacts} < rig.led.stored_keys()
    assert not list(rig.spool.iterdir())


def test_a_damaged_file_ends_the_delivery_and_nothing_is_committed(rig):
    rig = rig(companion=True)
    rig.comfyui.companion.find()
    whole, damaged, *more = pictures(4)

    with pytest.raises(OutputDamaged, match=r"1\.png is damaged"):
        rig.deliver(rig.made(whole, damaged[:-20], *more))

    assert rig.led.fleet.get(rig.job.id).status is JobStatus.RUNNING
    assert rig.led.manifest_key(rig.job) not in rig.led.stored_keys()
    assert rig.left_on_the_node() == 4


def test_a_cancel_ends_a_fetch_in_the_middle(rig):
    rig = rig()
    rig.faulty({"on": "GET /view", "do": "slow", "bytes_per_s": 1_000_000})
    outputs = rig.made(saved(noise("RGB", size=(1600, 1600)), "PNG"))
    began = time.monotonic()
    threading.Timer(0.2, rig.lease.cancel.set).start()

    with pytest.raises(JobCancelled):
        rig.deliver(outputs)
    assert time.monotonic() - began < 4  # the whole would take 7 s


def test_what_was_delivered_is_deleted_from_a_node_with_the_companion(rig):
    rig = rig(companion=True)
    assert rig.comfyui.companion.find()
    theirs = rig.made(*pictures(1), subfolder="theirs")

    rig.deliver((*rig.made(*pictures(3)), *theirs))

    assert rig.left_on_the_node() == 1
    assert (rig.output / "theirs" / "0.png").exists()
    assert len(rig.led.fleet.get(rig.job.id).artifacts) == 4


@pytest.mark.parametrize("fault", ["absent", "broken"])
def test_a_delivery_is_none_the_worse_where_files_cannot_be_deleted(rig, fault):
    rig = rig(companion=fault == "broken")
    assert bool(rig.comfyui.companion.find()) is (fault == "broken")
    if fault == "broken":
        rig.faulty({"on": "POST /comfyfleet/v1/delete", "do": "answer", "status": 500})

    rig.deliver(rig.made(*pictures(2)))

    assert rig.led.fleet.get(rig.job.id).status is JobStatus.SUCCEEDED
    assert rig.left_on_the_node() == 2


def test_a_node_that_is_away_after_the_render_is_waited_for_and_not_counted(rig):
    rig = rig()
    outputs = rig.made(*pictures(2))
    # Longer than three tries in a row would take.
    rig.faulty({"on": "* /*", "do": "close", "count": 0, "for_s": 4})

    rig.deliver(outputs)

    assert rig.led.fleet.get(rig.job.id).status is JobStatus.SUCCEEDED


def test_a_file_that_comes_too_slowly_is_as_good_as_none(rig):
    rig = rig()
    rig.delivery = replace(rig.delivery, grows_within_s=0.3)
    rig.faulty({"on": "GET /view", "do": "slow", "bytes_per_s": 20, "count": 0})

    with pytest.raises(NodeTimeout, match=r"less than 256 KiB in 0\.3 s"):
        rig.deliver(rig.made(*pictures(1)))


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
