"""Asks the fleet how long renders of a shape take that this node has not rendered yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from producer.contract.errors import FleetError
from producer.store.rates import Rates
from worker.scheduling.render_times import RenderKind, RenderTimes

_log = logging.getLogger(__name__)


class FleetRates:
    """What other workers, and earlier ones of this node, have seen."""

    def __init__(self, rates: Rates, render_times: RenderTimes, *, node: str) -> None:
        self._rates = rates
        self._render_times = render_times
        self._node = node

    def learn(self, shape: str) -> None:
        """Ask how long renders of *shape* take, if that is not known here; never raise for it."""
        if self._render_times.knows(shape):
            return
        try:
            usual_s = self._rates.usual_s(shape, node=self._node)
        except FleetError as exc:
            _log.warning("nobody says how long renders of shape %s take: %s", shape, exc)
            return
        if usual_s is not None:
            self._render_times.on_told(shape, usual_s)

    def weights(self, kind: RenderKind) -> dict[str, float]:
        """Return how long each graph node of a render is expected to take, s."""
        return self._render_times.node_times.weights(kind.shape, kind.graph_nodes)

    def on_rendered(self, kind: RenderKind, seconds: Mapping[str, float] | None) -> None:
        """Take in how long each graph node of a render took, s; None if that was not heard."""
        if seconds is not None:
            self._render_times.node_times.on_measured(kind.shape, kind.graph_nodes, seconds)
