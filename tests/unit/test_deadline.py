"""How long an attempt may take, and what of it is not its own time."""

from __future__ import annotations

import pytest

from tests.clock import Clock
from worker.attempt.deadline import Deadline
from worker.errors import RunDeadlinePassed


@pytest.fixture
def clock():
    return Clock()


def test_what_ran_before_a_worker_came_back_counts(clock):
    deadline = Deadline(60, clock=clock)
    deadline.add_earlier_run(50)
    clock.now += 10
    deadline.check()
    clock.now += 1
    with pytest.raises(RunDeadlinePassed, match="longer than its 60 s"):
        deadline.check()


def test_the_wait_behind_another_prompt_is_not_its_own_time_and_has_an_end(clock):
    deadline = Deadline(60, clock=clock)
    clock.now += 20
    deadline.on_queued()
    clock.now += 60
    deadline.check()
    deadline.on_turn()
    clock.now += 40
    deadline.check()
    deadline.on_queued()
    clock.now += 61
    with pytest.raises(RunDeadlinePassed):
        deadline.check()
