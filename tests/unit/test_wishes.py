"""What a node that a person wants to rest says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from producer.contract.nodes import NodeState
from producer.contract.operations import Asked, Desired, Wanted
from worker.node.wishes import Wishes

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def told(state, **more):
    wishes = Wishes("video")
    assert wishes.on_told(Wanted(wish(state, **more)))
    return wishes


def wish(state, **more):
    return Desired(state=state, actor="kim", since=NOON, **more)


@pytest.mark.parametrize(
    ("state", "is_busy", "expected"),
    [
        ("drained", True, NodeState.DRAINING),
        ("drained", False, NodeState.PAUSED),
        ("paused", True, NodeState.PAUSED),
        ("quarantined", True, NodeState.QUARANTINED),
    ],
)
def test_only_a_drained_node_that_holds_jobs_is_draining(state, is_busy, expected):
    wishes = told(state)
    assert wishes.shown(NodeState.READY, "", is_busy=is_busy) == (expected, f"{state} by kim")
    assert not wishes.is_none


def test_its_reason_says_who_until_when_and_why():
    shown = told("paused", until=NOON, reason="the band plays").shown(
        NodeState.READY, "", is_busy=False
    )
    assert shown[1] == "paused by kim, until 2026-11-28 12:00 UTC: the band plays"


def test_a_node_that_is_not_well_says_that():
    sick = (NodeState.UNREACHABLE, "it does not answer")
    assert told("paused").shown(*sick, is_busy=False) == sick


def test_a_wish_counts_once_until_it_is_another_one():
    wishes = told("drained")
    assert not wishes.on_told(Wanted(wish("drained")))
    assert wishes.on_told(Wanted(wish("paused")))
    assert wishes.is_pause
    assert wishes.on_told(Wanted())
    assert wishes.is_none


def test_a_word_of_a_newer_version_is_not_obeyed():
    wishes = Wishes("video")
    assert not wishes.on_told(Wanted(wish("windowed")))
    assert wishes.is_none


def test_what_is_wanted_of_the_node_and_of_its_pool_is_told_apart_and_both_hold():
    wishes = Wishes("video")
    assert wishes.on_told(Wanted(wish("drained"), None, wish("paused", reason="the night")))
    shown = wishes.shown(NodeState.READY, "", is_busy=True)
    assert shown == (NodeState.PAUSED, "drained by kim; pool video paused by kim: the night")
    assert wishes.on_told(Wanted(None, None, wish("drained")))
    shown = wishes.shown(NodeState.READY, "", is_busy=True)
    assert shown == (NodeState.DRAINING, "pool video drained by kim")
    assert wishes.on_told(Wanted(None, wish("quarantined"), wish("drained")))
    assert wishes.shown(NodeState.READY, "", is_busy=True)[0] is NodeState.QUARANTINED
    assert wishes.is_pause


def test_what_is_asked_once_is_done_once_and_not_by_the_next_worker():
    wishes = Wishes("video")
    earlier = Wanted(clear_asked="7", probe_asked="9")
    assert wishes.asked(earlier) == Asked()
    wishes.on_told(earlier)
    assert wishes.asked(earlier) == Asked()
    assert wishes.asked(earlier._replace(probe_asked="10")) == Asked(probe=True)
    assert wishes.asked(Wanted()) == Asked()
    wishes.on_told(Wanted())
    assert wishes.asked(Wanted(clear_asked="11")) == Asked(clear=True)
    assert wishes.asked(Wanted(restart_now_asked="12")) == Asked(restart_now=True)
