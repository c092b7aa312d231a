"""What a job has beside its graph: kept and posted, and its secrets seen by nobody."""

from __future__ import annotations

import json
import zlib

import pytest
from redis import Redis

from infra.standin.process import StandinProcess
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidInput, InvalidJob
from producer.store import keys
from tests.graphs import sleeping
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.hand_led import HandLed, hold
from tests.polling import wait_until
from worker.attempt.extra_data import ExtraDataSource
from worker.attempt.prompt import NodePrompt
from worker.comfyui.client import ComfyUI
from worker.errors import NodeFault

SECRET = "comfyui-s3cret"
WORKFLOW = {"workflow": {"id": "wf-1", "nodes": []}}
EXTRA = {"api_key_comfy_org": SECRET, "extra_pnginfo": WORKFLOW, "client_id": "theirs"}


def shown(led) -> str:
    """Return all that Redis holds, but for the keys of secrets, as text."""
    texts = []
    with Redis.from_url(led.settings.redis_url) as client:
        for key in client.scan_iter():
            if not key.decode().startswith(keys.SECRETS):
                texts.append(key)
                texts += _values(client, key)
    return b"\n".join(texts).decode("utf-8", "replace")


def _values(client, key: bytes) -> list[bytes]:
    match client.type(key):
        case b"string":
            found = client.get(key)
            return [zlib.decompress(found) if found[:1] == b"x" else found]
        case b"hash":
            values = client.hgetall(key).values()
            return [zlib.decompress(value) if value[:1] == b"x" else value for value in values]
        case b"stream":
            return [value for _, entry in client.xrange(key) for value in entry.values()]
        case b"list":
            return client.lrange(key, 0, -1)
        case _:
            return []


def secrets_kept(redis) -> list[str]:
    return [key.removeprefix(keys.SECRETS) for key in redis.scan_iter(f"{keys.SECRETS}*")]


def test_it_reaches_the_node_and_no_secret_stands_anywhere_else(led, tmp_path):
    envelope = {"prompt": sleeping(0), "extra_data": {**EXTRA, "preview_method": "none"}}
    job = led.running(led.fleet.submit(envelope, extra_data={"preview_method": "taesd"}))
    assert job.secrets == ["api_key_comfy_org"]
    extra = ExtraDataSource(led.store, api_key="the node's").of(job)
    assert extra == {
        "api_key_comfy_org": SECRET,
        "extra_pnginfo": WORKFLOW,
        "preview_method": "taesd",
        "job_id": job.id,
        "job_attempt": job.attempt,
    }
    with StandinProcess(tmp_path / "node") as node, ComfyUI(node.url, node="gpu-01") as comfyui:
        prompt = NodePrompt(comfyui, str(job.prompt_id), node="gpu-01")
        prompt.post(sleeping(0), client_id="ours", extra_data=extra)
        wait_until(lambda: comfyui.history(prompt.id), description="it ended")
        posted = comfyui._http.get_object(f"/history/{prompt.id}")[prompt.id]["prompt"][3]
    assert posted["extra_pnginfo"] == WORKFLOW
    assert (posted["client_id"], posted["job_id"]) == ("ours", job.id)
    assert "wf-1" in shown(led)
    assert SECRET not in shown(led)
    assert SECRET not in job.model_dump_json()


def test_workers_of_the_first_version_pass_over_jobs_with_extra_data(led):
    versions = {}
    for extra in ({}, {"a": 1}, {"api_key_comfy_org": "k"}):
        job = led.fleet.submit(sleeping(), extra_data=extra)
        versions[str(extra)] = led.redis.hget(keys.job(job.id), "v")
    assert list(versions.values()) == ["1", "2", "2"]


def test_a_node_gives_its_own_key_to_jobs_without_one(led):
    job = led.running()
    source = ExtraDataSource(led.store, api_key="the node's")
    assert source.of(job) == {
        "api_key_comfy_org": "the node's",
        "job_id": job.id,
        "job_attempt": job.attempt,
    }


def test_a_node_that_repeats_a_secret_is_quoted_without_it(led):
    job = led.running(led.fleet.submit(sleeping(), extra_data=EXTRA))
    source = ExtraDataSource(led.store, api_key="comfyui-nodes")
    error = NodeFault("gpu-01", f"401: bad key {SECRET}, nor comfyui-nodes")
    told = source.without_secrets(job, error)
    assert (told.detail, str(told)) == ("401: bad key ***, nor ***", f"node gpu-01: {told.detail}")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"no such key {SECRET}", "no such key ***"),
        (f"no such key {SECRET[:-3]}", "no such key ***"),
        (f"no such key {SECRET[:9]} … {SECRET[-8:]}, sorry", "no such key *** … ***, sorry"),
        (f"no such key {SECRET[:9]}…", "no such key ***…"),
        ("no such key comfy", "no such key comfy"),
    ],
)
def test_a_part_of_a_secret_that_a_cut_has_left_is_not_quoted(led, said, kept):
    job = led.running(led.fleet.submit(sleeping(0), extra_data=EXTRA))
    error = ExtraDataSource(led.store).without_secrets(job, NodeFault("n", said))
    assert error.message == f"node n: {kept}"


def test_a_graph_node_that_shows_a_secret_does_not_bring_it_into_the_record(led):
    job = led.running(led.fleet.submit(sleeping(0), extra_data=EXTRA))
    values = {"5": {"text": [f"key: {SECRET}", 7, {SECRET: [SECRET, None]}], "n": [1.5]}}
    clean = ExtraDataSource(led.store, api_key="the node's").values_without_secrets(job, values)
    assert clean == {"5": {"text": ["key: ***", 7, {"***": ["***", None]}], "n": [1.5]}}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_secrets_end_with_their_job(led, end):
    job = led.fleet.submit(sleeping(), extra_data=EXTRA)
    assert secrets_kept(led.redis) == [job.id]
    assert led.redis.pttl(keys.secrets(job.id)) > 0
    getattr(led, end)(job)
    assert secrets_kept(led.redis) == []


def test_a_retry_needs_its_secrets_again_and_keeps_the_rest(led):
    failed = led.failed(led.fleet.submit(sleeping(), extra_data=EXTRA))
    with pytest.raises(InvalidJob, match=r"handed in with api_key_comfy_org, which is forgotten"):
        led.fleet.dead_letters.redrive(failed.id)
    with pytest.raises(InvalidJob, match=r"preview_method is no secret; .* keeps the rest"):
        led.fleet.dead_letters.redrive(failed.id, secrets={"preview_method": "none"})
    again = led.fleet.dead_letters.redrive(failed.id, secrets={"api_key_comfy_org": "new"})
    extra = led.store.extra_data(led.running(again))
    assert extra == {"api_key_comfy_org": "new", "extra_pnginfo": WORKFLOW}
    assert led.fleet.retry(failed.id).id == again.id  # it has been made again, with its key


def test_a_producer_with_a_key_gives_it_to_all_jobs_and_their_retries(redis_client, redis_server):
    settings = Settings(redis_url=redis_server.url, comfy_org_api_key="shared")
    led = HandLed(settings, redis_client)
    with led.fleet:
        failed = led.failed(led.queued())
        again = led.running(led.fleet.retry(failed.id))
        assert led.store.extra_data(again) == {"api_key_comfy_org": "shared"}


def test_the_rows_of_a_batch_share_it_until_the_last_has_ended(led):
    batch = led.fleet.submit_many(GRAPH, seeds(250), extra_data=EXTRA)
    assert secrets_kept(led.redis) == [batch.id]
    assert len(list(led.redis.scan_iter("comfyfleet:extra_data:*"))) == 1
    feed(led.fleet)
    jobs = [job for _, job in led.fleet.batch_jobs(batch.id)]
    row = led.running(jobs[0])
    assert led.store.extra_data(row) == {"api_key_comfy_org": SECRET, "extra_pnginfo": WORKFLOW}
    assert {(job.extra_data, *job.secrets) for job in jobs} == {
        (row.extra_data, "api_key_comfy_org")
    }
    assert SECRET not in shown(led)
    led.failed(jobs[1])
    assert secrets_kept(led.redis) == [batch.id]
    led.fleet.cancel_batch(batch.id)
    assert secrets_kept(led.redis) == [batch.id]  # one still runs
    led.store.end_cancelled(hold(row))
    assert secrets_kept(led.redis) == []


def test_a_job_whose_secrets_are_gone_says_so(led):
    job = led.fleet.submit(sleeping(), extra_data=EXTRA)
    led.redis.delete(keys.secrets(job.id))
    with pytest.raises(InvalidInput, match=f"what job {job.id} has beside its graph is not there"):
        led.store.extra_data(job)


def test_no_row_repeats_what_all_share(led):
    workflow = {"nodes": [{"id": number, "text": "x" * 99} for number in range(3_000)]}
    led.fleet.submit_many({"workflow": workflow, "output": GRAPH}, seeds(2_000), owner="somebody")
    feed(led.fleet)
    # Key by key: `used_memory` also has scripts and buffers of connections, as many as came before.
    kept = sum(led.redis.memory_usage(key, samples=0) for key in led.redis.scan_iter())
    assert kept < 2 * len(json.dumps(workflow))
