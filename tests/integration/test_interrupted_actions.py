"""Actions on many jobs are carried out once, whoever dies, helps or is late; what is torn keeps no other from its turn."""

from __future__ import annotations

from threading import Thread

import pytest
from redis import Redis

from producer.checking.check import Check
from producer.contract.outcomes import ActionState
from producer.store import keys
from producer.store.action_records import ActionRecords
from tests.integration.carried_actions import (
    Killed,
    carried_out,
    carrier,
    carry_all,
    dying,
    figures,
)


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
