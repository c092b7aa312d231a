"""Whose lease has run out: seen by a process' own clock, and not by Redis' alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.upkeep.lapse_evidence import LeaseWatch

LEASE_MS = 15_000


@pytest.fixture
def watch():
    """A watch that wants 10 s without a renewal, and a way to look with it at a time."""
    now = [0.0]
    watch = LeaseWatch(unrenewed=timedelta(seconds=10), clock=lambda: now[0])

    def look(at: float, *, ends: float, redis_ms: float) -> list[str]:
        now[0] = at
        return watch.lapsed([("job", ends)], redis_ms)

    return look


def test_a_clock_that_is_stepped_ahead_ends_no_lease_that_is_renewed(watch):
    step = 20_000
    assert watch(0, ends=LEASE_MS, redis_ms=0) == []
    assert watch(1, ends=LEASE_MS, redis_ms=step + 1_000) == []
    assert watch(5, ends=step + 5_000 + LEASE_MS, redis_ms=step + 5_000) == []


def test_a_lease_that_nobody_renews_ends_no_later_for_being_watched(watch):
    for second in range(15):
        assert watch(second, ends=LEASE_MS, redis_ms=second * 1_000) == []
    assert watch(15, ends=LEASE_MS, redis_ms=15_000) == ["job"]


def test_who_looks_for_the_first_time_waits_for_a_renewal(watch):
    assert watch(0, ends=LEASE_MS, redis_ms=60_000) == []
    assert watch(9, ends=LEASE_MS, redis_ms=69_000) == []
    assert watch(10, ends=LEASE_MS, redis_ms=70_000) == ["job"]
