"""How many commands Redis runs for one job, those that scripts call included."""

from __future__ import annotations

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
    for phase in (Phase.RENDERING, None, Phase.FETCHING, Phase.STORING):
        progress = None if phase else Progress(graph_node="2", value=5, max=10)
        led.store.note(hold(job), phase=phase, progress=progress)
    led.store.commit(hold(job), artifacts=[], values={})
    return calls(led.redis) - before


def test_a_job_from_claim_to_commit_takes_few_commands(led):
    live(led)  # loads the scripts
    assert live(led) <= 64
