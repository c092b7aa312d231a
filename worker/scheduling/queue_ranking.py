"""Ranks queues by model affinity, where a model takes as long to load as some renders. Pure.

A node goes on with the models it has, turns to others in a way that spreads nodes over them, and
leaves a queue to the nodes that have its models. Three things limit that:

* a queue that was passed over for longer than the bound comes first, whatever it costs: with its
  jobs of the most urgent tier that waits, and with those of another when that has its turn;
* a job of a more urgent tier than the node would else take is left to nobody;
* nor are jobs that warm nodes would not get to within the time of one load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from zlib import crc32

from producer.contract.queues import Tier
from producer.store.outlook import Line, Outlook, ReadyNode
from worker.scheduling.load_plan import Demand, planned_loads

#: In this last part of the bound nodes come to a queue one after the other: one is enough.
_STAGGERED_PART: Final = 0.2
#: An idle node takes what is left to it within milliseconds. One that has not by then is not as
#: well as it seems, s.
_IDLE_TAKES_WITHIN_S: Final = 0.5
#: A load takes no less: what is cached all over would be worth any number of nodes, s.
_LEAST_S: Final = 0.05


@dataclass(frozen=True)
class LoadCost:
    """What to load a model costs, and how long jobs may wait because of it.

    Args:
        bound_s: the longest time for which a queue may be passed over.
        load_s: about how long it takes to load a model, as long as nobody has seen it load.
        of_models: returns how long models take to load together, given that; None: each as long.
    """

    bound_s: float = 60.0
    load_s: float = 5.0
    of_models: Callable[[Collection[str]], float] | None = None

    def seconds(self, models: Collection[str]) -> float:
        """Return how long it takes to load *models*; never none at all."""
        found_s = self.of_models(models) if self.of_models and models else self.load_s
        return max(_LEAST_S, found_s)


@dataclass(frozen=True, kw_only=True)
class QueueRanking:
    """What one node knows at one moment.

    Args:
        models: of each queue that the node serves.
        warm: what the node has loaded.
        render_s: how long a render takes here; None before the first.
        is_new: whether the node may still hope for its first outlook.
        outlook: None when none was heard of late.
        switched: nodes that have switched to other models since the outlook.
        waited_s: for how long the oldest job of a queue and priority has been that. In a deep
            backlog every queue's oldest job is old; what tells is whether the queue moves.
    """

    name: str
    models: Mapping[str, frozenset[str]]
    warm: frozenset[str]
    cost: LoadCost
    render_s: float | None
    is_new: bool
    outlook: Outlook | None = None
    switched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    waited_s: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def order(self, queues: Sequence[str], *, turn: int | None = None) -> list[str]:
        """Return those of *queues* to ask, in this order; what needs no load in that of *queues*.

        Args:
            turn: the priority of the tier whose turn it is, before more urgent ones.
        """
        free = [queue for queue in queues if self.models.get(queue, frozenset()) <= self.warm]
        cold = [queue for queue in queues if queue not in free]
        if self._own is None:
            return free if self.is_new else [*free, *cold]
        lines = {queue: self._lines.get(queue, []) for queue in queues}
        if turn is None:
            overdue = self._overdue(cold, tier=_most_urgent(lines.values()))
        else:
            # The turns are few. Given to cold queues alone, they would never be the warm one's.
            overdue = self._overdue(queues, tier=turn)
        return list(
            dict.fromkeys(
                [
                    *overdue,
                    *free,
                    *self._urgent(cold, than=_most_urgent(lines[queue] for queue in free)),
                    *self._planned(cold),
                    *self._neglected(cold),
                ]
            )
        )

    def _overdue(self, queues: Sequence[str], *, tier: int) -> list[str]:
        waited_s = {queue: self.waited_s.get((queue, tier), 0.0) for queue in queues}
        overdue = [queue for queue in queues if waited_s[queue] > self._bound_s(queue)]
        return sorted(overdue, key=lambda queue: -waited_s[queue])

    def _bound_s(self, queue: str) -> float:
        """Return after how long this node comes to *queue*; another one comes first to others."""
        names = sorted(node.name for node in self._same_kind)
        place = (names.index(self.name) + crc32(queue.encode())) % len(names)
        return self.cost.bound_s * (1 - _STAGGERED_PART * (1 - place / len(names)))

    def _urgent(self, cold: Sequence[str], *, than: int) -> list[str]:
        waiting = {queue: self._lines[queue][0].priority for queue in cold if queue in self._lines}
        return [queue for queue, priority in waiting.items() if priority < than]

    def _planned(self, cold: Sequence[str]) -> list[str]:
        there = {queue: self._warm_nodes(queue) for queue in cold}
        demands = {
            queue: self._demand(queue, warm_nodes)
            for queue, warm_nodes in there.items()
            if not warm_nodes or queue in self._lines
        }
        # Who is idle goes first; the others plan for the moment when they have nothing left.
        among = [n.name for n in self._same_kind if self._own and n.is_idle is self._own.is_idle]
        plan = planned_loads(self.name, among=among, demands=demands)
        # Somebody whose plan was another may have been quicker.
        return [q for q, planned in plan.items() if self._warm_nodes(q, now=True) < planned]

    def _demand(self, queue: str, warm_nodes: int) -> Demand:
        jobs = sum(line.jobs for line in self._lines.get(queue, []))
        if warm_nodes and self._is_stalled(queue):
            return Demand(jobs, warm_nodes, wanted_nodes=warm_nodes + jobs)
        # Before its first render a node takes one to last as long as a load.
        load_s = self._load_s(queue)
        render_s = self.render_s or load_s
        return Demand(jobs, warm_nodes, wanted_nodes=min(jobs, jobs * render_s / load_s))

    def _neglected(self, cold: Sequence[str]) -> list[str]:
        """Return what the nodes it was planned for cannot or do not take."""
        return [
            queue
            for queue in cold
            if self._is_stalled(queue) and not self._warm_nodes(queue, now=True)
        ]

    def _is_stalled(self, queue: str) -> bool:
        """Tell whether those that *queue* is left to have had their time to come to it."""
        models = self.models[queue]
        others = (node for node in self._same_kind if node.name != self.name and node.is_idle)
        is_idle_for_it = any(not self._warm_nodes(queue) or models <= node.warm for node in others)
        load_s = self._load_s(queue)
        within_s = min(_IDLE_TAKES_WITHIN_S, load_s) if is_idle_for_it else load_s
        return any(
            self.waited_s.get((queue, line.priority), 0.0) > within_s
            for line in self._lines.get(queue, [])[:1]  # the others wait for their tier's turn
        )

    def _load_s(self, queue: str) -> float:
        """Return how long it would take here to load what *queue* needs and the node has not loaded."""
        return self.cost.seconds(self.models[queue] - self.warm)

    def _warm_nodes(self, queue: str, *, now: bool = False) -> int:
        """Count the other nodes that had the models of *queue* in the outlook, or have them now."""
        models, loaded = self.models[queue], self._loaded_now if now else self._loaded
        return sum(nodes for warm, nodes in loaded.items() if models <= warm)

    @cached_property
    def _loaded(self) -> Counter[frozenset[str]]:
        """How many other nodes had which models, as every worker has heard it."""
        return Counter(node.warm for node in self._pool_peers)

    @cached_property
    def _loaded_now(self) -> Counter[frozenset[str]]:
        return Counter(self.switched.get(node.name, node.warm) for node in self._pool_peers)

    @cached_property
    def _pool_peers(self) -> list[ReadyNode]:
        """The other nodes of the pool: those of another one take nothing that waits here."""
        if self.outlook is None or self._own is None:
            return []
        pool = self._own.pool
        return [n for n in self.outlook.nodes if n.pool == pool and n.name != self.name]

    @cached_property
    def _own(self) -> ReadyNode | None:
        nodes = self.outlook.nodes if self.outlook else ()
        return next((node for node in nodes if node.name == self.name), None)

    @cached_property
    def _same_kind(self) -> list[ReadyNode]:
        """The nodes that can run what this one can, itself included."""
        if self.outlook is None or self._own is None:
            return []
        return [node for node in self.outlook.nodes if node.kind == self._own.kind]

    @cached_property
    def _lines(self) -> dict[str, list[Line]]:
        """What waits in each queue, most urgent first."""
        lines: dict[str, list[Line]] = {}
        for line in sorted(self.outlook.lines if self.outlook else (), key=lambda ln: ln.priority):
            lines.setdefault(line.queue, []).append(line)
        return lines


def _most_urgent(queues: Iterable[Sequence[Line]]) -> int:
    """Return the priority of what would be taken from *queues* first."""
    waiting = [lines[0].priority for lines in queues if lines]
    # Where nothing waits a node is about to be idle; it leaves all but rush jobs to others.
    return min(waiting, default=Tier.DEFAULT.priority)
