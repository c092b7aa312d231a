"""How many commands Redis runs for one job, those that scripts call included."""

from __future__ import annotations

from datetime import timedelta

from producer.contract.jobs import Phase, Progress
from tests.integration.hand_led import hold

#: Of our own questions, and of connections.
NOT_OF_JOBS = {"info", "config", "client", "hello", "script"}


def calls(redis):
    stats = redis.info("commandstats").items()
    names = (
        (name.removeprefix("cmdstat_").partition("|")[0], stat["calls"]) for name, stat in stats
    )
    return sum(count for name, count in names if name not in NOT_OF_JOBS)


def live(led):
    """Lead a job from its claim to its commit; return how many commands that were."""
    job = led.queued()
    before = calls(led.redis)
    job = led.running(job)
    led.store.note(hold(job), phase=Phase.RENDERING)
    progress = Progress(graph_node="2", value=5, max=10)
    led.store.note(hold(job), progress=progress, is_watched=False)
    led.store.enter_phase(hold(job), Phase.FETCHING)
    led.store.commit(hold(job), artifacts=[], values={}, fetched_in=timedelta(0))
    return calls(led.redis) - before


def test_a_job_that_nobody_watches_takes_few_commands_from_claim_to_commit(led):
    live(led)  # loads the scripts
    assert live(led) <= 40


def test_a_job_is_handed_in_with_few_commands(led):
    led.queued()  # loads the script
    before = calls(led.redis)
    led.queued()
    assert calls(led.redis) - before <= 32
