"""Batches and nodes tell their changes in the stream of the jobs, and readers of jobs alone pass them over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise

import pytest

from producer.contract.batches import BatchCounts
from producer.contract.fleet_events import BatchEvent, NodeEvent
from producer.contract.ids import row_id, row_of
from producer.contract.jobs import JobEvent
from producer.store import keys
from producer.store.events import EventStream
from producer.store.node_store import NodeStore
from producer.store.records import event_of
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.hand_led import WORKER

BEGIN = "0-0"
LEASE = timedelta(seconds=15)


def told(led, kind=BatchEvent):
    """Return what was told of batches or nodes, in order."""
    events = list(led.fleet.fleet_events(after=BEGIN))
    return [event for event in events if isinstance(event, kind)]


def handed_in(led, rows, **options):
    batch = led.fleet.submit_many(GRAPH, seeds(rows), **options)
    feed(led.fleet)
    return batch


def cancel(led, batch, *rows):
    for row in rows:
        led.fleet.cancel(row_id(batch.id, row))


def test_a_batch_tells_when_it_is_sealed_each_tenth_of_it_and_its_end(led):
    batch = handed_in(led, 25, name="night", owner="shop")
    for row in range(1, 26):
        cancel(led, batch, row)

    events = told(led)
    assert [event.type for event in events] == ["sealed", *["progress"] * 9, "finished"]
    assert [event.counts.ended for event in events] == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    assert [event.n for event in events] == list(range(1, 12))
    assert all(
        (event.batch, event.name, event.owner, event.rows) == (batch.id, "night", "shop", 25)
        for event in events
    )
    assert events[0].counts == BatchCounts(waiting=25)
    assert events[-1].counts == BatchCounts(cancelled=25)


def test_rows_that_end_all_at_once_are_one_step_and_a_row_made_again_opens_the_batch(led):
    batch = led.fleet.submit_many(GRAPH, seeds(1000))
    feed(led.fleet)
    failed = led.failed(led.fleet.get(row_id(batch.id, 1)))
    led.fleet.cancel_batch(batch.id)
    led.fleet.retry(failed.id)

    events = told(led)
    assert [event.type for event in events if event.type != "progress"] == [
        "sealed",
        "cancelled",
        "finished",
        "reopened",
    ]
    assert len(events) == 6  # two steps, and never one a row
    assert led.fleet.batch(batch.id).counts.queued == 1


def test_a_batch_that_a_person_keeps_back_and_lets_go_tells_it_once(led):
    batch = handed_in(led, 3)
    for _ in range(2):
        led.fleet.hold_batch(batch.id)
    led.fleet.release_batch(batch.id)
    assert [event.type for event in told(led)] == ["sealed", "held", "released"]


def test_a_batch_whose_rows_are_all_left_out_has_no_step(led):
    led.fleet.submit_many(GRAPH, [{"2.nonce": "no number"}] * 3, skip_invalid=True)
    assert [(event.type, event.rows) for event in told(led)] == [("sealed", 0), ("finished", 0)]


def registered(nodes, state="joining"):
    nodes.register(
        "gpu-01", worker=WORKER, fields={"pool": "default", "state": state, "url": "http://n"}
    )


def test_a_node_tells_each_change_of_its_state_and_no_other_word(led):
    nodes = NodeStore(led.redis, lease=LEASE)
    registered(nodes)
    nodes.say("gpu-01", state="ready")
    nodes.say("gpu-01", state="ready", reason="all is well")
    registered(nodes, state="ready")
    nodes.say("gpu-01", state="quarantined", reason="three faults")
    nodes.retire("gpu-01", worker="another")
    nodes.retire("gpu-01", worker=WORKER)

    events = told(led, NodeEvent)
    assert [(event.was, event.state) for event in events] == [
        ("", "joining"),
        ("joining", "ready"),
        ("ready", "quarantined"),
        ("quarantined", "offline"),
    ]
    assert {(event.node, event.pool) for event in events} == {("gpu-01", "default")}
    assert events[2].reason == "three faults"


def test_the_sweep_tells_of_a_node_that_falls_silent_once_and_its_next_beat_that_it_is_back(led):
    nodes = NodeStore(led.redis, lease=LEASE)
    sweeps = Sweeps(led.redis, keep_ended=timedelta(days=1))

    def sweep():
        led.redis.delete(keys.lock("outlook"))
        sweeps.tell_outlook(every=timedelta(seconds=1), lease=LEASE)

    registered(nodes, state="ready")
    sweep()
    led.redis.zincrby(keys.NODES, -20_000, "gpu-01")
    sweep()
    sweep()
    nodes.beat("gpu-01", worker=WORKER)
    nodes.beat("gpu-01", worker=WORKER)

    changes = [(event.was, event.state, event.reason) for event in told(led, NodeEvent)]
    assert changes[1:] == [("ready", "offline", "silent"), ("offline", "ready", "")]


def test_what_is_told_of_no_job_is_none_of_the_jobs_events(led):
    nodes = NodeStore(led.redis, lease=LEASE)
    registered(nodes)
    batch = handed_in(led, 2)
    led.redis.xadd(keys.EVENTS, {"job": "-", "batch": "-", "kind": "of tomorrow", "about": "x"})

    stream = EventStream(led.redis)
    of_jobs = list(led.fleet.events(after=BEGIN))
    assert {event.job for event in of_jobs} == {row_id(batch.id, 1), row_id(batch.id, 2)}
    assert stream.read(BEGIN, wait=timedelta(milliseconds=1)) == of_jobs
    both = list(led.fleet.fleet_events(after=BEGIN))
    assert len(both) == len(of_jobs) + 2
    assert all(before.id < after.id for before, after in pairwise(both))


class EarlierReader:
    """The rules by which the version before reads entries (`producer/events` and `store/events.py` of then).

    Args:
        topics: what somebody watches.
    """

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.delivered: list[JobEvent] = []
        self.lagged = 0

    def read(self, entry_id: str, fields: Mapping[str, str]) -> None:
        job = fields["job"]
        batch = fields.get("batch") or row_of(job)[0]
        if not ("*" in self.topics or job in self.topics or batch in self.topics):
            return
        try:
            self.delivered.append(event_of(entry_id, fields))
        except (KeyError, ValueError):
            self.lagged += 1


@pytest.mark.parametrize("which", ["job", "batch", "everything"])
def test_a_reader_of_the_version_before_passes_them_over(led, which):
    registered(NodeStore(led.redis, lease=LEASE))
    batch = handed_in(led, 1)
    cancel(led, batch, 1)
    topics = {"job": row_id(batch.id, 1), "batch": batch.id, "everything": "*"}
    reader = EarlierReader(topics[which])

    for entry_id, fields in led.redis.xrange(keys.EVENTS):
        reader.read(entry_id, fields)

    assert [event.type for event in reader.delivered] == ["submitted", "cancelled"]
    others = len(told(led)) + len(told(led, NodeEvent))
    assert others == 3
    # Who watches all jobs is told to read the records anew; nobody is given what is no job.
    assert reader.lagged == (others if which == "everything" else 0)
