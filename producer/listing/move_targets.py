"""Where jobs that wait are moved to: a tier, a pool, or both, and what the queue there needs."""

from __future__ import annotations

from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.errors import NoNodeCanRun
from producer.contract.graph.graph import stored_graph
from producer.contract.jobs import Job
from producer.contract.queues import Needs, Tier, node_queue
from producer.intake.catalogs import FleetCatalogs, merged, rare_classes
from producer.intake.request import Request
from producer.store.job_store import JobStore
from producer.store.moves import Place
from producer.store.node_store import NodeStore
from producer.store.retries import Retries


class MoveTarget:
    """Where jobs are to go; what their queues need is found once for all that are alike.

    Args:
        tier, pool: None: as they are.
    """

    def __init__(
        self,
        tier: Tier | None,
        pool: str | None,
        *,
        jobs: JobStore,
        nodes: NodeStore,
        retries: Retries,
    ) -> None:
        self._jobs = jobs
        self._nodes = nodes
        self._retries = retries
        self.tier = tier
        self._pool = pool
        self._known: dict[tuple[str, str], Needs] = {}
        self._needs: dict[tuple[Needs, str], Needs] = {}

    @property
    def readable(self) -> str:
        """Where to, for the log of actions."""
        tier = [f"tier {self.tier}"] if self.tier else []
        return ", ".join([*tier, *([f"pool {self._pool}"] if self._pool else [])])

    def place(self, job: Job) -> Place:
        """Return where a job is to wait."""
        key = (job.queue, job.template)
        if key not in self._known:
            old = self._retries.needs_of(job.queue) or Needs.of(job.pool)
            self._known[key] = self.needs(old, job.template, job.pin)
        needs = self._known[key]
        queue = node_queue(job.pin) if job.pin else needs.queue
        return Place(self.tier or job.tier, self.pool_of(job.pool, job.pin), queue, needs)

    def pool_of(self, pool: str, pin: str | None) -> str:
        """Return the pool of a job that is in one now; a pin keeps it there."""
        return pool if pin else self._pool or pool

    def needs(self, old: Needs, template: str, pin: str | None) -> Needs:
        """Return what the new queue of a job needs."""
        if self._pool is None or pin or old.pool == self._pool:
            return old
        key = (old, template)
        if key not in self._needs:
            self._needs[key] = self._needs_in(self._pool, old, template)
        return self._needs[key]

    def _needs_in(self, pool: str, old: Needs, template: str) -> Needs:
        """Return what a queue of another pool needs for jobs of a graph.

        Raises:
            InvalidJob: the fleet has never heard of the pool.
            NoNodeCanRun: no living node of it has what they need.
        """
        catalogs = FleetCatalogs(self._nodes).of(Request(graph={}, pool=pool))
        graph = stored_graph(self._jobs.graph(template))
        wanted = cut(graph, output_graph_nodes(graph, merged(catalogs)))
        classes = {found["class_type"] for found in wanted.values()}
        whole = Needs.of(pool, models=old.models, classes=classes)
        if catalogs and not any(catalog.serves(whole) for catalog in catalogs.values()):
            raise NoNodeCanRun(
                f"no living node of pool {pool} has all that these jobs need: "
                f"{', '.join([*old.models, *sorted(classes)])}",
                field="pool",
                advice="move fewer with a narrower filter, or put the models there first",
            )
        return Needs.of(pool, models=old.models, classes=rare_classes(wanted, catalogs))
