"""Whose fault a charged failure is, told by the nodes that rendered the same jobs."""

from __future__ import annotations

import pytest

from producer.contract.ids import new_job_id
from tests.clock import Clock
from worker.node.contradictions import Contradictions

NOISE = "graph node 7 (KSampler): RuntimeError: at 0x7f3a91 of job {}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seen(clock):
    return Contradictions(clock=clock)


def test_three_jobs_that_failed_alike_here_alone_are_the_nodes_fault(seen):
    assert seen.add(new_job_id(), NOISE.format(1)) is None
    assert seen.add(new_job_id(), NOISE.format(2)) is None
    blame = seen.add(new_job_id(), NOISE.format(3))
    assert blame == f"3 jobs failed alike here and were rendered elsewhere: {NOISE.format(3)}"


def test_each_fault_of_the_node_needs_evidence_of_its_own(seen):
    for number in range(3):
        seen.add(new_job_id(), NOISE.format(number))
    assert seen.add(new_job_id(), NOISE.format(4)) is None


def test_one_job_that_failed_three_times_is_one_job(seen):
    job = new_job_id()
    assert not any(seen.add(job, NOISE.format(number)) for number in range(5))


def test_jobs_that_failed_each_in_its_own_way_say_nothing_of_the_node(seen):
    for complaint in ("mat1 and mat2 shapes", "no such file", "prompt is empty"):
        assert seen.add(new_job_id(), complaint) is None


def test_a_job_that_succeeds_here_speaks_for_the_node(seen):
    for number in range(2):
        seen.add(new_job_id(), NOISE.format(number))
    seen.clear()
    assert seen.add(new_job_id(), NOISE.format(3)) is None


def test_what_was_long_ago_is_forgotten(seen, clock):
    for number in range(4):
        clock.now += 400
        assert seen.add(new_job_id(), NOISE.format(number)) is None
