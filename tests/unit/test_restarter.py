"""A node is restarted once, and not again while it starts."""

from __future__ import annotations

import sys

import pytest

from tests.clock import Clock
from worker.node.restarter import Restarter


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def restarts(tmp_path, clock):
    """Ask for a restart; return how often the command has run so far."""
    told = tmp_path / "told"
    write = f"open({str(told)!r}, 'a').write('x')"
    restarter = Restarter("gpu-01", f'{sys.executable} -S -c "{write}"', clock=clock)

    def ask():
        restarter()
        return len(told.read_text())

    ask.on_recovered = restarter.on_recovered
    return ask


def test_a_slow_start_is_not_cut_off(restarts, clock):
    assert restarts() == 1
    clock.now += 600
    assert restarts() == 1
    clock.now += 301
    assert restarts() == 2


def test_a_node_that_came_back_is_restarted_again_after_a_while(restarts, clock):
    assert restarts() == 1
    restarts.on_recovered()
    clock.now += 60
    assert restarts() == 1
    clock.now += 61
    assert restarts() == 2
