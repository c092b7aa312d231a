"""The client of the HTTP API beside the library: what waits, owners, totals, nodes, moves, watches and previews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.contract.errors import (
    BatchNotFound,
    FleetError,
    InvalidBatch,
    InvalidJob,
    InvalidQuery,
    ScopeMissing,
)
from producer.contract.ids import event_order, new_job_id
from producer.contract.nodes import NodeState
from producer.events.notices import LAGGED, FleetNotice
from producer.events.subscribers import BATCHES, EVERYTHING, NODES
from producer.http_client import HttpProducer
from producer.store import keys
from producer.store.node_store import NodeStore
from producer.store.previews import Picture, Previews
from tests.graphs import picture
from tests.integration.api_server import GRAPH
from tests.integration.hand_led import LEASE, WORKER, hold
from tests.polling import wait_until

SOON = timedelta(seconds=20)
ROWS = [{"3.color": number} for number in range(3)]
NO_JOB = new_job_id()


def client(key):
    return HttpProducer(key.url, key.key)


@pytest.fixture
def remote(api):
    with client(api(scopes="submit,read,operate")) as fleet:
        yield fleet


@pytest.fixture
def nodes(led):
    store = NodeStore(led.redis, lease=LEASE)
    fields = {"pool": "default", "url": "http://gpu", "state": NodeState.READY, "host": "here"}
    for name in ("gpu-01", "gpu-02"):
        store.register(name, worker=WORKER, fields=fields)
    return store


def test_what_waits_and_what_was_done_reads_alike(remote, led):
    remote.submit(GRAPH, tier="rush")
    remote.submit_many(GRAPH, ROWS)
    led.store.commit(hold(led.running(remote.submit(GRAPH))), artifacts=[], values={})
    led.failed(cause="out_of_memory")
    assert remote.queue() == led.fleet.queue() != []
    assert remote.totals() == led.fleet.totals() != {}
    assert remote.owner("shop") == led.fleet.owner("shop")
    assert remote.owners() == led.fleet.owners()
    assert remote.owner("shop").waiting == 4


def test_an_owner_s_limit_is_set_alike(api, led):
    with client(api("boss", scopes="admin")) as boss:
        assert boss.limit_owner("shop", max_waiting=7) == led.fleet.owner("shop")
        assert boss.owner("shop").max_waiting == 7
        assert boss.limit_owner("shop", max_waiting=None).max_waiting is None
    with client(api()) as shop:
        assert shop.owners() == [shop.owner("shop")]
        for call in (shop.queue, shop.totals, lambda: shop.limit_owner("shop", max_waiting=1)):
            with pytest.raises(ScopeMissing):
                call()


def test_what_waits_is_counted_and_moved_alike(remote, led):
    job, batch = remote.submit(GRAPH), remote.submit_many(GRAPH, ROWS, name="night one")
    assert remote.move_job(job.id, tier="idle", dry_run=True) == 1
    assert led.fleet.get(job.id).tier == "default"
    assert (remote.move_job(job.id, tier="idle"), remote.move_job(job.id, tier="idle")) == (1, 0)
    assert led.fleet.get(job.id).tier == "idle"
    assert remote.move("tier:idle", tier="batch", dry_run=True) == 1
    assert remote.move("tier:idle owner:shop", tier="batch") == 1
    assert led.fleet.get(job.id).tier == "batch"
    assert remote.find_batch("night one") == led.fleet.find_batch("night one") == batch.id
    assert remote.move_batch("night one", tier="rush", dry_run=True) == 3
    assert remote.move_batch(batch.id, tier="rush") == 3
    assert remote.batch(batch.id).tier == "rush"


CALLS = {
    "move rows": lambda fleet, _: fleet.move("batch:twice", tier="idle"),
    "move what": lambda fleet, _: fleet.move("tier:x", tier="idle"),
    "to nowhere": lambda fleet, job: fleet.move_job(job),
    "to no tier": lambda fleet, job: fleet.move_job(job, tier="now"),
    "no such job": lambda fleet, _: fleet.move_job(NO_JOB, tier="idle"),
    "no job id": lambda fleet, _: fleet.move_job("7", tier="idle"),
    "no such batch": lambda fleet, _: fleet.move_batch("nobody", tier="idle"),
    "no batch": lambda fleet, _: fleet.find_batch("nobody"),
    "two batches": lambda fleet, _: fleet.find_batch("twice"),
    "open batch": lambda fleet, _: fleet.move_batch(fleet.batches()[0].id, tier="idle"),
    "ended job": lambda fleet, job: [fleet.cancel(job), fleet.move_job(job, tier="idle")],
    "no owner": lambda fleet, _: fleet.owner(""),
    "bad owner": lambda fleet, _: fleet.owner("a b"),
    "no node": lambda fleet, _: fleet.drain_nodes(["gpu-1"]),
    "last nodes": lambda fleet, _: fleet.pause_nodes(["gpu-01", "gpu-02"]),
    "time over": lambda fleet, _: fleet.drain_nodes(
        ["gpu-01"], until=datetime(2020, 1, 1, tzinfo=UTC)
    ),
    "resume none": lambda fleet, _: fleet.resume_nodes(["gpu-1"]),
    "rescan none": lambda fleet, _: fleet.rescan("gpu-1"),
    "times of none": lambda fleet, _: fleet.node_times("gpu-1"),
    "no name of a batch": lambda fleet, _: fleet.find_batch(""),
    "a long name": lambda fleet, _: fleet.move_batch("x" * 300, tier="idle"),
    "a number": lambda fleet, _: fleet.move_batch(7, tier="idle"),
    "a pool that is a number": lambda fleet, job: fleet.move_job(job, pool=7),
    "a path as a node": lambda fleet, _: fleet.drain_nodes([".."]),
    "a path to rescan as a node": lambda fleet, _: fleet.rescan("../jobs"),
    "a number of nodes": lambda fleet, _: fleet.drain_nodes(7),
    "numbers as nodes": lambda fleet, _: fleet.resume_nodes([7]),
    "events after nothing": lambda fleet, _: list(fleet.events(after="yesterday")),
    "events after a number": lambda fleet, _: list(fleet.fleet_events(after=7)),
    "events until nothing": lambda fleet, _: list(fleet.events(after="0-0", until="now")),
    "a stream after nothing": lambda fleet, job: list(fleet.stream(job, after="9" * 21 + "-0")),
    "a number to watch": lambda fleet, _: fleet.watch_fleet(7),
    "results of an open one": lambda fleet, _: list(fleet.batch_results(fleet.batches()[0].id)),
    "no status": lambda fleet, _: list(fleet.batch_results(NO_JOB, statuses=["done"])),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.usefixtures("nodes")
def test_what_is_refused_is_refused_alike(remote, led, what):
    for _ in range(2):
        remote.submit_many(GRAPH, ROWS, name="twice")
    remote.begin_batch(GRAPH)
    told = []
    for fleet in (led.fleet, remote):
        with pytest.raises(FleetError) as caught:
            CALLS[what](fleet, remote.submit(GRAPH).id)
        told.append(caught.value)
    ours, theirs = told
    assert type(ours) is type(theirs)
    assert isinstance(ours, InvalidJob | InvalidQuery | InvalidBatch | BatchNotFound | FleetError)
    assert vars(ours).get("field") == vars(theirs).get("field")
    if "as a node" not in what:  # whose advice the library takes from the nodes that there are
        assert _without_ids(ours) == _without_ids(theirs)


def _without_ids(error):
    return " ".join(word for word in str(error).split() if word.count("-") < 4)


def seen(nodes):
    """Return nodes as they are, whenever they are looked at."""
    return [node.model_copy(update={"silent_s": 0}) for node in nodes]


def test_nodes_are_drained_paused_and_taken_back_alike(remote, led, nodes):
    told = remote.drain_nodes(["gpu-01"], reason="a new card")
    assert seen(told) == seen(node for node in led.fleet.nodes() if node.name == "gpu-01")
    assert (told[0].desired.state, told[0].desired.reason) == ("drained", "a new card")
    until = datetime.now(UTC) + timedelta(hours=1)
    both = remote.pause_nodes(["gpu-01", "gpu-02"], until=until, last_of="default")
    assert [(node.name, node.desired.state) for node in both] == [
        ("gpu-01", "paused"),
        ("gpu-02", "paused"),
    ]
    assert seen(remote.nodes()) == seen(led.fleet.nodes())
    assert [node.desired for node in remote.resume_nodes("gpu-01")] == [None]
    remote.rescan("gpu-01")
    assert remote.node_times("gpu-01") == led.fleet.node_times("gpu-01")
    assert nodes.beat("gpu-02", worker=WORKER).wanted.own.state == "paused"


def test_nodes_are_doubted_and_pools_taken_out_alike(remote, led, nodes):
    told = remote.quarantine_nodes("gpu-01", reason="grey pictures")
    assert seen(told) == seen(node for node in led.fleet.nodes() if node.name == "gpu-01")
    assert remote.probe_nodes(["gpu-01"])[0].quarantine == told[0].quarantine
    assert remote.clear_nodes(["gpu-01"], reason="a new cable")[0].quarantine is None
    until = datetime.now(UTC) + timedelta(hours=1)
    assert remote.drain_pools("default", until=until) == led.fleet.pools() == remote.pools()
    assert nodes.beat("gpu-02", worker=WORKER).wanted.pool.state == "drained"
    assert remote.pause_pools(["default"], reason="night")[0].desired.state == "paused"
    assert [pool.desired for pool in remote.resume_pools(["default"])] == [None]


def test_results_of_a_batch_are_lines_alike(remote, led):
    batch = remote.submit_many(GRAPH, ROWS)
    first = next(job for _, job in remote.batch_jobs(batch.id))
    led.cancelled(first)
    for statuses in ([], ["cancelled"], ["failed"]):
        ours = list(led.fleet.batch_result_lines(batch.id, statuses=statuses))
        assert list(remote.batch_result_lines(batch.id, statuses=statuses)) == ours
        assert list(remote.batch_results(batch.id, statuses=statuses)) == list(
            led.fleet.batch_results(batch.id, statuses=statuses)
        )
    assert len(list(remote.batch_results(batch.id, statuses=["cancelled"]))) == 1


class Taken:
    """What watches have delivered so far."""

    def __init__(self, watch):
        self.watch = watch
        self.items = []

    def until(self, what):
        def is_there():
            self.items += self.watch.take(wait=timedelta(milliseconds=50))
            return what([item for item in self.items if item is not LAGGED])

        wait_until(is_there, description="it is delivered")
        return [item.event for item in self.items]


def settle(fleet):
    """Return once no watch will hear any more that the last test's Redis was emptied."""
    with fleet.watch(EVERYTHING) as watch:
        told = [LAGGED]
        while told[-1] is LAGGED:
            fleet.submit(GRAPH)
            told += watch.take(wait=timedelta(seconds=1))


def test_a_watch_delivers_what_the_library_s_does(remote, led, api):
    settle(remote)
    with client(api("press")) as press:
        press.submit(GRAPH)
    job, batch = remote.submit(GRAPH), remote.submit_many(GRAPH, ROWS)
    topics = (job.id, batch.id)
    with remote.watch(*topics) as theirs, led.fleet.watch(*topics) as ours:
        assert theirs.since != ""
        remote.cancel(job.id)
        row = next(job for _, job in remote.batch_jobs(batch.id))
        remote.cancel(row.id)
        remote.submit(GRAPH)  # nobody watches it
        told = [
            Taken(watch).until(lambda items: {item.event.job for item in items} >= {job.id, row.id})
            for watch in (ours, theirs)
        ]
        assert told[0] == told[1]
    with remote.watch(EVERYTHING) as watch:
        # The client still hears of what came before: of that it may deliver what lies after `since`.
        other = remote.submit(GRAPH)
        told_all = Taken(watch).until(lambda items: other.id in {item.event.job for item in items})
        orders = [event_order(event.id) for event in told_all]
        assert orders == sorted(set(orders))
        assert orders[0] > event_order(watch.since)


def test_batches_and_nodes_are_watched_by_who_may(remote, api, nodes):
    batch = remote.submit_many(GRAPH, ROWS)
    with remote.watch_fleet(f"batch:{batch.id}", NODES) as watch:
        remote.submit_many(GRAPH, ROWS)
        nodes.register("gpu-03", worker=WORKER, fields={"pool": "default", "url": "http://gpu",
                       "state": NodeState.READY, "host": "here"})  # fmt: skip
        remote.hold_batch(batch.id)
        told = Taken(watch).until(lambda items: len(items) >= 2)
        assert {event.kind for event in told} == {"batch", "node"}
        assert {event.batch for event in told if event.kind == "batch"} == {batch.id}
    with client(api()) as shop:
        with shop.watch_fleet(BATCHES) as watch:
            new = shop.submit_many(GRAPH, ROWS)
            assert Taken(watch).until(len)[0].batch == new.id
            assert all(isinstance(item, FleetNotice) for item in watch.take(wait=timedelta(0)))
        with pytest.raises(ScopeMissing), shop.watch_fleet(NODES):
            pass


def test_events_after_an_id_are_read_anew_as_far_as_they_are_the_owner_s(remote, led, api):
    start = led.redis.xadd(keys.EVENTS, {"job": "-", "batch": "-", "kind": "none", "about": ""})
    with client(api("press")) as press:
        press.submit(GRAPH)
    jobs = [remote.submit(GRAPH) for _ in range(3)]
    [*_, last] = ours = [e for e in led.fleet.events(after=start) if e.owner == "shop"]
    assert list(remote.events(after=start)) == ours
    assert list(remote.events(after=start, until=ours[1].id)) == ours[:2]
    assert list(remote.events(after=last.id)) == []
    assert list(remote.fleet_events(after=start)) == ours
    assert list(remote.events(after="1-1")) == []
    assert {event.job for event in ours} == {job.id for job in jobs}


def test_more_jobs_than_one_stream_takes_are_followed_together(remote, led, monkeypatch):
    monkeypatch.setattr("producer.over_http.watch_methods._MOST_TOPICS", 2)
    jobs = [remote.submit(GRAPH) for _ in range(3)]
    told = remote.stream(*(job.id for job in jobs), timeout=SOON)
    first = [next(told) for _ in jobs]
    assert [(event.job, event.type) for event in first] == [(job.id, "snapshot") for job in jobs]
    for job in jobs:
        led.fleet.cancel(job.id)
    ended = list(told)
    assert {event.job for event in ended} == {job.id for job in jobs}
    assert {event.status for event in ended} == {"cancelled"}
    again = remote.stream(*(job.id for job in jobs), after=first[0].id, timeout=SOON)
    assert [event.status for event in again] == ["cancelled"] * 3


def test_a_preview_is_the_library_s(remote, led):
    job = led.running(remote.submit(GRAPH))
    for call in ("preview", "preview_note"):
        assert getattr(remote, call)(job.id) is getattr(led.fleet, call)(job.id) is None
    Previews(led.redis).write(hold(job), Picture("3:7 ä", "image/jpeg", picture(form="JPEG")))
    assert remote.preview(job.id) == led.fleet.preview(job.id)
    assert remote.preview(job.id).content == picture(form="JPEG")
    assert remote.preview_note(job.id) == led.fleet.preview_note(job.id)
    for call in ("preview", "preview_note"):
        assert getattr(remote, call)(NO_JOB) is getattr(led.fleet, call)(NO_JOB) is None


def test_a_webhook_s_secret_is_rotated_and_a_delivery_read_alike(remote, led):
    made = remote.webhooks.create("orders", "https://example.com/hook")
    new = remote.webhooks.rotate("orders", keep=timedelta(minutes=1))
    assert new.get_secret_value() not in ("", made.secret.get_secret_value())
    sent = remote.webhooks.test("orders")
    found = led.fleet.webhooks.delivery("orders", sent.id, owner="shop")
    assert remote.webhooks.delivery("orders", sent.id).id == found.id
    with pytest.raises(InvalidJob):
        remote.webhooks.rotate("orders", keep=timedelta(days=8))
