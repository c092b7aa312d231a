"""An action on many jobs that somebody stops: what is done stays done and is counted exactly, nothing more is done."""

from __future__ import annotations

import json

import pytest

from producer.checking.check import Check
from producer.contract.errors import ActionFailed, ActionNotFound
from producer.contract.outcomes import ActionState
from producer.store import keys
from producer.store.action_records import ActionRecords
from producer.store.actions import Actions
from tests.integration.api_server import problem
from tests.integration.carried_actions import Killed, carrier, carry_all, dying, figures

NOBODY = "01a202b8-2e5f-7533-81db-221426b72003"


def logged(led):
    return [(one.what, one.actor, one.selection) for one in Actions(led.redis).newest(5)]


def begun_turn(led, verb="cancel"):
    """Begin an action and its first turn, of two jobs, and return its id: its process has died then."""
    begun = led.fleet.begin_action(verb, "all")
    records = ActionRecords(led.redis)
    carrier(led)._begin(records.turn(begun.id))
    assert len(records.turn(begun.id).jobs) == 2
    return begun.id


def test_one_that_is_between_turns_ends_at_once(led):
    jobs = [led.queued() for _ in range(3)]
    begun = led.fleet.begin_action("cancel", "all")
    records = ActionRecords(led.redis)
    late = records.turn(begun.id)
    stopped = led.fleet.cancel_action(begun.id, actor="kim", reason="the wrong filter")
    assert figures(stopped) == (ActionState.CANCELLED, 0, 0, 0)
    assert stopped.cancel_asked_at == stopped.ended_at
    assert logged(led)[0] == ("action.cancel", "kim", begun.id)
    assert not records.begin_turn(late, [job.id for job in jobs], None)
    carry_all(led)
    assert led.fleet.action(begun.id) == stopped == led.fleet.cancel_action(begun.id)
    assert {led.fleet.get(job.id).status for job in jobs} == {"queued"}
    assert len(logged(led)) == 2
    with pytest.raises(ActionFailed, match=f"action {begun.id} was stopped after 0 jobs"):
        led.fleet.wait_action(begun.id)


def test_the_jobs_at_hand_are_done_and_counted_before_it_ends(led):
    jobs = [led.queued() for _ in range(5)]
    action = begun_turn(led)
    for _ in range(2):
        stopping = led.fleet.cancel_action(action)
        assert figures(stopping) == (ActionState.RUNNING, 0, 0, 0)
        assert stopping.cancel_asked_at
    carry_all(led)
    assert figures(led.fleet.action(action)) == (ActionState.CANCELLED, 2, 2, 0)
    assert sum(led.fleet.get(job.id).status == "cancelled" for job in jobs) == 2
    assert [what for what, *_ in logged(led)] == ["action.cancel", "cancel"]
    with Check(led.settings) as check:
        assert list(check.run()) == []


def test_one_whose_last_jobs_are_at_hand_is_done(led):
    for _ in range(2):
        led.queued()
    action = begun_turn(led)
    led.fleet.cancel_action(action)
    carry_all(led)
    assert figures(led.fleet.action(action)) == (ActionState.DONE, 2, 2, 0)


def test_whoever_dies_at_any_command_has_done_what_is_counted(led, redis_server):
    """And a turn that a worker which knows nothing of stopping began is not gone on with."""
    has_died, after = True, 0
    while has_died:
        has_died, after = False, after + 1
        for _ in range(3):
            led.queued(owner=f"of-{after}")
        begun = led.fleet.begin_action("hold", f"owner:of-{after}")
        with dying(redis_server.url, after=after) as redis:
            try:
                carrier(led, a_turn=1, redis=redis).carry_out()
            except Killed:
                has_died = True
        led.fleet.cancel_action(begun.id)
        carry_all(led)
        record = led.fleet.action(begun.id)
        held = len(led.fleet.jobs(f"owner:of-{after} status:held").jobs)
        assert (record.done, record.matched) == (held, held), after
        assert record.state is (ActionState.DONE if held == 3 else ActionState.CANCELLED), after
    assert after > 15


def test_what_ended_before_stays_as_it_is(led):
    led.queued()
    begun = led.fleet.begin_action("hold", "all")
    carry_all(led)
    assert led.fleet.cancel_action(begun.id) == led.fleet.action(begun.id)
    assert len(logged(led)) == 1
    for none in (NOBODY, "x"):
        with pytest.raises(ActionNotFound):
            led.fleet.cancel_action(none)
    assert not led.redis.exists(keys.action(NOBODY))


def test_over_http_an_owner_stops_its_own(api, led):
    shop, press = api("shop"), api("press")
    job = shop.submit()
    told = shop.post("/v1/actions", {"action": "hold", "filter": "tier:default"}).json()
    stop = told["links"]["cancel"]
    problem(press.post(stop), 404, "not-found")
    problem(api("shop", scopes="read").post(stop), 403, "forbidden")
    [flaw] = problem(shop.post(stop, {"why": "x"}), 422, "invalid-request")["errors"]
    assert (flaw["pointer"], flaw["allowed"]) == ("#/why", ["reason"])
    stopped = shop.post(stop, {"reason": "a typo"}).json()
    assert (stopped["state"], stopped["done"]) == ("cancelled", 0)
    assert shop.post(stop).json() == stopped
    carry_all(led)
    assert shop.get(job["links"]["self"]).json()["status"] == "queued"
    entry = Actions(led.redis).newest(1)[0]
    assert (entry.what, entry.reason) == ("action.cancel", "a typo")
    assert entry.actor.startswith("key shop-")


def test_at_a_shell_it_is_stopped_by_its_id(led):
    led.queued()
    begun = led.fleet.begin_action("hold", "all")
    told = json.loads(led.command("action", "stop", begun.id, "--json").stdout)
    assert (told["id"], told["state"]) == (begun.id, "cancelled")
    assert logged(led)[0][0] == "action.cancel"
