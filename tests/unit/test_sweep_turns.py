"""Sweep turns: who tries to sweep, when, and when it leaves that to others."""

from __future__ import annotations

import pytest

from producer.upkeep.sweep_turns import TERM_S, SweepTurns
from tests.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def turns(clock):
    return SweepTurns(every_s=1.0, clock=clock)


def test_whoever_hears_nothing_tries(turns):
    assert turns.is_due()
    turns.on_tried(leads=False)
    assert turns.is_due()


def test_whoever_hears_another_one_sweep_waits_until_it_falls_silent(turns, clock):
    for _ in range(5):
        turns.on_said()
        assert not turns.is_due()
        clock.now += 2.0
        assert not turns.is_due()
    clock.now += 4.0
    assert turns.is_due()


def test_who_leads_goes_on_whatever_it_hears(turns):
    turns.on_tried(leads=True)
    turns.on_said()
    assert turns.is_due()


def test_who_loses_the_lock_waits_like_the_others(turns):
    turns.on_tried(leads=True)
    turns.on_tried(leads=False)
    turns.on_said()
    assert not turns.is_due()


def test_who_leads_says_so_every_two_seconds_unless_the_outlook_does(turns, clock):
    said = []
    for second in range(8):
        said.append(turns.has_to_say(told=second == 3))
        clock.now += 1
    assert said == [True, False, True, False, False, True, False, True]


@pytest.mark.parametrize("is_whole", [True, False], ids=["its term is over", "a step failed"])
def test_it_is_left_to_others_where_there_are_any(turns, clock, is_whole):
    turns.on_tried(leads=True)
    clock.now += TERM_S if is_whole else 1
    turns.on_others(present=False)
    assert not turns.on_swept(is_whole=is_whole)
    turns.on_others(present=True)
    assert turns.on_swept(is_whole=is_whole)
    assert not turns.is_due()
    clock.now += 3
    assert turns.is_due(), "nobody else has begun"


def test_a_term_is_not_ended_before(turns, clock):
    turns.on_others(present=True)
    turns.on_tried(leads=True)
    clock.now += TERM_S / 2
    assert not turns.on_swept(is_whole=True)
    assert turns.is_due()


def test_who_hears_that_it_is_left_to_others_tries_at_once(turns):
    turns.on_said()
    turns.on_left()
    assert turns.is_due()
