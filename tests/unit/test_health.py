"""A node's standing: three faults set it aside, a canary and a trial job bring it back."""

from __future__ import annotations

import pytest

from tests.clock import Clock
from worker.node.health import Health, HealthPolicy, Standing


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(HealthPolicy(faults=3, window_s=600, first_s=60, longest_s=200), clock=clock)


def quarantined(health):
    for _ in range(3):
        health.on_fault("no progress")


def test_one_fault_needs_one_canary(health):
    health.on_fault("no progress")
    assert (health.may_take, health.needs_canary) == (False, True)
    health.on_canary_passed()
    assert (health.standing, health.may_take, health.reason) == (Standing.WELL, True, "")


def test_the_third_fault_in_ten_minutes_sets_it_aside(health):
    for _ in range(2):
        health.on_fault("no progress")
        health.on_canary_passed()
    health.on_fault("no progress")
    assert health.standing is Standing.QUARANTINED
    assert (health.may_take, health.needs_canary) == (False, False)
    assert health.reason == "no progress; set aside for 60 s"


def test_old_faults_are_forgotten(health, clock):
    for _ in range(5):
        health.on_fault("no progress")
        health.on_canary_passed()
        clock.now += 400
    assert health.standing is Standing.WELL


def test_after_its_time_a_canary_and_one_job_decide(health, clock):
    quarantined(health)
    clock.now += 60
    assert health.needs_canary
    health.on_canary_passed()
    assert (health.standing, health.may_take) == (Standing.TRIAL, True)
    health.on_success()
    assert health.standing is Standing.WELL
    health.on_fault("no progress")
    assert health.standing is Standing.SUSPECT


def test_a_failed_trial_doubles_the_time_up_to_a_bound(health, clock):
    quarantined(health)
    for expected in (60, 120, 200, 200):
        clock.now += expected - 1
        assert not health.needs_canary
        clock.now += 1
        assert health.needs_canary
        health.on_canary_passed()
        health.on_fault("again")


def test_a_failed_canary_counts_as_a_fault(health, clock):
    quarantined(health)
    clock.now += 60
    health.on_fault("the canary did not end")
    assert health.standing is Standing.QUARANTINED
    assert not health.needs_canary


def test_the_last_node_of_its_pool_is_not_set_aside_and_says_so(health):
    for _ in range(4):
        health.on_fault("no progress", is_last_of_pool=True)
    assert health.standing is Standing.SUSPECT
    assert "no other node of the pool was ready" in health.reason


def test_success_of_a_suspect_changes_nothing(health):
    health.on_fault("no progress")
    health.on_success()
    assert health.standing is Standing.SUSPECT


def test_a_probe_that_is_asked_for_waits_for_no_back_off_and_begins_the_trial(health):
    quarantined(health)
    assert not health.needs_canary
    health.on_probe_asked()
    assert health.needs_canary
    assert health.take_probe()
    assert (health.needs_canary, health.take_probe()) == (False, False)
    health.on_canary_passed()
    assert health.standing is Standing.TRIAL


def test_a_probe_of_a_node_in_no_doubt_keeps_it_as_it_is_while_it_passes(health):
    health.on_probe_asked()
    assert (health.may_take, health.needs_canary, health.take_probe()) == (True, True, True)
    health.on_canary_passed()
    assert (health.standing, health.reason) == (Standing.WELL, "")
    quarantined(health)
    health.on_probe_asked()
    health.on_canary_passed()
    health.on_canary_passed()
    assert health.standing is Standing.TRIAL  # only a job ends that


def test_who_is_cleared_is_well_and_begins_at_the_first_back_off(health, clock):
    quarantined(health)
    clock.now += 61
    health.on_canary_passed()
    health.on_fault("no progress")
    assert health.reason == "no progress; set aside for 120 s"
    health.clear()
    assert (health.standing, health.reason, health.may_take) == (Standing.WELL, "", True)
    health.on_fault("no progress")
    assert health.standing is Standing.SUSPECT
    health.on_fault("no progress")
    health.on_fault("no progress")
    assert health.reason == "no progress; set aside for 60 s"


def test_a_canary_that_was_sent_before_the_last_fault_says_nothing_of_it(health):
    health.on_fault("no progress")
    sent = health.fault_count
    health.on_fault("no progress")
    health.on_fault("no progress")
    health.on_canary_passed(faults_before=sent)
    assert health.standing is Standing.QUARANTINED
    health.on_canary_passed(faults_before=health.fault_count)
    assert health.standing is Standing.TRIAL
