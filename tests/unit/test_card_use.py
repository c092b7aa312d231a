"""How long a node renders, and which times between its renders are gaps."""

from __future__ import annotations

import math

import pytest

from tests.clock import Clock
from worker.scheduling.card_use import CardUse
from worker.scheduling.gate import Gate
from worker.scheduling.render_times import RenderKind

KIND = RenderKind("0123456789abcdef", "a" * 64)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def card(clock):
    card = CardUse(clock)
    card.set_open(is_open=True)
    return card


def rendered(card, clock, seconds=2.0):
    card.on_turn(clock.now)
    clock.now += seconds
    card.on_free()


def gaps(card):
    return card.counted().gaps.within


def test_a_gap_is_as_long_as_the_next_job_waited_in_it(card, clock):
    rendered(card, clock)
    free_at = clock.now
    clock.now += 40
    card.on_turn(free_at + 37)  # it came 3 s before its prompt was posted
    assert gaps(card) == {0.01: 1, 5.0: 1}
    clock.now += 2
    card.on_free()
    clock.now += 400
    card.on_turn(0)  # it had waited all along
    assert gaps(card) == {0.01: 1, 5.0: 1, math.inf: 1}
    assert card.counted().gaps.seconds == 403


def test_a_prompt_that_lay_there_in_time_has_a_gap_of_nothing(card, clock):
    card.on_turn(clock.now)
    clock.now += 2
    card.on_turn(clock.now - 1)
    clock.now += 3
    card.on_free()
    assert card.counted().gaps.seconds == 0
    assert gaps(card) == {0.01: 2}
    assert card.counted().rendered_s == 5


def test_a_render_that_goes_on_counts_with_what_has_passed_of_it(card, clock):
    card.on_turn(clock.now)
    clock.now += 3600
    assert card.counted().rendered_s == 3600


def test_while_a_node_takes_no_jobs_it_has_no_gap(card, clock):
    rendered(card, clock)
    card.set_open(is_open=False)
    clock.now += 100
    card.set_open(is_open=True)
    clock.now += 4
    card.on_turn(0)
    assert card.counted().gaps.seconds == 4
    card.set_open(is_open=False)  # it ends what it renders
    clock.now += 1
    card.on_free()
    clock.now += 50
    card.on_turn(0)  # taken before, as after a restart of its worker
    assert sum(gaps(card).values()) == 2


def test_the_gate_tells_what_becomes_of_the_card():
    gate = Gate()
    gate.set_ready(ready=True)

    def posted(waited_s=0.0):
        slot = gate.take_slot()
        slot.on_claimed(waited_s=waited_s)
        slot.on_posted(KIND, on_change=lambda: None)
        return slot

    first, second = posted(), posted()
    first.release()
    second.release()
    second.release()
    assert gate.card_use.counted().gaps.within == {0.01: 2}
    counted = gate.card_use.counted().rendered_s
    gate.set_takes(takes=False)
    posted(waited_s=60).release()
    assert gate.card_use.counted().gaps.within == {0.01: 2}
    assert gate.card_use.counted().rendered_s >= counted
