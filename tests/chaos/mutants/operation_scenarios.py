"""Short stories of what persons want of nodes, and of copies of what jobs make; see `scenarios`."""

from __future__ import annotations

import time
from typing import Final

from producer.contract.ids import JobId, row_of
from tests.chaos.fleet import workload
from tests.chaos.fleet.copies import DELIVER
from tests.chaos.mutants.stage import PATIENCE_S, Stage
from tests.chaos.proxy.rules import Fault, Rule
from tests.polling import wait_until

_OWNER: Final = "group-1"
_NAME: Final = "portrait"
#: Colours of graphs with names.
_COLORS: Final = (0x800001, 0x800002)
#: Somewhat longer than the checker gives a worker to obey.
_OBEYS_WITHIN_S: Final = 3.2


def drained(stage: Stage) -> None:
    """A node is drained; a job comes, waits, and is made once the node is resumed."""
    _have_rest(stage, "drain", stage.fleet.members[0].name, kind="node")


def pool_paused(stage: Stage) -> None:
    """The same with all nodes of a pool."""
    _have_rest(stage, "pause", stage.fleet.members[0].pool, kind="pool")


def doubted(stage: Stage) -> None:
    """The same with a node that is quarantined, and then cleared."""
    _have_rest(stage, "quarantine", stage.fleet.members[0].name, kind="doubt")


def restarted(stage: Stage) -> None:
    """A person asks for the restart of a node that renders; it may wait."""
    node = stage.wait_rendering(stage.submit(workload.sleep(3, nonce=98))).name
    stage.client.ask_node("restart", node, now=False)
    stage.wait_ends()
    wait_until(
        lambda: stage.fleet.redis.client.hget(f"comfyfleet:node:{node}", "restart"),
        description="it is restarted",
        within_s=PATIENCE_S,
    )


def acted(stage: Stage) -> None:
    """All that waits of an owner is cancelled, and then made again."""
    works, jobs = _waiting_group(stage)
    for action in ("cancel", "retry"):
        _have_done(stage, action)
    stage.jobs += stage.client.made_again(jobs, works, _OWNER)
    stage.wait_ends()


def acted_twice(stage: Stage) -> None:
    """Who carries out an action dies when its jobs are made again, and nobody has noted that."""
    works, jobs = _waiting_group(stage)
    _have_done(stage, "cancel")
    noting = Rule(edge="n*.redis", request="EVALSHA action_write", nth=2, fault=Fault.DROP)
    with stage.under(noting) as number:
        action = stage.client.act_surely("retry", f"owner:{_OWNER}", key="retry")
        stage.wait_struck(number)
        stage.fleet.members[0].worker.kill()
    stage.client.wait_action(action, within_s=PATIENCE_S)
    stage.jobs += stage.client.made_again(jobs, works, _OWNER)
    stage.wait_ends()


def acted_in_part(stage: Stage) -> None:
    """An action is stopped while upkeep is about its jobs."""
    _waiting_group(stage)
    with stage.catching("n*.redis", "EVALSHA cancel") as wait_caught:
        action = stage.client.act_surely("cancel", f"owner:{_OWNER}", key="stopped")
        wait_caught()
        stage.client.stop_action(action)
    stage.client.wait_action(action, within_s=PATIENCE_S)
    stage.wait_ends()


def moved_aside(stage: Stage) -> None:
    """Jobs that wait in one pool go to another one; in both some other job renders."""
    for seconds, pool in ((1.5, "default"), (4, "side")):
        work = workload.sleep(seconds, nonce=next(stage.nonces))
        stage.wait_rendering(stage.submit(work, pool=pool))
    for _ in range(3):
        stage.submit()
    stage.client.move("status:queued pool:default", pool="side")
    stage.wait_ends()


def named_anew(stage: Stage) -> None:
    """A name gets another graph between two jobs that are asked for by it."""
    for color in _COLORS:
        stage.client.name_graph(_NAME, workload.sleep(0.1, nonce=color), owner="shop")
        stage.submit(workload.by_name(_NAME, 0.1), owner="shop")
        stage.wait_ends()


def braked(stage: Stage) -> None:
    """So many rows of a batch fail that it is held; somebody then ends it."""
    jobs = stage.submit_rows(workload.failing_rows(6, nonce=99), max_failed=2)
    batch, _ = row_of(JobId(jobs[0]))
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline and not stage.client.is_braked(batch):
        time.sleep(0.1)
    stage.client.ask_surely("cancel_batch", batch)
    stage.wait_ends()


def copied(stage: Stage) -> None:
    """A job asks for a copy of what it makes."""
    stage.submit(deliver=DELIVER)
    stage.wait_ends()
    stage.wait_done("copies")


def _have_rest(stage: Stage, verb: str, about: str, *, kind: str) -> None:
    stage.client.wish(verb, about, kind=kind)
    time.sleep(_OBEYS_WITHIN_S)
    stage.submit()
    stage.settle()
    stage.client.lift_surely(about, kind=kind)
    stage.wait_ends()


def _have_done(stage: Stage, action: str) -> None:
    begun = stage.client.act_surely(action, f"owner:{_OWNER}", key=action)
    stage.client.wait_action(begun, within_s=PATIENCE_S)


def _waiting_group(stage: Stage) -> tuple[list[workload.Work], list[str]]:
    """Hand in jobs of an owner, behind one that renders; return their work and their ids."""
    stage.wait_rendering(stage.submit(workload.sleep(2.5, nonce=98)))
    works = [workload.sleep(0.1, nonce=next(stage.nonces)) for _ in range(4)]
    return works, [stage.submit(work, owner=_OWNER, tier="idle") for work in works]


OF_OPERATIONS: Final = (
    *(drained, pool_paused, doubted, copied, restarted, acted, acted_in_part, acted_twice),
    *(moved_aside, named_anew, braked),
)
