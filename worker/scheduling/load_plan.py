"""Which node should load which models next, so that nodes do not all load the same. Pure.

Every worker hears the same outlook and draws up the same plan from it, so that nobody has to be
asked. A plan that was drawn up from an old outlook costs a load too many, never a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """A queue for which a node would have to load models.

    Args:
        jobs: how many wait in it.
        keepers: how many nodes have its models already.
        worth: how many nodes its jobs are worth, those included.
    """

    jobs: int
    keepers: int
    worth: float


def allotted(name: str, *, among: Collection[str], demands: Mapping[str, Demand]) -> dict[str, int]:
    """Return the queues that node *name* should turn to, most in need first.

    Args:
        among: the nodes in the same situation, *name* one of them.
        demands: by queue. One without a job is to be watched by somebody, too.

    Returns:
        For each queue how many nodes would have its models if all went by this plan.
    """
    nodes = sorted(among)
    quiet = sorted(queue for queue, demand in demands.items() if not demand.jobs)
    # One node to watch a queue is enough: whether its jobs are worth another, they will tell.
    watched = quiet[nodes.index(name) :: len(nodes)]
    return {**_with_jobs(name, nodes, demands), **dict.fromkeys(watched, 1)}


def _with_jobs(name: str, nodes: Sequence[str], demands: Mapping[str, Demand]) -> dict[str, int]:
    keepers = {queue: demand.keepers for queue, demand in demands.items() if demand.jobs}
    mine = []
    for turn in range(max(len(nodes), len(keepers))):
        wanting = [q for q, there in keepers.items() if not there or there < demands[q].worth]
        if not wanting:
            break
        # First what nobody has loaded, then where most jobs fall to one node.
        chosen = min(
            wanting, key=lambda q: (keepers[q] > 0, -demands[q].jobs / (keepers[q] + 1), q)
        )
        keepers[chosen] += 1
        if nodes[turn % len(nodes)] == name:
            mine.append(chosen)
    return {queue: keepers[queue] for queue in mine}
