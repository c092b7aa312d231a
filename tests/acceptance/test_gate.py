"""The next prompt lies in the node's queue before the present one ends; but not for long."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta
from itertools import pairwise

import requests

from producer.contract.jobs import JobStatus, Phase
from producer.contract.nodes import NodeWork
from tests.graphs import fresh_nonce, journal, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=30)


def submit_short(fleet, *, seconds=0.4, nonce, **options):
    """Submit a job of one template, however long it takes."""
    graph = sleeping(0.4, nonce=0)
    return fleet.submit(graph, params={"2.seconds": seconds, "2.nonce": nonce}, **options)


def test_while_work_waits_the_next_prompt_lies_ready_before_the_present_one_ends(fleet, stack):
    # Halfway its own progress says that a render of an unknown template ends within 2 s: 1.5 s
    # before it does, so that a disk which holds Redis up for a second changes nothing.
    node = stack.nodes[0].name
    present, following = (
        submit_short(fleet, seconds=3, nonce=fresh_nonce(), pin=node) for _ in range(2)
    )
    wait_until(lambda: fleet.get(following.id).phase is Phase.AHEAD, description="it lies ready")
    assert fleet.get(present.id).phase is Phase.RENDERING
    fleet.cancel(following.id)
    assert fleet.wait(present.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
    wait_until(lambda: fleet.get(following.id).done, description="it is cancelled")


def test_of_graphs_handed_in_whole_the_next_lies_ready_too_on_a_node_that_never_had_one(
    fleet, stack
):
    # With one step it says nothing of how far it is: only the rates of its shape do, which another
    # node has made.
    def submit(node):
        graph = sleeping(1)
        graph["2"]["inputs"]["steps"] = 1
        graph["1"]["inputs"]["width"] = 33
        return fleet.submit(graph, pin=node.name)

    known, new = stack.nodes
    fleet.wait(submit(known).id, timeout=PATIENCE)
    present, following = submit(new), submit(new)
    phases = [Phase.RENDERING, Phase.AHEAD]
    wait_until(
        lambda: [fleet.get(job.id).phase for job in (present, following)] == phases,
        description="it lies ready while the present one renders",
    )
    for job in (present, following):
        assert fleet.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED


def test_what_waits_behind_a_long_render_goes_to_an_idle_node(fleet):
    for job in [submit_short(fleet, nonce=100 + number) for number in range(4)]:
        fleet.wait(job.id, timeout=PATIENCE)  # both nodes know how long this template takes
    long = submit_short(fleet, seconds=20, nonce=200)
    short = [submit_short(fleet, nonce=201 + number) for number in range(5)]
    ended = [fleet.wait(job.id, timeout=PATIENCE) for job in short]
    assert not fleet.get(long.id).done
    causes = {attempt.error.cause for job in ended for attempt in job.attempts}
    assert causes == {"handed_back"}
    assert all((job.charged_attempts, job.free_attempts) == (0, 0) for job in ended)
    fleet.cancel(long.id)
    wait_until(lambda: fleet.get(long.id).done, description="it is cancelled")


def test_a_slow_history_makes_no_gap_between_graphs_handed_in_whole(fleet, stack):
    """Each is a template of its own, and the first one's shape is new to all."""
    node = stack.nodes[0]
    slow = {"on": "GET /history", "do": "delay", "seconds": 0.2, "count": 0}
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{node.url}/standin/faults", json=slow, timeout=5).raise_for_status()
        try:
            graphs = [sleeping(0.3) for _ in range(8)]
            for graph in graphs:
                graph["1"]["inputs"]["width"] = 34
            jobs = [fleet.submit(graph, pin=node.name) for graph in graphs]
            ended = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
        finally:
            session.delete(f"{node.url}/standin/faults", timeout=5).raise_for_status()
    prompts = {str(job.prompt_id) for job in ended}
    spans = sorted(
        (note["started_ms"], note["ended_ms"])
        for note in journal(node)
        if note["prompt_id"] in prompts
    )
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]
    assert len(gaps) == 7
    # The first one's length was known to nobody: its end opens the gate. Each would wait for its history.
    assert statistics.median(gaps) < 200, gaps
    assert statistics.median(gaps) <= 10, gaps  # 200 and more where it waits for the history


def test_a_node_tells_what_it_has_rendered_and_that_it_had_no_gaps(fleet, stack):
    def told_node():
        [node] = [node for node in fleet.nodes() if node.name == stack.nodes[0].name]
        return node

    def work():
        return told_node().work or NodeWork()

    began = time.monotonic()
    # The work of earlier tests is told with the next beat.
    wait_until(
        lambda: told_node().silent_s < time.monotonic() - began - 0.5, description="it beats"
    )
    before = work()
    jobs = [submit_short(fleet, nonce=fresh_nonce(), pin=stack.nodes[0].name) for _ in range(4)]
    for job in jobs:
        fleet.wait(job.id, timeout=PATIENCE)
    wait_until(lambda: work().rendered_s >= before.rendered_s + 4 * 0.4, description="it is told")
    told = work().gaps.within
    assert sum(told.values()) == sum(before.gaps.within.values()) + 4
    assert told[0.01] >= before.gaps.within.get(0.01, 0) + 2
