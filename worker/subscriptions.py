"""Subscriptions: keeps the set of queues that the worker consumes, and acts on the fleet's calls (pub/sub)."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from producer.contract.ids import JobId
from producer.contract.queues import node_queue, readable_needs
from producer.store.calls import Call
from producer.store.outlook import Outlook
from producer.store.sweeps import Sweeps
from producer.upkeep.sweeper import Upkeep
from worker.attempt.lease import LeaseKeeper
from worker.node.agent import NodeAgent
from worker.scheduling.loaded_models import LoadedModels


class Subscriptions:
    """Which queues the node consumes; updated by calls and whenever its catalog changes.

    Args:
        on_queue: called with each queue that the worker should consume; twice is harmless.
        on_queue_retired: called with each queue that was retired; twice is harmless.
    """

    def __init__(
        self,
        node: str,
        *,
        sweeps: Sweeps,
        upkeep: Upkeep,
        agent: NodeAgent,
        leases: LeaseKeeper,
        loaded_models: LoadedModels,
        on_queue: Callable[[str], None],
        on_queue_retired: Callable[[str], None],
    ) -> None:
        self._node = node
        self._sweeps = sweeps
        self._upkeep = upkeep
        self._agent = agent
        self._leases = leases
        self._loaded_models = loaded_models
        self._on_queue = on_queue
        self._on_queue_retired = on_queue_retired
        self._known: set[str] = set()
        self._updating = Lock()  # else the slower of two updates would have the last word
        agent.set_on_catalog(self.update)
        leases.set_on_desired(agent.on_desired)

    def on_call(self, call: Call | None) -> None:
        """Act on a call; None: none came for a while, so read what calls may have been missed."""
        if call is None or call.what == "queue":
            self.update()
        elif call.what == "rescan" and call.about in {self._node, "*"}:
            self._agent.rescan()
        elif call.what == "contradicted":
            node, job_id, message = (*call.about.split(" ", 2), "", "")[:3]
            if node == self._node:
                self._agent.on_contradicted(JobId(job_id), message)
        elif call.what == "warm":
            node, _, _ = call.about.partition(" ")
            self._loaded_models.on_peer_loading(node, call.models)
        elif call.outlook:
            self._on_outlook(call.outlook)
        if call is not None:
            self._leases.on_call(call)
            self._upkeep.on_call(call)

    def update(self) -> None:
        """Read all queues from Redis; consume those that the node can serve, drop retired ones."""
        self._on_queue(node_queue(self._node))
        with self._updating:
            known = readable_needs(self._sweeps.queues())
            served = {q: needs for q, needs in known.items() if self._agent.serves(q, needs)}
            self._loaded_models.set_queues(served, excluded=known.keys() - served.keys())
            retired = self._known - known.keys()
            self._known = set(known)
            # Under the lock, so that of two updates the later one has the last word.
            for queue in served:
                self._on_queue(queue)
            for queue in retired:
                self._on_queue_retired(queue)

    def _on_outlook(self, outlook: Outlook) -> None:
        self._loaded_models.on_outlook(outlook)
        # The queue's call was missed; outlooks come so often that the None call does not happen.
        if not self._known.issuperset(line.queue for line in outlook.lines):
            self.update()
