"""How rows reach their queue: in a window, in order, and in turns with other batches."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis

from producer.contract.batches import BatchState
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.contract.ids import new_batch_id, row_id, row_of
from producer.contract.jobs import JobStatus
from producer.contract.queues import Message
from producer.dispatch import Dispatch
from producer.store import keys
from producer.store.batch_feeds import BatchFeeds
from producer.upkeep.batch_feeder import FOOTHOLD, WINDOW
from tests import servers
from tests.integration.batch_feeding import GRAPH, feed, messages, seeds, take
from tests.integration.default_queue import ANY


def test_rows_reach_the_queue_in_a_window_and_in_order(led):
    batch = led.fleet.submit_many(GRAPH, seeds(450), metadata={"night": "0412"})
    assert (batch.state, batch.counts.waiting) == (BatchState.SEALED, 450)
    feed(led.fleet)
    feed(led.fleet)
    assert messages(led) == [row_id(batch.id, row) for row in range(1, WINDOW + 1)]
    take(led, 30)
    feed(led.fleet)
    counts = led.fleet.batch(batch.id).counts
    assert (counts.waiting, counts.queued, counts.cancelled) == (220, WINDOW, 30)
    first, unfed = (led.fleet.get(row_id(batch.id, row)) for row in (200, 449))
    assert (first.params, unfed.params) == ({"2.nonce": 200}, {"2.nonce": 449})
    assert {first.metadata["night"], unfed.metadata["night"]} == {"0412"}
    assert (unfed.status, unfed.waiting_for, unfed.batch) == ("queued", "its_turn", batch.id)
    assert (first.created_at, first.start_deadline) == (unfed.created_at, unfed.start_deadline)


def test_batches_take_turns_and_a_late_one_gets_a_foothold(led):
    large = led.fleet.submit_many(GRAPH, seeds(2_000))
    feed(led.fleet)
    small = led.fleet.submit_many(GRAPH, seeds(30))
    feed(led.fleet)
    assert led.fleet.batch(small.id).counts.queued == FOOTHOLD
    take(led, WINDOW + FOOTHOLD)
    feed(led.fleet)
    shares = Counter(row_of(job)[0] for job in messages(led)[:40])
    assert shares[large.id] == shares[small.id] == 20


def test_a_batch_has_a_foothold_beside_a_crowd_of_single_jobs(led):
    for _ in range(WINDOW + 1):
        led.redis.zadd(keys.queued(ANY, 6), {f"crowd-{_}": 1})
    batch = led.fleet.submit_many(GRAPH, seeds(30))
    feed(led.fleet)
    assert led.fleet.batch(batch.id).counts.queued == FOOTHOLD


def test_one_bad_record_does_not_stop_other_batches(led, caplog):
    broken, newer, good = (led.fleet.submit_many(GRAPH, seeds(3)).id for _ in range(3))
    led.redis.hset(keys.batch(broken), "spec", "{")
    led.redis.hset(keys.batch(newer), "v", 99)
    feed(led.fleet)
    assert messages(led) == [row_id(good, row) for row in (1, 2, 3)]
    assert f"batch {broken} cannot be fed" in caplog.text


def test_a_held_batch_waits_and_a_released_one_goes_on(led):
    batch = led.fleet.submit_many(GRAPH, seeds(300))
    feed(led.fleet)
    running = led.running(led.fleet.get(row_id(batch.id, 1)))
    assert led.fleet.hold_batch(batch.id).counts.held == WINDOW - 1
    led.redis.delete(keys.message_list(ANY, 6))  # workers drop them: nothing is to be claimed
    feed(led.fleet)
    held = led.fleet.batch(batch.id)
    assert (held.held, held.counts.running, held.counts.waiting) == (True, 1, 100)
    assert {led.fleet.get(row_id(batch.id, row)).status for row in (2, 300)} == {JobStatus.HELD}
    assert led.fleet.get(running.id).status is JobStatus.RUNNING
    assert led.fleet.release_batch(batch.id).counts.queued == WINDOW - 1
    feed(led.fleet)
    assert len(messages(led)) == WINDOW
    assert led.fleet.batch(batch.id).counts.waiting == 99


def test_a_row_that_was_cancelled_after_the_look_is_not_fed(led):
    batch = led.fleet.submit_many(GRAPH, seeds(3)).id
    feeds = BatchFeeds(led.fleet._redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    [record] = feeds.in_turn()
    rows = feeds.next_rows(record)
    led.fleet.cancel(row_id(batch, 1))
    led.redis.delete(keys.job(row_id(batch, 1)))  # as if it had expired since
    assert feeds.feed(record, rows) is None
    feed(led.fleet)
    assert messages(led) == [row_id(batch, 2), row_id(batch, 3)]


def test_messages_for_many_that_a_full_broker_does_not_take_are_our_error(services, tmp_path):
    server = servers.start_redis(services, tmp_path / "full")
    dispatch = Dispatch(Settings(redis_url=server.url))
    some = [Message(row_id(new_batch_id(), row), 1, ANY, 6) for row in (1, 2)]
    dispatch.send_all(some)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(FleetUnreachable, match=r"did not take a message.*Redis is full"):
            dispatch.send_all(some)
        client.config_set("maxmemory", 0)
    dispatch.send_all(some)


def test_rows_that_are_left_out_are_passed_in_one_sweep(led):
    rows = ({"2.nonce": seed if seed > 1_000 else "no number"} for seed in range(1, 1_011))
    batch = led.fleet.submit_many(GRAPH, rows, skip_invalid=True)
    feed(led.fleet)
    assert messages(led) == [row_id(batch.id, row) for row in range(1_001, 1_011)]


def test_a_batch_of_which_all_rows_are_left_out_is_looked_at_no_more(led):
    batch = led.fleet.submit_many(GRAPH, [{"2.nonce": "no number"}], skip_invalid=True)
    assert batch.done
    assert led.redis.zscore(keys.FEEDING, batch.id) is None


@pytest.mark.parametrize(("asked", "then"), [("hold", "release"), ("release", "hold")])
def test_who_moves_jobs_too_late_moves_none(led, asked, then):
    batch = led.fleet.submit_many(GRAPH, seeds(5)).id
    feed(led.fleet)
    store = led.fleet._batches
    if asked == "release":
        store.hold(batch)
    led.store._scripts.run("batch_hold", keys=[keys.batch(batch)], args=[batch, asked])
    late = store.record(batch)
    getattr(store, then)(batch)
    before = led.fleet.batch(batch).counts
    assert store.move_live(late) == []
    assert led.fleet.batch(batch).counts == before


def test_many_at_once_cancel_rows_of_one_batch(led):
    batch = led.fleet.submit_many(GRAPH, seeds(60)).id
    rows = [row_id(batch, row) for row in range(1, 61)]
    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(led.fleet.cancel, [*rows, *rows]))
    assert Counter(outcomes) == {"cancelled": 60, "ended": 60}
    assert led.fleet.batch(batch).done
