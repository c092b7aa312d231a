"""What a person wants of nodes: drain, pause, resume, quarantine, clear, probe; `producer.client.Producer` inherits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from producer.acting import who_acts
from producer.contract.arguments import checked, names_of
from producer.contract.errors import InvalidJob
from producer.contract.nodes import Node, NodeTimes
from producer.contract.operations import DesiredState
from producer.node_checks import check_can_restart, check_known, check_last, node_named
from producer.store.actions import Actions
from producer.store.desired_states import DesiredStates, of_nodes, quarantines
from producer.store.node_seconds import NodeSeconds
from producer.store.node_store import NodeStore
from producer.threaded_calls import in_thread

if TYPE_CHECKING:
    from redis import Redis

_MOST_NAMES: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Why a person wants something, when it is over by itself, and for the log of actions who it is, and where.

    Raises:
        InvalidJob: `until` is over or has no time zone, or one of them is of another type.
    """

    reason: str
    until: datetime | None = None
    actor: str
    origin: str

    def __post_init__(self) -> None:
        for name in ("reason", "actor", "origin"):
            checked(getattr(self, name), str, field=name)
        if self.until is not None:
            _check_until(checked(self.until, datetime, field="until"))

    @property
    def wanted_by(self) -> str:
        """Who it is, or, where nobody is named, who acts."""
        return self.actor or who_acts().actor


class NodeMethods:
    """List nodes, and have them take nothing more, and take work again."""

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

    def drain_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
        actor: str = "",
        origin: str = "",
    ) -> list[Node]:
        """Have nodes finish what they hold, take nothing more, and then stay paused, restarted or not.

        Args:
            reason: why, for whoever looks at them.
            until: when it is over by itself, aware.
            last_of: the pool whose last ready nodes may be meant.
            actor: who wants it, and `origin` from where, as `cli@host` or an address: for the log of actions.

        Raises:
            InvalidJob: there is no such node, `until` is over or has no time zone, or no ready node of a pool would
                be left, and `last_of` does not name it.
        """
        wish = Wish(reason=reason, until=until, actor=actor, origin=origin)
        return self._want("drain", DesiredState.DRAINED, names, wish, last_of=last_of)

    def pause_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
        actor: str = "",
        origin: str = "",
    ) -> list[Node]:
        """Have nodes take nothing more: what renders ends, what waits behind it goes to other nodes.

        Raises:
            InvalidJob: as of `drain_nodes`.
        """
        wish = Wish(reason=reason, until=until, actor=actor, origin=origin)
        return self._want("pause", DesiredState.PAUSED, names, wish, last_of=last_of)

    def resume_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """Have nodes take work again that were drained or paused; what else keeps them from it stays.

        Raises:
            InvalidJob: there is no such node.
        """
        wish = Wish(reason=reason, actor=actor, origin=origin)
        wishes = of_nodes(self._redis)
        names = self._known_or_in(wishes, names)
        changed = [name for name in names if wishes.clear(name)]
        self._log("node.resume", changed, wish)
        return self._named(names)

    def quarantine_nodes(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        last_of: str = "",
        actor: str = "",
        origin: str = "",
    ) -> list[Node]:
        """Set nodes aside that a person doubts: as of `pause_nodes`, until they are cleared. `reason` is needed.

        Raises:
            InvalidJob: as of `drain_nodes`, or there is no reason.
        """
        wish = Wish(reason=reason, until=until, actor=actor, origin=origin)
        if not reason.strip():
            raise InvalidJob(
                "a quarantine needs a reason",
                field="reason",
                advice="say what is wrong with the node, for whoever is to clear it",
            )
        return self._want("quarantine", DesiredState.QUARANTINED, names, wish, last_of=last_of)

    def clear_nodes(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Node]:
        """End all doubt about nodes: a person's quarantine, and what their workers hold against them.

        Each counts as well until its next fault. A node that was drained or paused stays so.

        Raises:
            InvalidJob: there is no such node.
        """
        wish = Wish(reason=reason, actor=actor, origin=origin)
        doubts = quarantines(self._redis)
        names = self._known_or_in(doubts, names)
        for name in names:
            doubts.clear(name)
            self._nodes.ask(name, "clear")
        self._log("node.clear", names, wish)
        return self._named(names)

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

    def _want(
        self, verb: str, state: DesiredState, names: Sequence[str], wish: Wish, *, last_of: str
    ) -> list[Node]:
        names = names_of(names, field="node")
        nodes = self._known(names)
        check_last(nodes, set(names), confirmed=checked(last_of, str, field="last_of"))
        is_doubt = state is DesiredState.QUARANTINED
        wishes = quarantines(self._redis) if is_doubt else of_nodes(self._redis)
        for name in names:
            wishes.set(name, state, actor=wish.wanted_by, reason=wish.reason, until=wish.until)
        self._log(f"node.{verb}", names, wish)
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
    restart_nodes = in_thread(NodeMethods.restart_nodes)


def _check_until(until: datetime) -> None:
    if until.tzinfo is None:
        raise InvalidJob("until has no time zone", field="until", advice="add one, as in +00:00")
    try:
        until.astimezone(UTC)
    except OverflowError:
        raise InvalidJob(
            "until lies beyond the last day that there is",
            field="until",
            advice="leave it out for a wish without an end",
        ) from None
    if until <= datetime.now(UTC):
        raise InvalidJob("until is over already", field="until", advice="give a time to come")
