"""The worker's own delivery, from a stand-in node into a real store, for jobs led by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from producer.contract.jobs import JobStatus
from tests.integration.delivery_rig import Rig, pictures, rigs
from tests.media_samples import noise, saved
from worker.attempt.lease import JobCancelled
from worker.errors import NodeTimeout, OutputDamaged


@pytest.fixture
def rig(led_with_s3, tmp_path) -> Iterator[Callable[..., Rig]]:
    with rigs(led_with_s3, tmp_path) as make:
        yield make


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
