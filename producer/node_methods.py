"""What a person wants of nodes: drain, pause, resume, quarantine, clear, probe; `producer.client.Producer` inherits it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from producer.contract.arguments import checked, names_of
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.near_names import near_names
from producer.contract.nodes import Node, NodeState
from producer.contract.operations import DesiredState
from producer.retry_methods import RetryMethods, node_named
from producer.store.actions import Actions
from producer.store.desired_states import DesiredStates, of_nodes, quarantines
from producer.threaded_calls import in_thread

if TYPE_CHECKING:
    from redis import Redis

_MOST_NAMES: Final = 1_000


class PoolWishOptions(TypedDict, total=False):
    """How pools are drained or paused.

    `reason` says why, `until` (aware) when it is over by itself. `actor` is who wants it, `origin` from where,
    as `cli@host` or an address: for the log of actions.
    """

    reason: str
    until: datetime | None
    actor: str
    origin: str


class WishOptions(PoolWishOptions, total=False):
    """How nodes are drained, paused or quarantined.

    `last_of` is the pool whose last ready nodes may be meant; the others are as of `PoolWishOptions`.
    """

    last_of: str


class NodeMethods(RetryMethods):
    """Have nodes take nothing more, and take work again."""

    _redis: Redis

    def drain_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes finish what they hold, take nothing more, and then stay paused, restarted or not.

        Raises:
            InvalidJob: there is no such node, `until` is over or has no time zone, or no ready node of a pool would
                be left, and `last_of` does not name it.
        """
        return self._want("drain", DesiredState.DRAINED, names, options)

    def pause_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes take nothing more: what renders ends, what waits behind it goes to other nodes.

        Raises:
            InvalidJob: as of `drain_nodes`.
        """
        return self._want("pause", DesiredState.PAUSED, names, options)

    def resume_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes take work again that were drained or paused; what else keeps them from it stays.

        Raises:
            InvalidJob: there is no such node.
        """
        wishes = of_nodes(self._redis)
        names = self._known_or_in(wishes, names)
        changed = [name for name in names if wishes.clear(name)]
        self._log("node.resume", changed, actor=actor, origin=origin, reason=reason)
        return self._named(names)

    def quarantine_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Set nodes aside that a person doubts: as of `pause_nodes`, until they are cleared. `reason` is needed.

        Raises:
            InvalidJob: as of `drain_nodes`, or there is no reason.
        """
        if not checked(options.get("reason", ""), str, field="reason").strip():
            raise InvalidJob(
                "a quarantine needs a reason",
                field="reason",
                advice="say what is wrong with the node, for whoever is to clear it",
            )
        return self._want("quarantine", DesiredState.QUARANTINED, names, options)

    def clear_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """End all doubt about nodes: a person's quarantine, and what their workers hold against them.

        Each counts as well until its next fault. A node that was drained or paused stays so.

        Raises:
            InvalidJob: there is no such node.
        """
        doubts = quarantines(self._redis)
        names = self._known_or_in(doubts, names)
        for name in names:
            doubts.clear(name)
            self._nodes.ask(name, "clear")
        self._log("node.clear", names, actor=actor, origin=origin, reason=reason)
        return self._named(names)

    def probe_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes tried now, by the canary that their workers send after a fault; no back-off is waited for.

        What comes of it stands in `probe` of the node a moment later. One that fails counts as a fault of the node.

        Raises:
            InvalidJob: there is no such node.
        """
        names = names_of(names, field="node")
        self._known(names)
        for name in names:
            self._nodes.ask(name, "probe")
        self._log("node.probe", names, actor=actor, origin=origin, reason=reason)
        return self._named(names)

    def rescan(self, node: str) -> None:
        """Have a node read its models and classes again, after files were added.

        Raises:
            InvalidJob: the fleet has no such node.
        """
        self._nodes.ask_rescan(node_named(node, self.nodes()).name)

    def _want(
        self, verb: str, state: DesiredState, names: Sequence[str], options: WishOptions
    ) -> list[Node]:
        names = names_of(names, field="node")
        until = options.get("until")
        check_until(until)
        nodes = self._known(names)
        _check_last(nodes, set(names), confirmed=options.get("last_of", ""))
        is_doubt = state is DesiredState.QUARANTINED
        wishes = quarantines(self._redis) if is_doubt else of_nodes(self._redis)
        actor, reason = options.get("actor", ""), options.get("reason", "")
        for name in names:
            wishes.set(name, state, actor=actor, reason=reason, until=until)
        self._log(
            f"node.{verb}", names, actor=actor, origin=options.get("origin", ""), reason=reason
        )
        return self._named(names)

    def _known_or_in(self, wishes: DesiredStates, names: Sequence[str]) -> list[str]:
        """Return the names; each is one of a node, or of one that is gone and of which something is wanted."""
        names = names_of(names, field="node")
        wished = wishes.get()
        self._known([name for name in names if name not in wished])
        return names

    def _known(self, names: Sequence[str]) -> list[Node]:
        """Return all nodes; each of *names* is one of them."""
        nodes = self.nodes()
        known = [node.name for node in nodes]
        for name in names:
            if name not in known:
                near = near_names(name, known)
                hint = f"did you mean {near[0]}?" if near else "`comfyfleet node list` has all"
                raise InvalidJob(
                    f"there is no node {printable(name)}", field="node", allowed=known, advice=hint
                )
        return nodes

    def _named(self, names: Sequence[str]) -> list[Node]:
        return [node for node in self.nodes() if node.name in names]

    def _log(
        self, what: str, names: Sequence[str], *, actor: str, origin: str, reason: str
    ) -> None:
        if names:
            Actions(self._redis).write(
                what,
                actor=actor,
                origin=origin,
                selection=" ".join(names[:_MOST_NAMES]),
                count=len(names),
                reason=reason,
            )


class AsyncNodeMethods:
    """The same for asyncio; `producer.aio.AsyncProducer` inherits it through that of pools."""

    _sync: NodeMethods

    nodes = in_thread(NodeMethods.nodes)
    node_times = in_thread(NodeMethods.node_times)
    rescan = in_thread(NodeMethods.rescan)
    drain_nodes = in_thread(NodeMethods.drain_nodes)
    pause_nodes = in_thread(NodeMethods.pause_nodes)
    resume_nodes = in_thread(NodeMethods.resume_nodes)
    quarantine_nodes = in_thread(NodeMethods.quarantine_nodes)
    clear_nodes = in_thread(NodeMethods.clear_nodes)
    probe_nodes = in_thread(NodeMethods.probe_nodes)


def check_until(until: datetime | None) -> None:
    """Raise InvalidJob if a wish cannot end then."""
    if until is None:
        return
    if checked(until, datetime, field="until").tzinfo is None:
        raise InvalidJob("until has no time zone", field="until", advice="add one, as in +00:00")
    if until <= datetime.now(UTC):
        raise InvalidJob("until is over already", field="until", advice="give a time to come")


def _check_last(nodes: Sequence[Node], names: set[str], *, confirmed: str) -> None:
    """Raise InvalidJob if a pool that has ready nodes would have none, unless that is meant."""
    ready = [node for node in nodes if node.state is NodeState.READY]
    left = {node.pool for node in ready if node.name not in names}
    for node in ready:
        if node.name in names and node.pool not in {*left, confirmed}:
            raise InvalidJob(
                f"no ready node of pool {node.pool} would be left without {node.name}",
                field="last_of",
                allowed=[node.pool],
                advice=f"name the pool to confirm it: {node.pool}",
            )
