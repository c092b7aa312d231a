"""What persons want of nodes and pools, and what they have done, is written down and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.operations import DesiredState
from producer.store import keys, limits
from producer.store.actions import Actions
from producer.store.desired_states import of_nodes, of_pools
from tests.integration.checks import assert_found_and_mended, check

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_wish_stands_until_it_is_cleared_or_over(led):
    nodes, pools = of_nodes(led.redis), of_pools(led.redis)
    wish = nodes.set("gpu-01", DesiredState.DRAINED, actor="kim", reason="new card")
    nodes.set("gpu-02", DesiredState.PAUSED, actor="kim", until=now() - HOUR)
    pools.set("video", DesiredState.PAUSED, actor="kim", until=now() + HOUR)

    assert nodes.get() == {"gpu-01": wish}
    assert (wish.state, wish.actor, wish.reason, wish.until) == ("drained", "kim", "new card", None)
    assert abs(wish.since - now()) < HOUR
    assert pools.get()["video"].until > now()
    assert nodes.clear("gpu-01")
    assert not nodes.clear("gpu-01")
    assert nodes.get() == {}
    assert check(led) == []


@pytest.mark.parametrize("name", ["", "GPU", "a b", "a:b", "x" * 64])
def test_a_wish_for_what_is_no_name_is_refused(led, name):
    with pytest.raises(ValueError, match="no name of a node or pool"):
        of_nodes(led.redis).set(name, DesiredState.PAUSED, actor="kim")
    with pytest.raises(ValueError, match="no time zone"):
        of_nodes(led.redis).set(
            "gpu-01", DesiredState.PAUSED, actor="kim", until=now().replace(tzinfo=None)
        )
    assert led.redis.exists(keys.DESIRED) == 0


def test_a_word_of_a_newer_version_is_kept_and_what_is_torn_is_found(led):
    newer = (
        '{"state": "windowed", "actor": "kim", "since": "2026-11-28T12:00:00Z", "from": "22:00"}'
    )
    led.redis.hset(keys.POOLS, mapping={"video": newer})
    assert of_pools(led.redis).get()["video"].state == "windowed"
    assert check(led) == []
    for torn in ("{", "[]", "7", '{"state": "paused"}', newer.replace("00Z", "00")):
        led.redis.hset(keys.DESIRED, "gpu-01", torn)
        assert of_nodes(led.redis).get() == {}
        assert_found_and_mended(led, Kind.TORN_WISH, "gpu-01")


def test_actions_are_read_newest_first_and_page_by_page(led):
    actions = Actions(led.redis)
    for number in range(5):
        actions.write(
            "cancel", actor="kim", origin="cli@host", selection=f"batch:n{number}", count=number
        )
    led.redis.xadd(keys.ACTIONS, {"of": "tomorrow"})

    first = actions.newest(3)
    assert [action.count for action in first] == [4, 3]  # one cannot be read
    rest = actions.newest(10, before=first[-1].id)
    assert [action.selection for action in rest] == ["batch:n2", "batch:n1", "batch:n0"]
    assert (rest[0].what, rest[0].actor, rest[0].origin) == ("cancel", "kim", "cli@host")
    assert check(led) == []


def test_actions_are_bounded_in_number_and_length(led):
    actions = Actions(led.redis)
    actions.write("cancel", actor="kim\x1b[31m", reason="x" * 100_000)
    [action] = actions.newest(1)
    assert action.actor == "kim\\x1b[31m"
    assert len(action.reason) < 600
    with led.redis.pipeline(transaction=False) as pipe:
        for _ in range(limits.ACTIONS_KEPT + 500):
            pipe.xadd(keys.ACTIONS, {"what": "x"})
        pipe.execute()
    actions.write("cancel", actor="kim")
    assert led.redis.xlen(keys.ACTIONS) <= limits.ACTIONS_KEPT + 100
