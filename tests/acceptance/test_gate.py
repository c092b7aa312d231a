"""The next prompt lies in the node's queue before the present one ends; but not for long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.jobs import JobStatus
from tests.graphs import sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=30)


def submit_short(fleet, *, seconds=0.4, nonce, **options):
    """Submit a job of one template, however long it takes."""
    graph = sleeping(0.4, nonce=0)
    return fleet.submit(graph, params={"2.seconds": seconds, "2.nonce": nonce}, **options)


def test_while_work_waits_the_next_prompt_lies_ready(fleet, stack):
    seen = []
    for turn in range(4):  # a disk that is busy with another test holds Redis up for a second
        jobs = [submit_short(fleet, nonce=10 * turn + n, pin=stack.nodes[0].name) for n in range(6)]
        ended = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
        assert [job.status for job in ended] == [JobStatus.SUCCEEDED] * 6
        seen.append([job.timings for job in ended])
        # The first one finds the card free; after it each lies ready when its turn comes.
        if sum(timings.ahead is not None for timings in seen[-1]) >= 4:
            return
    pytest.fail(f"too few prompts lay ready: {seen}")


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
