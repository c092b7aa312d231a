"""Short stories, each aimed at one promise: what a mutant of the product must break.

Each runs on a small fleet of its own; on the unchanged product the checker finds nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from producer.contract.queues import Message
from producer.dispatch import Dispatch
from tests.chaos.checker.verdict import summary
from tests.chaos.fleet import workload
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.copies import ALLOWED
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.options import FleetOptions
from tests.chaos.mutants.companion_scenarios import OF_COMPANION
from tests.chaos.mutants.odd_scenarios import ODD
from tests.chaos.mutants.operation_scenarios import OF_OPERATIONS
from tests.chaos.mutants.record_scenarios import OF_RECORDS
from tests.chaos.mutants.stage import PATIENCE_S, Stage
from tests.chaos.mutants.web_scenarios import OF_WEB
from tests.chaos.proxy.rules import Fault, Rule
from tests.polling import wait_until


def plain(stage: Stage) -> None:
    """A few jobs in batches, nothing goes wrong."""
    for tier in ("rush", "default", "idle"):
        stage.submit(tier=tier, batch="b1")
    stage.submit(workload.fail(nonce=99), batch="b1")
    stage.wait_ends()


def one_by_one(stage: Stage) -> None:
    """A job at a time on an idle fleet: each must begin at once."""
    for _ in range(3):
        stage.submit()
        stage.wait_ends()


def many_at_once(stage: Stage) -> None:
    """More jobs than a node may hold."""
    for _ in range(8):
        stage.submit()
    stage.wait_ends()


def twins(stage: Stage) -> None:
    """The same graph twice: ComfyUI has the first one's files in its cache."""
    for _ in range(2):
        stage.submit(workload.sleep(0.1, nonce=7))
        stage.wait_ends()


def gated(stage: Stage) -> None:
    """A saver that is kept from saving, beside one that is not."""
    stage.submit(workload.gated(nonce=7))
    stage.wait_ends()


def asked_twice(stage: Stage) -> None:
    """A client repeats its request under one key."""
    work = workload.sleep(0.1, nonce=7)
    stage.submit(work, key="order-1")
    stage.submit(work, key="order-1")
    stage.wait_ends()


def late_commit(stage: Stage) -> None:
    """A commit arrives when another attempt has taken over and committed."""
    with stage.catching("n*.redis", "EVALSHA finish") as wait_caught:
        job = stage.submit()
        wait_caught()
        edge = f"{stage.holder(job).name}.redis"
        silence = Rule(edge=edge, request="EVALSHA renew", fault=Fault.SWALLOW, times=0)
        with stage.under(silence):
            stage.wait_ends()
    stage.settle()


def late_cancel(stage: Stage) -> None:
    """A cancel is accepted while the commit is on its way."""
    with stage.catching("n*.redis", "EVALSHA finish") as wait_caught:
        job = stage.submit()
        wait_caught()
        stage.client.cancel(job)
    stage.wait_ends()


def dies_at_the_manifest(stage: Stage) -> None:
    """A worker dies when the manifest is not stored, and perhaps all else is."""
    with stage.catching("n*.s3", "PUT manifest", fault=Fault.DROP) as wait_caught:
        job = stage.submit()
        wait_caught()
        stage.holder(job).worker.take_down()
    stage.settle()
    for member in stage.fleet.members:
        member.worker.bring_up()
    stage.wait_ends()


def dies_at_the_fetch(stage: Stage) -> None:
    """A worker dies when the prompt has ended and nothing was fetched."""
    with stage.catching("n*.node", "GET /view") as wait_caught:
        job = stage.submit()
        wait_caught()
        stage.holder(job).worker.kill()
    stage.wait_ends()


def worker_gone(stage: Stage) -> None:
    """A worker stays away while its node renders on; another one takes the job."""
    job = stage.submit(workload.sleep(9, nonce=7))
    gone = stage.wait_rendering(job)
    with stage.evidence.fault("worker down", gone.name):
        gone.worker.take_down()
        stage.wait_ends()
        gone.worker.bring_up()


def node_gone(stage: Stage) -> None:
    """A node dies with the prompt."""
    job = stage.submit(workload.sleep(3, nonce=7))
    member = stage.wait_rendering(job)
    stage.evidence.keep_journal(member)
    with stage.evidence.fault("node killed", member.name):
        member.node.kill()
        stage.wait_ends()


def deaf(stage: Stage) -> None:
    """Not one message comes over any websocket."""
    silence = Rule(edge="*.node", request="WS *", fault=Fault.DROP, times=0)
    with stage.under(silence):
        stage.submit()
        stage.wait_ends()


def flipped(stage: Stage) -> None:
    """An output arrives with one wrong byte."""
    flip = Rule(edge="*.node", request="GET /view", fault=Fault.FLIP, after=True)
    with stage.under(flip):
        stage.submit(workload.sample(seed=11))
        stage.wait_ends()


def lost_message(stage: Stage) -> None:
    """A message is taken off its list by somebody who dies with it."""
    lose = Rule(edge="*.redis", request="BRPOP queue message", fault=Fault.CUT)
    with stage.under(lose):
        stage.submit()
        stage.wait_ends()


def stale_message(stage: Stage) -> None:
    """A message of the first attempt comes again when the second one waits."""
    job = stage.submit(workload.fail(nonce=7))
    record = f"comfyfleet:job:{job}"
    client = stage.fleet.redis.client
    wait_until(
        lambda: client.hget(record, "attempt") == "2" and stage.status(job) == "queued",
        description="the second attempt waits",
        within_s=PATIENCE_S,
    )
    queue, priority = client.hmget(record, "queue", "priority")
    Dispatch(stage.fleet.settings()).send_all([Message(job, 1, queue, int(priority))])
    stage.wait_ends()


def skewed(stage: Stage) -> None:
    """The clocks of all workers are an hour slow, that of Redis is right."""
    stage.submit(workload.sleep(9, nonce=7))
    stage.wait_ends()


SCENARIOS: Final = {
    story.__name__: story
    for story in (
        *(plain, one_by_one, many_at_once, twins, asked_twice, late_commit, late_cancel),
        *(dies_at_the_manifest, dies_at_the_fetch, worker_gone, node_gone, deaf, flipped),
        *(lost_message, stale_message, skewed, gated, *ODD, *OF_RECORDS, *OF_WEB),
        *(*OF_OPERATIONS, *OF_COMPANION),
    )
}

#: Stories in which another node is to take over.
_OF_TWO: Final = frozenset({"late_commit", "worker_gone", "skewed"})
#: The story of two pools.
_OF_POOLS: Final = "moved_aside"
#: Stories in which what has ended is packed so soon, s.
_PACKED_AFTER_S: Final = 1.0


def _settings(name: str) -> dict[str, str]:
    """Return the settings of a story's fleet, by how they differ from others'."""
    if SCENARIOS[name] in OF_RECORDS:
        return {"pack_ended_s": str(_PACKED_AFTER_S)}
    return ALLOWED if SCENARIOS[name] in OF_OPERATIONS else {}


def run_scenario(name: str, folder: Path) -> dict[str, Any]:
    """Tell one story on a fleet of its own and return the checker's verdict."""
    options = FleetOptions(
        directory=folder / "fleet",
        pools=("default", "side") if name == _OF_POOLS else ("default",) * (1 + (name in _OF_TWO)),
        can_restart=name == "restarted",
        skew_s=-3600 if name == "skewed" else 0,
        settings=_settings(name),
        web=int(SCENARIOS[name] in OF_WEB),
        companions=(1,) if SCENARIOS[name] in OF_COMPANION else (),
    )
    with ChaosFleet(options) as fleet, Evidence(fleet, folder / "evidence") as evidence:
        with evidence.client() as client:
            SCENARIOS[name](Stage(fleet, evidence, client))
        fleet.proxy.calm()
        for member in fleet.members:
            fleet.wait_ready(member)
        evidence.collect()
    return {"scenario": name, **summary(evidence.folder)}
