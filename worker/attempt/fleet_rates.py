"""What the fleet knows of how long renders take: asked of it where this node does not know, told where it does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from producer.contract.classes.models import loaders
from producer.contract.errors import FleetError
from producer.contract.graph.graph import Graph
from producer.store.node_seconds import DeviceSeconds, NodeSeconds
from worker.scheduling.render_times import RenderKind, RenderTimes

_log = logging.getLogger(__name__)


class FleetRates:
    """What other workers, and earlier ones of this node, have seen; nothing here ever raises for it.

    Args:
        device: returns the node's, as its record has it; empty while it is not known.
    """

    def __init__(
        self,
        kept: NodeSeconds,
        render_times: RenderTimes,
        *,
        node: str,
        device: Callable[[], str] = lambda: "",
    ) -> None:
        self._kept = kept
        self._render_times = render_times
        self._node = node
        self._device = device
        self._asked_of = ""
        self._shapes: set[str] = set()  # with news that nobody was told

    def learn(self, shape: str) -> None:
        """Ask how long renders of *shape* take, if that is not known here."""
        times = self._render_times
        if times.knows(shape):
            return
        try:
            self._learn_of_device()
            found = self._kept.of_shape(shape, node=self._node)
        except FleetError as exc:
            _log.warning("nobody says how long renders of shape %s take: %s", shape, exc)
            return
        times.node_times.places(shape).tell(found.places)
        if found.usual_s is not None:
            times.on_told(shape, found.usual_s)

    def weights(self, kind: RenderKind) -> dict[str, float]:
        """Return how long each graph node of a render is expected to take, s."""
        return self._render_times.node_times.weights(kind.shape, kind.graph_nodes)

    def on_rendered(
        self, kind: RenderKind, graph: Graph, seconds: Mapping[str, float] | None
    ) -> None:
        """Take in how long each graph node of a render took, s; None if that was not heard."""
        if seconds is None:
            return
        times, kinds = self._render_times, kind.graph_nodes
        usual_s = times.node_times.weights(kind.shape, kinds)
        times.load_times.on_rendered(loaders(graph), kinds, seconds, usual_s)
        times.node_times.on_measured(kind.shape, kinds, seconds)
        self._shapes.add(kind.shape)

    def publish(self) -> None:
        """Tell the fleet what has changed: after the commit, which lists the shape."""
        device, times = self._device(), self._render_times
        while device and self._shapes:
            shape = self._shapes.pop()
            places = times.node_times.places(shape)
            told = places.known() if places.take_news() else {}
            news = DeviceSeconds(
                times.node_times.steps.take_news(), times.load_times.loads.take_news()
            )
            if not (told or news.steps or news.loads):
                continue
            try:
                self._kept.tell(device, news, shape=shape, places=told)
            except FleetError as exc:
                _log.warning("not told how long renders of shape %s take: %s", shape, exc)

    def _learn_of_device(self) -> None:
        device = self._device()
        if device in {"", self._asked_of}:
            return
        found = self._kept.of_device(device)
        self._render_times.node_times.steps.tell(found.steps)
        self._render_times.load_times.loads.tell(found.loads)
        self._asked_of = device
