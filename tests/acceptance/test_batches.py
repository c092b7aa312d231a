"""Batches on a whole fleet: rows from a file, and whoever is killed on their way."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from producer.contract.batches import BatchState
from producer.contract.errors import InvalidRows, NoNodeCanRun
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from tests.graphs import journal, picture, sleeping
from tests.polling import wait_until

pytestmark = pytest.mark.release

PATIENCE = timedelta(seconds=60)
KILLED = 137

#: Submits rows and feeds them, and dies before it sends a message. It leads meanwhile, so that no
#: worker is quicker to feed them; and a while longer, as its lock outlives it.
FEEDER = """
import json, sys
from datetime import timedelta
from producer.client import Producer
from producer.contract.crashpoints import crashpoint
from producer.store.connection import connect
from producer.store.sweeps import Sweeps
from producer.upkeep.batch_feeder import Feeder

with Producer.from_env() as fleet:
    sweeps = Sweeps(connect(fleet.settings), keep_ended=timedelta(days=7))
    while not sweeps.lead("feeder", length=timedelta(seconds=5)):
        pass
    rows = ({"2.nonce": nonce} for nonce in range(20))
    batch = fleet.submit_many(json.loads(sys.argv[1]), rows)
    print(batch.id, flush=True)
    feeds = sweeps.feeds(lease=timedelta(seconds=10))
    Feeder(feeds, wake=lambda _: crashpoint("batch.fed"), resend=lambda _: None).feed()
"""


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_rows_of_a_file_become_jobs_with_files_and_metadata_of_their_own(
    comfyfleet, fleet, tmp_path
):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(picture(size=(40 + ord(name), 32)))
    graph = sleeping(0.01)
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    rows = write_rows(
        tmp_path / "rows.csv",
        [
            {"seed": nonce, "input:1.image": f"{name}.png", "metadata.order": f"{name}{nonce}"}
            for nonce in range(4)
            for name in "ab"
        ],
    )
    command = ("batch", "submit", "graph.json", rows, "--map", "seed=2.nonce", "--json")
    done = comfyfleet(*command, "--name", "night", "--wait")
    assert done.returncode == 0, done.stderr
    batch = json.loads(done.stdout)
    assert (batch["state"], batch["counts"]["succeeded"], batch["name"]) == ("finished", 8, "night")
    printed = comfyfleet("batch", "results", batch["id"], "--json").stdout.splitlines()
    results = [json.loads(line) for line in printed]
    assert [result["row"] for result in results] == list(range(1, 9))
    assert [result["metadata"]["order"] for result in results[:3]] == ["a0", "b0", "a1"]
    widths = {result["artifacts"][0]["width"] for result in results[::2]}
    assert widths == {40 + ord("a")}
    assert len({result["inputs"]["1.image"]["source"] for result in results}) == 2
    assert fleet.get(row_id(batch["id"], 3)).params["2.nonce"] == 1


def test_a_bad_file_is_refused_by_row_and_column(comfyfleet, tmp_path):
    (tmp_path / "graph.json").write_text(json.dumps(sleeping()))
    rows = write_rows(tmp_path / "rows.csv", [{"nap": 0.1}, {"nap": "long"}])
    refused = comfyfleet("batch", "submit", "graph.json", rows, "--map", "nap=2.seconds")
    assert refused.returncode == 4
    assert "row 2, column nap: graph node 2 (ComfyFleetSleep), input seconds" in refused.stderr
    unknown = comfyfleet("batch", "submit", "graph.json", rows)
    assert unknown.returncode == 4
    assert "column 'nap': nothing in the graph has the address" in unknown.stderr


def test_a_row_whose_model_no_node_has_is_named_with_the_nearest(fleet):
    graph = {
        "5": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x"}},
        "6": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1},
        },
        "7": {"class_type": "VAEDecode", "inputs": {"samples": ["6", 0], "vae": ["5", 2]}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "v"}},
    }
    models = ("sd_xl_base_1.0.safetensors", "sd_xl_base_1.1.safetensors")
    with pytest.raises(InvalidRows) as caught:
        fleet.submit_many(graph, ({"5.ckpt_name": model} for model in models))
    [bad] = caught.value.rows
    assert (bad.row, bad.column) == (2, "5.ckpt_name")
    assert "no node has model sd_xl_base_1.1.safetensors" in bad.message
    assert "sd_xl_base_1.0.safetensors" in bad.advice
    graph["8"]["class_type"] = "SaveImages"
    with pytest.raises(NoNodeCanRun, match="no node has class SaveImages"):
        fleet.submit_many(graph, ({"5.ckpt_name": model} for model in models))


def test_a_submitter_killed_half_way_goes_on_by_its_key(comfyfleet, fleet, tmp_path):
    (tmp_path / "graph.json").write_text(json.dumps(sleeping(0.01)))
    rows = write_rows(tmp_path / "rows.csv", [{"2.nonce": nonce} for nonce in range(2_345)])
    command = ("batch", "submit", "graph.json", rows, "--key", "half-way", "--tier", "idle")
    assert comfyfleet(*command, COMFYFLEET_CRASHPOINT="batch.added").returncode == KILLED
    left = fleet.batches(1)[0]
    assert (left.state, left.rows, left.counts.waiting) == (BatchState.OPEN, 2_000, 0)
    for _ in range(2):
        assert comfyfleet(*command).stdout.strip() == left.id
    assert fleet.batch(left.id).rows == 2_345
    wait_until(lambda: fleet.batch(left.id).counts.succeeded > 2, description="some are done")
    fleet.cancel_batch(left.id)
    ended = fleet.wait_batch(left.id, timeout=PATIENCE).counts
    assert (ended.succeeded + ended.cancelled, ended.ended) == (2_345, 2_345)


def test_rows_whose_feeder_dies_before_it_sends_are_rendered_once(fleet, stack):
    graph = sleeping(0.01)
    environment = {
        **os.environ,
        **stack.settings_env,
        "COMFYFLEET_CRASHPOINT": "batch.fed",
    }
    command = [sys.executable, "-c", FEEDER, json.dumps(graph)]
    ended = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == KILLED, ended.stderr
    batch_id = ended.stdout.strip()
    assert fleet.batch(batch_id).counts.waiting == 0
    batch = fleet.wait_batch(batch_id, timeout=PATIENCE)
    assert batch.counts.succeeded == 20
    assert all(job.attempt == 1 for _, job in fleet.batch_jobs(batch.id))


def test_workers_killed_while_they_feed_and_render_lose_no_row(fleet, stack):
    graph = sleeping(0.05)
    batch = fleet.submit_many(graph, ({"2.nonce": nonce} for nonce in range(60)))
    wait_until(lambda: fleet.batch(batch.id).counts.succeeded > 5, description="it is under way")
    for node in stack.nodes:
        os.kill(stack.pid(f"worker-{node.name}"), signal.SIGKILL)
    done = fleet.wait_batch(batch.id, timeout=PATIENCE)
    assert done.counts.succeeded == 60
    jobs = [job for _, job in fleet.batch_jobs(batch.id)]
    assert {job.status for job in jobs} == {JobStatus.SUCCEEDED}
    rendered = [note["prompt_id"] for node in stack.nodes for note in journal(node)]
    assert {job.prompt_id for job in jobs} <= set(rendered)
    assert {job.charged_attempts for job in jobs} == {0}
