"""Statuses and their moves, ids, queues."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from producer.contract.ids import new_job_id, parse_job_id, prompt_id
from producer.contract.jobs import Job, JobStatus, Progress, sources_of
from producer.contract.queues import Needs, Tier, is_name, node_queue, pinned_node

TERMINAL = {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED}


def test_terminal_statuses_never_change():
    assert {status for status in JobStatus if status.is_terminal} == TERMINAL
    for target in JobStatus:
        assert not TERMINAL.intersection(sources_of(target))


def test_only_a_queued_job_may_run():
    assert sources_of(JobStatus.RUNNING) == (JobStatus.QUEUED,)


def test_a_running_job_is_never_held_or_expired():
    assert JobStatus.RUNNING not in sources_of(JobStatus.HELD)
    assert JobStatus.RUNNING not in sources_of(JobStatus.EXPIRED)


def test_job_ids_are_uuid7_and_sort_by_time():
    ids = [new_job_id(unix_ms=ms) for ms in (1, 2_000, 1_800_000_000_000)]
    assert ids == sorted(ids)
    for job_id in ids:
        assert uuid.UUID(job_id).version == 7
        assert uuid.UUID(job_id).variant == uuid.RFC_4122
        assert job_id == job_id.lower()


def test_job_ids_of_a_process_sort_in_the_order_in_which_they_were_made():
    ids = [new_job_id() for _ in range(10_000)]
    assert ids == sorted(set(ids)), "two of one millisecond are not in their order"


@pytest.mark.parametrize("back_s", [0, 0.5, 3600])
def test_a_clock_that_is_set_back_a_little_makes_no_earlier_id_and_is_followed_if_much(
    monkeypatch, back_s
):
    now = time.time_ns()
    new_job_id()
    monkeypatch.setattr("time.time_ns", lambda: now + 10_000_000_000)
    ahead = new_job_id()
    monkeypatch.setattr("time.time_ns", lambda: now + 10_000_000_000 - int(back_s * 1e9))
    after = new_job_id()
    assert (after > ahead) == (back_s < 1)
    assert new_job_id() > after


def test_threads_make_ids_that_differ():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_job_id(), range(5_000)))
    assert len(set(made)) == 5_000


def test_a_job_id_has_one_spelling():
    job_id = new_job_id()
    assert parse_job_id(f" {job_id.upper()} ") == job_id
    with pytest.raises(ValueError, match="badly formed"):
        parse_job_id("job-1")


def test_each_attempt_has_its_own_prompt_id_and_always_the_same():
    job_id = new_job_id()
    assert prompt_id(job_id, 1) == prompt_id(job_id, 1)
    assert prompt_id(job_id, 1) != prompt_id(job_id, 2)
    assert str(uuid.UUID(prompt_id(job_id, 1))) == prompt_id(job_id, 1)


def test_a_queue_is_named_by_pool_and_needs():
    assert Needs.of("video").queue == "comfyfleet.pool.video.any"
    sdxl = Needs.of("default", models=["b.ckpt", "a.ckpt", "b.ckpt"])
    assert sdxl.queue == Needs.of("default", models=["a.ckpt", "b.ckpt"]).queue
    assert sdxl.queue != Needs.of("default", models=["a.ckpt"]).queue
    assert sdxl.queue != Needs.of("default", models=["a.ckpt", "b.ckpt"], classes=["X"]).queue
    assert len(sdxl.queue.rpartition(".")[2]) == 12


def test_needs_survive_their_json():
    needs = Needs.of("default", models=["sub\\x.safetensors"], classes=["Rare Class"])
    assert Needs.from_json(needs.to_json()) == needs


def test_a_node_queue_tells_its_node():
    assert pinned_node(node_queue("gpu-03.lan")) == "gpu-03.lan"
    assert pinned_node("comfyfleet.pool.default.any") is None


def test_rush_is_the_most_urgent_and_zero():
    priorities = [Tier(name).priority for name in ("rush", "default", "batch", "idle")]
    assert priorities == [0, 3, 6, 9]


@pytest.mark.parametrize("name", ["", "GPU", "a b", "../x", "-x", "x" * 64, "a:b", "a\n"])
def test_names_that_would_not_fit_into_keys_are_none(name):
    assert not is_name(name)


def test_progress_counts_graph_nodes_alike():
    assert Progress(graph_nodes=4, graph_nodes_done=2, value=5, max=10).percent == 62.5
    assert Progress().percent is None
    assert Progress(graph_nodes=4, graph_nodes_done=4, value=1, max=1).percent == 100


def test_a_value_of_any_depth_can_be_written():
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    now = datetime.now(UTC)
    fields = {"created_at": now, "start_deadline": now, "run_within_s": 1, "template": "t"}
    job = Job(
        id="1", status="succeeded", done=True, attempt=1, tier="rush", pool="p", queue="q",
        values={"8": deep, "9": [[{"a": []}]]}, **fields,
    )  # fmt: skip
    assert json.loads(job.model_dump_json())["values"] == {
        "8": json.dumps(deep),
        "9": [[{"a": []}]],
    }
