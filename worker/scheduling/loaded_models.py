"""What this node has loaded and what is known of the other nodes; ranks the queues by it (model affinity)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from producer.contract.queues import Needs, Tier, pinned_node
from producer.store.outlook import Outlook
from worker.scheduling.gate import GATE
from worker.scheduling.queue_ranking import LoadCost, QueueRanking

#: How long a worker that has just started waits for an outlook before it loads anything, s.
_FIRST_OUTLOOK_S: Final = 3.0
_NO_MODELS: Final[frozenset[str]] = frozenset()


class LoadedModels:
    """What this node has loaded, and what it was told of the fleet.

    Called by kombu's loop and by the threads that hear calls.
    """

    def __init__(
        self,
        *,
        render_s: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render_s = render_s
        self._clock = clock
        self._lock = Lock()
        self._name = ""
        self._cost = LoadCost()
        self._on_load: Callable[[frozenset[str]], None] = lambda _: None
        self._since = clock()
        self._models: dict[str, frozenset[str]] = {}  # of each queue served
        self._excluded: frozenset[str] = _NO_MODELS
        self._warm = _NO_MODELS
        self._outlook: Outlook | None = None
        self._heard_at = 0.0
        self._switched: dict[str, frozenset[str]] = {}  # nodes, since the outlook
        self._heads: dict[tuple[str, int], tuple[int, float]] = {}  # sent ms; since when there

    def start(
        self, name: str, cost: LoadCost, *, on_load: Callable[[frozenset[str]], None]
    ) -> None:
        """Begin to serve a node.

        Args:
            on_load: called with the models whenever the node turns to others; must not block.
        """
        with self._lock:
            self._name, self._cost, self._on_load = name, cost, on_load
            self._since = self._clock()

    def set_queues(self, queues: Mapping[str, Needs], *, excluded: Iterable[str] = ()) -> None:
        """Add queues that the worker consumes, and replace the excluded ones.

        Args:
            excluded: those it must not ask, although Celery consumes the ones that it has served.
        """
        with self._lock:
            models = {queue: frozenset(needs.models) for queue, needs in queues.items()}
            self._models = {**self._models, **models}
            self._excluded = frozenset(excluded)

    def load_s(self, queue: str) -> float:
        """Return about how long it takes to load the models of *queue*."""
        return self._cost.seconds(self._models.get(queue, _NO_MODELS))

    def on_taken(self, queue: str) -> None:
        """Count the models of *queue* as loaded: a job of it is the node's next."""
        self.on_loading(self._models.get(queue, _NO_MODELS))

    def on_loading(self, models: Iterable[str]) -> None:
        """Count *models* as loaded, as the next job needs them; an empty set changes nothing."""
        wanted = frozenset(models)
        with self._lock:
            if wanted <= self._warm:
                return
            self._warm = wanted
            on_load = self._on_load
        on_load(wanted)

    def on_outlook(self, outlook: Outlook) -> None:
        """Replace the outlook; restart the clock of each queue whose oldest job has changed."""
        now = self._clock()
        with self._lock:
            if not self._warm:
                # The worker was started again, its ComfyUI was not: the record knows.
                own = (node.warm for node in outlook.nodes if node.name == self._name)
                self._warm = next(own, _NO_MODELS)
            heads = {}
            for line in outlook.lines:
                where = (line.queue, line.priority)
                sent, since = self._heads.get(where, (None, now))
                heads[where] = (line.oldest_ms, since if sent == line.oldest_ms else now)
            self._heads = heads
            self._outlook, self._heard_at, self._switched = outlook, now, {}

    def on_peer_loading(self, name: str, models: frozenset[str]) -> None:
        """Record what another node loads: the next outlook would say it too late."""
        now = self._clock()
        with self._lock:
            pools = {node.name: node.pool for node in self._outlook.nodes} if self._outlook else {}
            if name not in pools or pools[name] != pools.get(self._name):
                return  # it takes nothing that waits here
            self._switched = {**self._switched, name: models}
            for (queue, priority), (sent, _) in self._heads.items():
                if name != self._name and self._models.get(queue) == models:
                    self._heads[queue, priority] = (sent, now)

    def order(self, queues: Sequence[str], *, turn: Tier | None = None) -> list[str]:
        """Return those of *queues* to ask, in this order.

        Args:
            queues: what the worker consumes, that which gave a job last at the end.
            turn: the tier whose turn it is, before more urgent ones.
        """
        with self._lock:
            asked = [queue for queue in queues if queue not in self._excluded]
            pinned = [queue for queue in asked if pinned_node(queue) is not None]
            others = [queue for queue in asked if pinned_node(queue) is None]
            ranking = self._ranking()
        return [*pinned, *ranking.order(others, turn=turn.priority if turn else None)]

    def _ranking(self) -> QueueRanking:
        now = self._clock()
        known = QueueRanking(
            name=self._name,
            models=self._models,
            warm=self._warm,
            cost=self._cost,
            render_s=self._render_s(),
            is_new=now - self._since < _FIRST_OUTLOOK_S,
        )
        outlook = self._outlook
        if outlook is None or now - self._heard_at > outlook.holds_s:
            return known
        waited_s = {where: now - since for where, (_, since) in self._heads.items()}
        return replace(known, outlook=outlook, switched=self._switched, waited_s=waited_s)


#: kombu makes the queue order itself, from its import path, so the two meet here.
LOADED_MODELS: Final = LoadedModels(render_s=lambda: GATE.render_times.render_s)
