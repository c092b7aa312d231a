"""What metrics tell: read from indexes and counters, by as many commands however many jobs there are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from producer.contract.figures import WaitingJobs
from producer.contract.nodes import NodeState, NodeWork
from producer.contract.queues import Tier
from producer.contract.totals import Durations, Recovery
from producer.contract.webhooks import DeliveryState, DeliveryTry
from producer.store import keys
from producer.store.deliveries import Deliveries
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH
from tests.integration.hand_led import LEASE, WORKER
from tests.integration.test_command_counts import calls
from tests.integration.test_upkeep import FAULT, KEEP, MESSAGES, sweep_twice


def register(led):
    store = NodeStore(led.redis, lease=LEASE)
    fields = {"pool": "video", "url": "http://gpu", "state": NodeState.READY, "host": "here"}
    store.register("gpu-01", worker=WORKER, fields=fields)
    return store


def counted(led):
    found = Counter()
    for line in led.fleet.figures().waiting:
        found[line.pool, line.tier, line.is_held] += line.jobs
    return found


def test_what_waits_is_counted_by_pool_and_tier_and_what_stands_in_no_queue_together(led):
    led.queued()
    led.running()
    led.delayed()
    led.fleet.hold(led.queued().id)
    led.fleet.submit_many(GRAPH, [{}] * 7, pool="night", tier="batch")
    batch = led.fleet.submit_many(GRAPH, [{}] * 5, tier="idle")
    led.fleet.hold_batch(batch.id)
    fed = led.fleet.batch(batch.id).counts
    register(led)
    led.queued(pool="video", tier="rush")
    led.queued(pool="video", pin="gpu-01", tier="rush")
    assert counted(led) == {
        ("default", Tier.DEFAULT, False): 1,
        ("video", Tier.RUSH, False): 2,
        ("night", Tier.BATCH, False): 7,
        **({("default", Tier.IDLE, True): fed.waiting} if fed.waiting else {}),
        ("", None, True): 2 + fed.held,
    }


def test_the_oldest_is_the_first_of_its_queue_by_when_it_came_there(led):
    first = led.queued()
    led.queued()
    [line] = led.fleet.figures().waiting
    assert isinstance(line, WaitingJobs)
    assert line.oldest_at == first.queued_at


def test_as_many_commands_are_run_however_many_jobs_wait_or_have_ended(led):
    def cost():
        before = calls(led.redis)
        led.fleet.figures()
        return calls(led.redis) - before

    led.queued()
    led.fleet.hold(led.queued().id)
    led.failed()
    cost()  # loads the script
    few = cost()
    for _ in range(50):
        led.queued()
        led.fleet.hold(led.queued().id)
    for _ in range(20):
        led.failed()
    assert cost() == few


def test_a_beat_tells_what_its_node_has_done_by_no_more_commands(led):
    nodes = register(led)

    def cost(work):
        before = calls(led.redis)
        nodes.beat("gpu-01", worker=WORKER, work=work)
        return calls(led.redis) - before

    work = NodeWork(rendered_s=3.5, gaps=Durations(seconds=999, within={0.01: 2, float("inf"): 1}))
    cost(None)
    assert cost(work) == cost(None)
    [node] = led.fleet.figures().nodes
    assert node.work == work
    led.redis.hset(keys.node("gpu-01"), "work", "{")
    assert [node.work for node in led.fleet.figures().nodes] == [None]


def test_what_goes_on_after_something_was_lost_is_counted(led):
    sweeps = Sweeps(led.redis, keep_ended=KEEP)
    led.running()
    for _ in range(2):  # asked again, the same job
        sweeps.take_back("gpu-01", worker="next", lease=LEASE)
    lapsed = led.running()
    led.redis.zadd(keys.LEASES, {lapsed.id: 1})
    led.store.requeue(lapsed.id, attempt=1, worker=None, error=FAULT, charged=False)
    led.redis.delete(MESSAGES)
    sweep_twice(led)
    assert led.fleet.totals()["default"].recovered == dict.fromkeys(Recovery, 1)


def test_a_message_to_a_webhook_is_late_unless_its_receiver_fails(led):
    deliveries = Deliveries(led.redis)
    assert led.fleet.figures().webhooks.oldest_due_at is None
    for hook in ("shop:good", "shop:bad"):
        for number in range(2):
            deliveries.add(hook, f"{number}", event="job.failed", body="{}")
    figures = led.fleet.figures().webhooks
    assert (figures.undelivered, figures.failing) == (4, 0)
    assert figures.oldest_due_at <= datetime.now(UTC)
    attempt = DeliveryTry(at=datetime.now(UTC), status=500)
    tried = [deliveries.take(within=timedelta(minutes=1)) for _ in range(4)]
    for one in tried:
        state = DeliveryState.DELIVERED if one.webhook == "shop:good" else DeliveryState.WAITING
        deliveries.settle(one, state, attempt)
    figures = led.fleet.figures().webhooks
    assert (figures.undelivered, figures.failing, figures.oldest_due_at) == (2, 1, None)


def test_actions_that_have_not_ended_are_counted_with_the_first_of_them(led):
    led.queued()
    first = led.fleet.begin_action("hold", "status:queued")
    led.fleet.begin_action("hold", "tier:idle")
    actions = led.fleet.figures().actions
    assert (actions.open, actions.oldest_at) == (2, first.created_at)
    assert actions.oldest_turn_at == first.created_at


def test_redis_tells_its_memory_and_its_limit_if_it_has_one(led):
    memory = led.fleet.figures().memory
    assert memory.used > 100_000
    assert memory.limit is None
    led.redis.config_set("maxmemory", "1gb")
    try:
        assert led.fleet.figures().memory.limit == 1 << 30
    finally:
        led.redis.config_set("maxmemory", 0)
