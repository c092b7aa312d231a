"""Load plan, which all workers compute alike: which node loads which models next. Pure.

Every worker hears the same outlook and draws up the same plan from it, so that nobody has to be
asked. A plan that was drawn up from an old outlook costs a load too many, excluded a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """A queue for which a node would have to load models.

    Args:
        jobs: how many wait in it.
        warm_nodes: how many nodes have its models already.
        wanted_nodes: how many nodes its jobs are worth, those included.
    """

    jobs: int
    warm_nodes: int
    wanted_nodes: float


def planned_loads(
    name: str, *, among: Collection[str], demands: Mapping[str, Demand]
) -> dict[str, int]:
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
    warm_nodes = {queue: demand.warm_nodes for queue, demand in demands.items() if demand.jobs}
    mine = []
    for turn in range(max(len(nodes), len(warm_nodes))):
        wanting = [
            q for q, there in warm_nodes.items() if not there or there < demands[q].wanted_nodes
        ]
        if not wanting:
            break
        # First what nobody has loaded, then where most jobs fall to one node.
        chosen = min(
            wanting, key=lambda q: (warm_nodes[q] > 0, -demands[q].jobs / (warm_nodes[q] + 1), q)
        )
        warm_nodes[chosen] += 1
        if nodes[turn % len(nodes)] == name:
            mine.append(chosen)
    return {queue: warm_nodes[queue] for queue in mine}
