"""Actions on many jobs that upkeep carries out: whole, counted rightly, and once, whoever dies or helps."""

from __future__ import annotations

import json
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from redis import ConnectionPool, Redis
from redis.connection import Connection

from producer.checking.check import Check
from producer.contract.errors import (
    ActionFailed,
    ActionNotFound,
    InvalidJob,
    KeyReused,
    TooManyActions,
)
from producer.contract.jobs import JobStatus
from producer.contract.outcomes import ActionState
from producer.store import keys
from producer.store.action_records import ActionRecords
from producer.store.actions import Actions
from producer.store.job_store import JobStore
from producer.upkeep.bulk_actions import BulkActions
from tests.graphs import sleeping
from tests.integration.test_upkeep import KEEP, upkeep


def carrier(led, *, a_turn=2, redis=None) -> BulkActions:
    redis = redis or led.redis
    store = JobStore(redis, keep_ended=KEEP)
    return BulkActions(redis, store, led.fleet._dispatch, a_turn=a_turn)


def carry_all(led) -> None:
    """Sweep until no action waits; one sweep is not enough where it is slow, as with the first message of a process."""
    while led.redis.exists(keys.ACTIONS_WAITING):
        carrier(led).carry_out()


def carried_out(led, action, words="all", **options):
    """Begin an action, carry it out, and return its record."""
    begun = led.fleet.begin_action(action, words, **options)
    carry_all(led)
    return led.fleet.action(begun.id)


@contextmanager
def carrying_out(led):
    """Carry out what is asked for within the block."""
    is_over = Event()

    def carry():
        while not is_over.wait(0.02):
            carrier(led).carry_out()

    thread = Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(20)


def figures(record):
    return record.state, record.matched, record.done, record.refused


def statuses(led, jobs):
    return [led.fleet.get(job.id).status for job in jobs]


def test_upkeep_carries_an_action_out_and_its_record_tells_how_far_it_is(led):
    jobs = [led.queued() for _ in range(5)]
    begun = led.fleet.begin_action("cancel", "status:queued", actor="anna", reason="a typo")
    assert figures(begun) == (ActionState.WAITING, 0, 0, 0)
    assert (begun.counted, begun.counted_all, begun.filter) == (5, True, "status:queued")
    assert statuses(led, jobs) == [JobStatus.QUEUED] * 5
    [logged] = Actions(led.redis).newest(5)
    assert (logged.what, logged.actor, logged.count, logged.reason) == (
        "cancel",
        "anna",
        5,
        "a typo",
    )
    upkeep(led, redis=led.redis).sweep()
    assert statuses(led, jobs) == [JobStatus.CANCELLED] * 5
    ended = led.fleet.wait_action(begun.id)
    assert figures(ended) == (ActionState.DONE, 5, 5, 0)
    assert begun.created_at <= ended.started_at <= ended.ended_at
    assert led.fleet.actions(owner="") == led.fleet.actions() == [ended]
    assert not led.redis.exists(keys.ACTIONS_WAITING)


def test_each_verb_does_what_it_does_with_one_job(led):
    jobs = [led.queued() for _ in range(3)]
    for action, status in (("hold", "held"), ("release", "queued"), ("cancel", "cancelled")):
        assert figures(carried_out(led, action)) == (ActionState.DONE, 3, 3, 0)
        assert statuses(led, jobs) == [status] * 3
    assert figures(carried_out(led, "retry")) == (ActionState.DONE, 3, 3, 0)
    assert figures(carried_out(led, "retry")) == (ActionState.DONE, 0, 0, 0)
    again = [led.fleet.get(job.id).retried_as for job in jobs]
    assert [led.fleet.get(job).status for job in again] == [JobStatus.QUEUED] * 3


def test_a_job_with_which_nothing_can_be_done_is_told_with_its_reason(led):
    secret = led.fleet.submit(sleeping(), extra_data={"api_key_comfy_org": "x"})
    for job in (secret, led.queued()):
        led.cancelled(job)
    record = carried_out(led, "retry")
    assert figures(record) == (ActionState.DONE, 2, 1, 1)
    [refusal] = record.refusals
    assert refusal.job == secret.id
    assert "api_key_comfy_org, which is forgotten" in refusal.reason
    batch = led.fleet.submit_many(sleeping(), [{"1.color": n} for n in range(7)])
    record = carried_out(led, "hold", f"batch:{batch.id}")
    assert figures(record) == (ActionState.DONE, 7, 0, 7)
    assert len(record.refusals) == 5
    assert record.refusals[0].reason == f"it waits as a row of its batch; hold that: {batch.id}"
    assert figures(carried_out(led, "cancel", f"batch:{batch.id}")) == (ActionState.DONE, 7, 7, 0)


def test_what_is_handed_in_after_the_request_is_not_meant(led):
    before = led.queued()
    begun = led.fleet.begin_action("cancel", "all")
    after = led.queued()
    carrier(led).carry_out()
    assert led.fleet.action(begun.id).done == 1
    assert statuses(led, [before, after]) == [JobStatus.CANCELLED, JobStatus.QUEUED]


class Killed(BaseException):
    """The process has ended here."""


def dying(url, *, after: int) -> Redis:
    """Return a connection that ends its process when so many commands, or pipelines of them, were sent."""
    sent = 0

    class Dying(Connection):
        def send_packed_command(self, command, check_health=True):  # noqa: FBT002 - redis-py's
            nonlocal sent
            super().send_packed_command(command, check_health)
            sent += 1
            if sent == after:
                raise Killed

    pool = ConnectionPool.from_url(url, connection_class=Dying, decode_responses=True)
    return Redis(connection_pool=pool)


@pytest.mark.parametrize("action", ["cancel", "release", "retry"])
def test_a_process_that_dies_at_any_command_leaves_an_action_that_is_done_once(
    led, redis_server, action
):
    before = {"release": "hold", "retry": "cancel"}.get(action)
    has_died, after = True, 0
    while has_died and after < 100:
        has_died, after = False, after + 1
        words = f"owner:of-{after}"
        for _ in range(2):
            led.queued(owner=f"of-{after}")
        if before:
            carried_out(led, before, words)
        begun = led.fleet.begin_action(action, words)
        with dying(redis_server.url, after=after) as redis:
            try:
                carrier(led, a_turn=1, redis=redis).carry_out()
            except Killed:
                has_died = True
        carry_all(led)
        assert figures(led.fleet.action(begun.id)) == (ActionState.DONE, 2, 2, 0), after
        waiting = led.fleet.jobs(f"{words} status:queued").jobs
        assert len(waiting) == (0 if action == "cancel" else 2), after
    assert 15 < after < 100


def test_two_that_carry_an_action_out_at_once_do_it_once(led, redis_server):
    for _ in range(40):
        led.cancelled()
    begun = led.fleet.begin_action("retry", "all")
    with (
        Redis.from_url(redis_server.url, decode_responses=True) as one,
        Redis.from_url(redis_server.url, decode_responses=True) as other,
    ):
        threads = [Thread(target=carrier(led, a_turn=7, redis=r).carry_out) for r in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    carry_all(led)
    assert figures(led.fleet.action(begun.id)) == (ActionState.DONE, 40, 40, 0)
    assert len(led.fleet.jobs("status:queued").jobs) == 40


def test_who_is_late_with_a_turn_writes_nothing_of_it(led):
    led.queued()
    begun = led.fleet.begin_action("hold", "all")
    records = ActionRecords(led.redis)
    stale = records.turn(begun.id)
    carrier(led).carry_out()
    assert not records.begin_turn(stale, [], None)
    assert not records.end_turn(stale, error="it is late")
    assert figures(led.fleet.action(begun.id)) == (ActionState.DONE, 1, 1, 0)


def test_an_idempotency_key_makes_one_action_of_its_owner(led):
    led.queued()
    begun = led.fleet.begin_action("hold", "status:queued", idempotency_key="ä", owner="shop")
    carry_all(led)
    again = led.fleet.begin_action("hold", "status:queued", idempotency_key="ä", owner="shop")
    assert (again.id, again.state) == (begun.id, ActionState.DONE)
    assert len(Actions(led.redis).newest(5)) == 1
    for verb, words in (("cancel", "status:queued"), ("hold", "all")):
        with pytest.raises(KeyReused, match=f"made action {begun.id} from another request"):
            led.fleet.begin_action(verb, words, idempotency_key="ä", owner="shop")
    other = led.fleet.begin_action("cancel", "all", idempotency_key="ä", owner="press")
    assert other.id != begun.id
    with pytest.raises(InvalidJob, match="lone surrogate"):
        led.fleet.begin_action("hold", "all", idempotency_key="\ud800")


def test_actions_take_turns(led):
    for _ in range(6):
        led.queued()
    begun = [led.fleet.begin_action(action, "all") for action in ("hold", "cancel")]
    records = ActionRecords(led.redis)
    seen = []
    carrying = carrier(led)
    while waiting := records.waiting(2):
        seen.append(waiting[0])
        carrying._take_turn(waiting[0])
    assert seen[:4] == [begun[0].id, begun[1].id] * 2


def test_an_action_that_cannot_go_on_says_why_and_keeps_what_it_has_done(led):
    led.fleet.limit_owner("shop", max_waiting=3)
    for _ in range(5):
        led.cancelled(led.queued(owner="shop"))
    record = carried_out(led, "retry", "owner:shop", owner="shop")
    assert figures(record) == (ActionState.FAILED, 3, 3, 0)
    assert record.error == "owner shop has 3 jobs waiting; its limit is 3"
    with pytest.raises(ActionFailed, match="failed after 3 jobs: owner shop has 3 jobs waiting"):
        led.fleet.wait_action(record.id)
    led.fleet.limit_owner("shop", max_waiting=None)
    assert carried_out(led, "retry", "owner:shop", owner="shop", max_waiting=4).done == 1
    batch = led.fleet.submit_many(sleeping(), [{"1.color": 1}])
    begun = led.fleet.begin_action("cancel", f"batch:{batch.id}")
    led.redis.delete(keys.batch(batch.id))
    carrier(led).carry_out()
    assert led.fleet.action(begun.id).error == f"there is no batch {batch.id}"


def test_an_owner_has_ten_actions_that_wait_and_a_hundred_that_are_kept(led):
    for _ in range(10):
        led.fleet.begin_action("cancel", "all", owner="shop")
    with pytest.raises(TooManyActions, match="owner shop has 10 actions"):
        led.fleet.begin_action("cancel", "all", owner="shop")
    led.fleet.begin_action("cancel", "all", owner="press")
    first = led.fleet.actions(owner="shop")[-1]
    for _ in range(10):
        carrier(led).carry_out()
        for _ in range(10):
            led.fleet.begin_action("cancel", "all", owner="shop")
    assert len(led.fleet.actions(1_000, owner="shop")) == 100
    assert len(led.fleet.actions(1_000)) == 101
    assert len(list(led.redis.scan_iter(f"{keys.ACTION}*"))) == 101
    with pytest.raises(ActionNotFound):
        led.fleet.action(first.id)


def test_an_action_of_a_later_version_or_a_torn_one_keeps_no_other_from_its_turn(led):
    led.queued()
    later, torn, whole = (led.fleet.begin_action("hold", "all") for _ in range(3))
    led.redis.hset(keys.action(later.id), "v", 2)
    led.redis.hset(keys.action(torn.id), "terms", "{")
    carrier(led).carry_out()
    assert led.fleet.action(whole.id).state is ActionState.DONE
    assert [led.fleet.action(one.id).state for one in (later, torn)] == [ActionState.WAITING] * 2
    led.redis.delete(keys.action(torn.id))
    carrier(led).carry_out()
    assert led.redis.zrange(keys.ACTIONS_WAITING, 0, -1) == [later.id]


def test_check_finds_an_action_that_upkeep_would_not_come_to(led):
    begun = led.fleet.begin_action("hold", "all")
    led.redis.zrem(keys.ACTIONS_WAITING, begun.id)
    led.redis.zadd(keys.ACTIONS_WAITING, {"01a202b8-2e5f-7533-81db-221426b72003": 1})
    led.redis.expire(keys.ACTIONS_WAITING, 60)
    for repair, kinds in ((True, ["not_carried_out", "stray_entry"]), (False, [])):
        with Check(led.settings, repair=repair) as check:
            assert sorted(finding.kind for finding in check.run()) == kinds
    carrier(led).carry_out()
    assert led.fleet.action(begun.id).state is ActionState.DONE


@pytest.mark.writes_keys
def test_an_action_waits_while_something_else_stands_where_a_list_should(led):
    led.failed()
    begun = led.fleet.begin_action("retry", "all")
    led.redis.rename(keys.ended("failed"), "aside")
    led.redis.set(keys.ended("failed"), "no list", ex=60)
    carrier(led).carry_out()
    assert led.fleet.action(begun.id).state is ActionState.WAITING
    led.redis.rename("aside", keys.ended("failed"))
    carry_all(led)
    assert figures(led.fleet.action(begun.id)) == (ActionState.DONE, 1, 1, 0)


@pytest.mark.parametrize("field", ["terms", "counted", "written"])
def test_check_names_a_torn_action_and_leaves_it(led, field):
    begun = led.fleet.begin_action("hold", "all")
    led.redis.hset(keys.action(begun.id), field, "{")
    for repair in (True, False):
        with Check(led.settings, repair=repair) as check:
            [finding] = check.run()
        assert (finding.kind, finding.about) == ("unreadable_record", begun.id)


def test_at_a_shell_an_action_is_counted_begun_waited_for_and_shown(led):
    jobs = [led.queued(owner="shop") for _ in range(2)]
    counted = led.command("action", "cancel", "owner:shop", "-status:held")
    assert counted.returncode == 2
    assert "this would cancel 2 jobs" in counted.stderr
    assert statuses(led, jobs) == [JobStatus.QUEUED] * 2
    with carrying_out(led):
        done = led.command(
            *[
                "action",
                "cancel",
                "owner:shop",
                "--yes",
                "--wait",
                "20",
                "--reason",
                "typo",
                "--json",
            ],
        )
    record = json.loads(done.stdout)
    assert (record["state"], record["done"], record["reason"]) == ("done", 2, "typo")
    assert statuses(led, jobs) == [JobStatus.CANCELLED] * 2
    shown = led.command("action", "show", record["id"]).stdout
    assert shown.splitlines() == [f"{record['id']} cancel done", "counted 2, done 2, refused 0"]
