"""What a person wants of nodes: drain, pause, resume; `producer.client.Producer` inherits it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.near_names import near_names
from producer.contract.nodes import Node, NodeState, NodeTimes
from producer.contract.operations import DesiredState
from producer.retry_methods import RetryMethods, node_named
from producer.store.actions import Actions
from producer.store.desired_states import of_nodes

if TYPE_CHECKING:
    from redis import Redis

_MOST_NAMES: Final = 1_000


class WishOptions(TypedDict, total=False):
    """How nodes are drained or paused.

    `reason` says why, `until` (aware) when it is over by itself. `last_of` is the pool whose last ready nodes
    may be meant. `actor` is who wants it, `origin` from where, as `cli@host` or an address: for the log of actions.
    """

    reason: str
    until: datetime | None
    last_of: str
    actor: str
    origin: str


class NodeMethods(RetryMethods):
    """Have nodes take nothing more, and take work again."""

    _redis: Redis

    def drain_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes finish what they hold, take nothing more, and then stay paused, restarted or not.

        Raises:
            InvalidJob: there is no such node, `until` is over or has no time zone, or no ready node of a pool would
                be left, and `last_of` does not name it.
        """
        return self._want(DesiredState.DRAINED, names, options)

    def pause_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes take nothing more: what renders ends, what waits behind it goes to other nodes.

        Raises:
            InvalidJob: as of `drain_nodes`.
        """
        return self._want(DesiredState.PAUSED, names, options)

    def resume_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes take work again that were drained or paused; others are unchanged.

        Raises:
            InvalidJob: there is no such node.
        """
        names = _as_names(names)
        wishes = of_nodes(self._redis)
        wished = wishes.get()
        self._known([name for name in names if name not in wished])
        changed = [name for name in names if wishes.clear(name)]
        self._log("node.resume", changed, actor=actor, origin=origin, reason=reason)
        return self._named(names)

    def rescan(self, node: str) -> None:
        """Have a node read its models and classes again, after files were added.

        Raises:
            InvalidJob: the fleet has no such node.
        """
        self._nodes.ask_rescan(node_named(node, self.nodes()).name)

    def _want(self, state: DesiredState, names: Sequence[str], options: WishOptions) -> list[Node]:
        names = _as_names(names)
        until = options.get("until")
        _check_until(until)
        nodes = self._known(names)
        _check_last(nodes, set(names), confirmed=options.get("last_of", ""))
        wishes = of_nodes(self._redis)
        actor, reason = options.get("actor", ""), options.get("reason", "")
        for name in names:
            wishes.set(name, state, actor=actor, reason=reason, until=until)
        what = "node.drain" if state is DesiredState.DRAINED else "node.pause"
        self._log(what, names, actor=actor, origin=options.get("origin", ""), reason=reason)
        return self._named(names)

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
    """The same for asyncio; `producer.aio.AsyncProducer` inherits it."""

    _sync: NodeMethods

    async def nodes(self) -> list[Node]:
        """Return every node that sent a beat within the last week."""
        return await asyncio.to_thread(self._sync.nodes)

    async def node_times(self, name: str) -> NodeTimes:
        """Return how long things take on a node; errors as of `Producer.node_times`."""
        return await asyncio.to_thread(self._sync.node_times, name)

    async def rescan(self, node: str) -> None:
        """Have a node read its models and classes again; errors as of `Producer.rescan`."""
        await asyncio.to_thread(self._sync.rescan, node)

    async def drain_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes finish what they hold and take nothing more; errors as of `Producer.drain_nodes`."""
        return await asyncio.to_thread(self._sync.drain_nodes, names, **options)

    async def pause_nodes(self, names: Sequence[str], **options: Unpack[WishOptions]) -> list[Node]:
        """Have nodes take nothing more; errors as of `Producer.pause_nodes`."""
        return await asyncio.to_thread(self._sync.pause_nodes, names, **options)

    async def resume_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes take work again; errors as of `Producer.resume_nodes`."""
        return await asyncio.to_thread(
            self._sync.resume_nodes, names, reason=reason, actor=actor, origin=origin
        )


def _as_names(names: Sequence[str]) -> list[str]:
    """Return the names, each once; a text alone is one name, not one of each letter."""
    given = [names] if isinstance(names, str) else names
    return list(dict.fromkeys(checked(name, str, field="node") for name in given))


def _check_until(until: datetime | None) -> None:
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
