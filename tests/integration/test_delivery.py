"""The worker's own delivery, from a stand-in node into a real store, for jobs led by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from producer.contract.jobs import JobStatus
from producer.storage.object_store import ObjectStore
from tests.graphs import picture, sleeping
from tests.integration.hand_led import HandLed, hold
from tests.media_samples import noise, saved
from worker.attempt.delivery import Delivery
from worker.attempt.lease import JobCancelled, Lease
from worker.attempt.outages import Outages
from worker.attempt.shutdown import Shutdown
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import HistoryEntry, Outcome, OutputFile
from worker.errors import NodeTimeout, OutputDamaged
from worker.node.storage_breaker import StorageBreaker

NODE = "gpu-01"


class Rig:
    """One node's folder, and what a worker has to deliver from it."""

    def __init__(self, led: HandLed, url: str, output: Path, spool: Path) -> None:
        objects = ObjectStore(led.settings)
        breaker = StorageBreaker(objects)
        self.led, self.output, self.spool = led, output, spool
        self.url = url
        self.comfyui = ComfyUI(url, node=NODE)
        self.delivery = Delivery(
            node=NODE,
            prefix=led.settings.s3_prefix,
            comfyui=self.comfyui,
            objects=objects,
            store=led.store,
            outages=Outages(breaker, Shutdown(NODE), on_damage=lambda: None),
        )
        self.job = led.running(node=NODE)
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
