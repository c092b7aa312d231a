"""Nodes are listed, and asked something once: to read their models again, to be tried, to restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.arguments import checked, names_of
from producer.contract.nodes import Node, NodeTimes
from producer.nodes.checks import check_can_restart, check_known, node_named
from producer.nodes.wishes import Wish
from producer.store.actions import Actions
from producer.store.node_seconds import NodeSeconds
from producer.store.node_store import NodeStore

if TYPE_CHECKING:
    from redis import Redis

_MOST_NAMES: Final = 1_000


class NodeMethods:
    """List nodes, and ask something of them."""

    _redis: Redis
    _actions: Actions
    _nodes: NodeStore
    _node_seconds: NodeSeconds

    def nodes(self) -> list[Node]:
        """Return every node that sent a beat within the last week, sorted by name."""
        return self._nodes.nodes()

    def node_times(self, name: str) -> NodeTimes:
        """Return how long models take to load on a node, and graph nodes to run, as far as it was seen.

        Raises:
            InvalidJob: the fleet has no such node.
        """
        return self._node_seconds.times_of(node_named(name, self.nodes()).device)

    def probe_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes tried now, by the canary that their workers send after a fault; no back-off is waited for.

        What comes of it stands in `probe` of the node a moment later. One that fails counts as a fault of the node.

        Raises:
            InvalidJob: there is no such node.
        """
        wish = Wish(reason=reason, actor=actor, origin=origin)
        names = names_of(names, field="node")
        self._known(names)
        for name in names:
            self._nodes.ask(name, "probe")
        self._log("node.probe", names, wish)
        return self._named(names)

    def restart_nodes(
        self,
        names: Sequence[str],
        *,
        now: bool = False,
        reason: str = "",
        actor: str = "",
        origin: str = "",
    ) -> list[Node]:
        """Have the ComfyUIs of nodes restarted by their workers' restart commands, once they hold no job; then each is probed.

        Until then they take nothing. What comes of the command stands in `restart` of the node, of the canary in `probe`.

        Args:
            now: at once; what they render is lost, and made again without being charged.

        Raises:
            InvalidJob: there is no such node, or its worker is away or has no such command; then none is restarted.
        """
        wish = Wish(reason=reason, actor=actor, origin=origin)
        verb: Final = "restart_now" if checked(now, bool, field="now") else "restart"
        names = names_of(names, field="node")
        for node in self._known(names):
            if node.name in names:
                check_can_restart(node)
        for name in names:
            self._nodes.ask(name, verb)
        self._log("node.restart", names, wish)
        return self._named(names)

    def rescan(self, node: str) -> None:
        """Have a node read its models and classes again, after files were added.

        Raises:
            InvalidJob: the fleet has no such node.
        """
        name = node_named(node, self.nodes()).name
        self._nodes.ask_rescan(name)
        self._actions.write("node.rescan", selection=name)

    def _known(self, names: Sequence[str]) -> list[Node]:
        """Return all nodes; each of *names* is one of them."""
        nodes = self.nodes()
        check_known(names, [node.name for node in nodes], what="node")
        return nodes

    def _named(self, names: Sequence[str]) -> list[Node]:
        return [node for node in self.nodes() if node.name in names]

    def _log(self, what: str, names: Sequence[str], wish: Wish) -> None:
        if names:
            self._actions.write(
                what,
                actor=wish.actor,
                origin=wish.origin,
                selection=" ".join(names[:_MOST_NAMES]),
                count=len(names),
                reason=wish.reason,
            )
