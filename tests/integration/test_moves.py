"""What waits changes its tier or pool: record, indexes and messages move, and nothing else does."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.contract.errors import (
    BatchNotFound,
    InvalidBatch,
    InvalidJob,
    InvalidQuery,
    NoNodeCanRun,
)
from producer.contract.ids import prompt_id
from producer.contract.jobs import JobStatus
from producer.contract.queues import Tier
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.integration.checks import check
from tests.integration.default_queue import ANY
from tests.integration.hand_led import LEASE, WORKER
from tests.integration.test_job_pages import GRAPH, feed, rows
from tests.integration.test_queue import register

BIG = 9_007_199_254_740_993  # no float holds it
VIDEO = "comfyfleet.pool.video.any"


def messages(led, queue, tier):
    found = led.redis.lrange(keys.message_list(queue, Tier(tier).priority), 0, -1)
    return [json.loads(text)["headers"]["id"].rpartition(".")[0] for text in reversed(found)]


def claim(led, job, node):
    return led.store.claim(
        job.id,
        attempt=1,
        node=node,
        worker=WORKER,
        lease=LEASE,
        prompt_id=prompt_id(job.id, 1),
    )


def test_jobs_that_wait_move_in_the_order_of_their_arrival(led):
    there = led.queued(tier="rush")
    moved = [led.queued(owner="shop", params={"2.nonce": BIG}) for _ in range(3)]
    stays = led.queued()
    assert led.fleet.move("owner:shop", tier="rush", dry_run=True) == 3
    assert messages(led, ANY, "default") == [*(job.id for job in moved), stays.id]
    assert led.fleet.move("owner:shop", tier="rush") == 3
    assert messages(led, ANY, "rush") == [there.id, *(job.id for job in moved)]
    assert messages(led, ANY, "default") == [stays.id]
    for job in moved:
        found = led.fleet.get(job.id)
        assert (found.tier, found.status, found.params["2.nonce"]) == ("rush", "queued", BIG)
        assert found.model_copy(update={"tier": job.tier, "queued_at": job.queued_at}) == job
    assert led.fleet.move("owner:shop", tier="rush") == 0
    assert check(led) == []
    assert [entry["type"] for _, entry in led.redis.xrange(keys.EVENTS)].count("moved") == 3


def test_what_is_held_or_waits_out_a_delay_moves_without_a_message(led):
    held, delayed = led.queued(), led.delayed()
    led.fleet.hold(held.id)
    assert led.fleet.move("tier:default", tier="idle") == 2
    assert messages(led, ANY, "idle") == []
    assert check(led) == []
    led.fleet.release(held.id)
    assert messages(led, ANY, "idle") == [held.id]
    assert led.fleet.get(delayed.id).tier == "idle"


def test_what_runs_or_has_ended_stays_where_it_is(led):
    running, failed = led.running(), led.failed()
    assert led.fleet.move("all", tier="rush") == 0
    assert led.fleet.move("status:failed", tier="rush") == 0
    assert {led.fleet.get(job.id).tier for job in (running, failed)} == {"default"}


def test_a_job_that_moved_to_another_pool_is_not_taken_for_an_older_message(led):
    register(led, "gpu-01")
    register(led, "gpu-02", pool="video")
    job = led.fleet.submit(GRAPH)
    assert led.fleet.move("pool:default", pool="video") == 1
    found = led.fleet.get(job.id)
    assert (found.pool, found.queue, found.tier) == ("video", VIDEO, "default")
    assert (messages(led, ANY, "default"), messages(led, VIDEO, "default")) == ([], [job.id])
    assert claim(led, job, "gpu-01") is None
    assert claim(led, job, "gpu-02").status is JobStatus.RUNNING
    assert check(led) == []


def test_a_pinned_job_stays_with_its_node_and_changes_its_tier(led):
    register(led, "gpu-01")
    register(led, "gpu-02", pool="video")
    job = led.fleet.submit(GRAPH, pin="gpu-01")
    assert led.fleet.move("pool:default", pool="video") == 0
    assert led.fleet.move("pool:default", pool="video", tier="rush") == 1
    found = led.fleet.get(job.id)
    assert (found.pool, found.tier, found.queue) == ("default", "rush", job.queue)
    assert messages(led, job.queue, "rush") == [job.id]


def test_a_pool_that_lacks_what_a_job_needs_is_refused_and_nothing_moves(led):
    register(led, "gpu-01", models=("big.safetensors",))
    register(led, "gpu-02", pool="video")
    graph = {**GRAPH, "9": loader(), "8": saver()}
    made = [led.fleet.submit(graph), led.fleet.submit(GRAPH)]
    with pytest.raises(NoNodeCanRun, match=r"pool video has all that .* need: big.safetensors"):
        led.fleet.move("pool:default", pool="video")
    assert {led.fleet.get(job.id).pool for job in made} == {"default"}
    with pytest.raises(InvalidJob, match="there is no pool 'vidoe'; did you mean video") as caught:
        led.fleet.move("all", pool="vidoe")
    assert caught.value.field == "pool"


def loader():
    inputs = {"ckpt_name": "big.safetensors"}
    return {"class_type": "CheckpointLoaderSimple", "inputs": inputs}


def saver():
    return {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "x"}}


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda fleet: fleet.move(""), InvalidJob, "expected a tier, a pool, or both"),
        (lambda fleet: fleet.move("", tier="urgent"), InvalidJob, "there is no tier 'urgent'"),
        (lambda fleet: fleet.move("", pool="No Pool"), InvalidJob, "is no name"),
        (lambda fleet: fleet.move("tier:x", tier="rush"), InvalidQuery, "there is no tier 'x'"),
        (lambda fleet: fleet.move("batch:x", tier="rush"), InvalidQuery, "means rows of a batch"),
        (lambda fleet: fleet.move("", tier="rush"), InvalidQuery, "filter is empty"),
        (lambda fleet: fleet.move_batch("x", tier="rush"), BatchNotFound, "there is no batch x"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused(led, call, error, said):
    with pytest.raises(error, match=said):
        call(led.fleet)


# -- batches


def test_a_batch_moves_with_its_rows_and_the_jobs_in_the_queue(led):
    batch = led.fleet.submit_many(GRAPH, rows(150), name="night")
    feed(led)
    fed = [job.id for _, job in led.fleet.batch_jobs(batch.id)][:100]
    assert led.fleet.move_batch("night", tier="rush", dry_run=True) == 150
    assert led.fleet.move_batch("night", tier="rush") == 150
    assert messages(led, ANY, "rush") == fed
    assert led.fleet.batch(batch.id).tier == "rush"
    assert {job.tier for _, job in led.fleet.batch_jobs(batch.id)} == {"rush"}
    feed(led)
    assert {job.tier for _, job in led.fleet.batch_jobs(batch.id)} == {"rush"}
    assert check(led) == []


def test_rows_that_were_looked_at_before_a_move_are_not_fed_to_the_old_place(led):
    batch = led.fleet.submit_many(GRAPH, rows(3))
    feeds = feeds_of(led)
    record = led.fleet._batches.record(batch.id)
    looked_at = feeds.next_rows(record)
    led.fleet.move_batch(batch.id, tier="idle")
    assert feeds.feed(record, looked_at) is None
    feed(led)
    assert {job.tier for _, job in led.fleet.batch_jobs(batch.id)} == {"idle"}


def feeds_of(led):
    return Sweeps(led.redis, keep_ended=timedelta(days=7)).feeds(lease=LEASE)


def test_a_batch_that_is_open_or_over_is_not_moved(led):
    writer = led.fleet.open_batch(GRAPH, name="open")
    writer.add({"1.color": 1})
    over = led.fleet.submit_many(GRAPH, rows(1), name="over")
    led.fleet.cancel_batch(over.id)
    for name in ("open", "over"):
        with pytest.raises(InvalidBatch, match=r"still open|is over"):
            led.fleet.move_batch(name, tier="rush")


def test_the_same_rows_under_the_same_key_are_known_again_after_a_move(led):
    batch = led.fleet.submit_many(GRAPH, rows(5), idempotency_key="k")
    led.fleet.move_batch(batch.id, tier="idle")
    assert led.fleet.submit_many(GRAPH, rows(5), idempotency_key="k").id == batch.id


# -- messages


def test_of_a_long_list_only_the_messages_of_moved_jobs_are_taken_off(led):
    stays = [led.queued() for _ in range(3)]
    for _ in range(40):
        led.queued(owner="shop")
    stays.append(led.queued())
    key = keys.message_list(ANY, 3)
    led.redis.lpush(key, "no message", *led.redis.lrange(key, 0, 0) * 2_500)
    before = led.redis.llen(key)
    assert led.fleet.move("owner:shop", tier="idle") == 40
    assert led.redis.llen(key) == before - 40
    assert "no message" in led.redis.lrange(key, 0, -1)
    assert set(messages_of(led, key)) == {job.id for job in stays}


def messages_of(led, key):
    found = [text for text in led.redis.lrange(key, 0, -1) if text != "no message"]
    return [json.loads(text)["headers"]["id"].rpartition(".")[0] for text in found]


def test_the_command_counts_first_and_moves_when_told(led):
    for _ in range(2):
        led.queued()
    counted = led.command("job", "move", "-tier:rush", "--tier", "rush")
    assert counted.returncode == 2
    assert "this would move 2 jobs" in counted.stderr
    assert "add --yes" in counted.stderr
    done = led.command("job", "move", "-tier:rush", "--tier", "rush", "--yes", "--json")
    assert json.loads(done.stdout) == {"moved": 2}
    led.fleet.submit_many(GRAPH, rows(3), name="night")
    moved = led.command("batch", "move", "night", "--tier", "idle", "--yes")
    assert (moved.returncode, moved.stdout) == (0, "3 jobs moved\n")


def test_a_batch_counts_what_changes_its_place_and_a_dry_run_refuses_as_the_real_one(led):
    batch = led.fleet.submit_many(GRAPH, rows(150)).id
    feed(led)
    live = led.fleet.batch(batch).counts.queued
    for dry_run, expected in ((True, 150), (False, 150), (True, 0), (False, 0)):
        assert led.fleet.move_batch(batch, tier="idle", dry_run=dry_run) == expected
    assert 0 < live < 150
    opened = led.fleet.open_batch(GRAPH).id
    led.fleet.cancel_batch(batch)
    for id_, said in ((opened, "still open"), (batch, "is over")):
        for dry_run in (True, False):
            with pytest.raises(InvalidBatch, match=said):
                led.fleet.move_batch(id_, tier="rush", dry_run=dry_run)


def test_a_move_of_more_than_may_go_at_once_moves_none(led):
    jobs = [led.fleet.submit(GRAPH) for _ in range(2)]
    with pytest.raises(InvalidQuery, match="means more than 1 jobs that wait"):
        led.fleet.move("all", tier="idle", most=1)
    assert {led.fleet.get(job.id).tier for job in jobs} == {"default"}
    assert led.fleet.move("all", tier="idle", most=2) == 2


def test_one_job_is_moved_alone_if_it_waits_and_is_no_row(led):
    job, other = led.fleet.submit(GRAPH), led.fleet.submit(GRAPH)
    assert led.fleet.move_job(job.id, tier="rush", dry_run=True) == 1
    assert led.fleet.move_job(job.id, tier="rush") == 1
    assert led.fleet.move_job(job.id, tier="rush") == 0
    assert [led.fleet.get(one.id).tier for one in (job, other)] == ["rush", "default"]
    assert messages(led, job.queue, "rush") == [job.id]
    led.fleet.cancel(job.id)
    with pytest.raises(InvalidJob, match="is cancelled; only one that waits can be moved"):
        led.fleet.move_job(job.id, tier="idle")
    [(_, row)] = led.fleet.batch_jobs(led.fleet.submit_many(GRAPH, [{"1.color": 1}]).id)
    with pytest.raises(InvalidJob, match="row of a batch"):
        led.fleet.move_job(row.id, tier="idle")
