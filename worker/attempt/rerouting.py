"""Rerouting: moves a job that its node refused for a class or model to the queue of nodes that have it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from producer.contract.classes.catalog import Catalog, Missing
from producer.contract.classes.model_names import plain_name
from producer.contract.jobs import Job
from producer.contract.queues import Needs, readable_needs
from producer.store.attempts import Hold
from producer.store.node_store import NodeStore
from producer.store.rerouting import Rerouting
from producer.store.sweeps import Sweeps
from worker.comfyui.refusal import lacks_in
from worker.errors import NodeLacks, PromptRejected
from worker.node.agent import NodeAgent

_log = logging.getLogger(__name__)


class Rerouter:
    """Moves jobs away from a node that lacks a class or model.

    A queue names base models and rare classes only, and a node may lose a file. So a job may come
    to a node that cannot run it; from then on its queue names what that node lacked.
    """

    def __init__(
        self,
        node: str,
        *,
        nodes: NodeStore,
        sweeps: Sweeps,
        rerouting: Rerouting,
        agent: NodeAgent,
    ) -> None:
        self._node = node
        self._nodes = nodes
        self._sweeps = sweeps
        self._rerouting = rerouting
        self._agent = agent

    def reroute(
        self, job: Job, hold: Hold, rejection: PromptRejected
    ) -> tuple[Job, NodeLacks] | None:
        """Move a job to a queue that names what this node lacked.

        Returns:
            The job as it is now, and why; None if no other living node has what this one lacks,
            or the graph itself is wrong.

        Raises:
            LeaseLost: the attempt no longer holds the job.
        """
        lacks = lacks_in(rejection.node_errors)
        if not lacks:
            return None
        if self._agent.catalog and _has(self._agent.catalog, lacks):
            self._agent.on_stale_catalog()
        needs = self._wider_needs(job, lacks)
        able = [] if job.pin else self._able_nodes(job, needs, lacks)
        if not able:
            return None
        self._rerouting.reroute(hold, needs)
        _log.info("job %s goes to %s, which %s serves", job.id, needs.queue, able[0])
        error = NodeLacks(self._node, f"{rejection.detail}; {able[0]} has what is missing here")
        return job.model_copy(update={"queue": needs.queue}), error

    def _wider_needs(self, job: Job, lacks: Sequence[Missing]) -> Needs:
        known = readable_needs(self._sweeps.queues()).get(job.queue)
        needs = known or Needs.of(job.pool)
        models = [plain_name(lack.name) for lack in lacks if lack.input is not None]
        classes = [lack.name for lack in lacks if lack.input is None]
        return Needs.of(
            job.pool, models=[*needs.models, *models], classes=[*needs.classes, *classes]
        )

    def _able_nodes(self, job: Job, needs: Needs, lacks: Sequence[Missing]) -> list[str]:
        others = [node for node in self._nodes.nodes() if node.name != self._node]
        catalogs = self._nodes.catalogs(job.pool, among=others)
        return [
            name
            for name, catalog in catalogs.items()
            if catalog.serves(needs) and _has(catalog, lacks)
        ]


def _has(catalog: Catalog, lacks: Sequence[Missing]) -> bool:
    return all(catalog.has(lack) for lack in lacks)
