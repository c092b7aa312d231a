"""Actions on many jobs that upkeep carries out: whole, counted rightly, and told."""

from __future__ import annotations

import json

import pytest

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
from producer.store.times import now_ms
from tests.graphs import sleeping
from tests.integration.carried_actions import (
    carried_out,
    carrier,
    carry_all,
    carrying_out,
    figures,
    statuses,
)
from tests.integration.test_upkeep import upkeep
from tests.polling import wait_until


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

    def pass_by():  # turns of one millisecond have no order
        before = now_ms(led.redis)
        wait_until(lambda: now_ms(led.redis) > before, description="time passes")

    begun = []
    for action in ("hold", "cancel"):
        begun.append(led.fleet.begin_action(action, "all"))
        pass_by()
    records = ActionRecords(led.redis)
    seen = []
    carrying = carrier(led)
    while waiting := records.waiting(2):
        seen.append(waiting[0])
        carrying._take_turn(waiting[0])
        pass_by()
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
