"""Batches fed by hand: their rows, what upkeep does for them, and what nodes take."""

from __future__ import annotations

import json
from datetime import timedelta

from producer.contract.queues import Message
from producer.store import keys
from producer.store.batch_feeds import BatchFeeds
from producer.upkeep.batch_feeder import Feeder
from tests.graphs import sleeping
from tests.integration.default_queue import ANY

GRAPH = sleeping(nonce=1)


def seeds(count, first=1):
    return ({"2.nonce": seed} for seed in range(first, first + count))


def feed(fleet):
    """Do what upkeep does for batches in one sweep."""

    def wake(rows):
        fleet._dispatch.send_all(Message(r.id, 1, r.queue, r.tier.priority) for r in rows)

    feeds = BatchFeeds(fleet._redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    Feeder(feeds, wake=wake, resend=fleet._wake_all).feed()


def messages(led, priority=6):
    """Return the jobs whose messages lie on the broker, the next one first."""
    found = led.redis.lrange(keys.message_list(ANY, priority), 0, -1)
    ids = [json.loads(message)["headers"]["id"] for message in found]
    return [task_id.rpartition(".")[0] for task_id in reversed(ids)]


def take(led, count):
    """Take so many messages, and end their jobs."""
    for job_id in messages(led)[:count]:
        led.redis.rpop(keys.message_list(ANY, 6))
        led.store.cancel(job_id)
