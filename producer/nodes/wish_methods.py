"""What a person wants of nodes until it is taken back: drain, pause, quarantine; resume and clear end it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from producer.contract.arguments import checked, names_of
from producer.contract.errors import InvalidJob
from producer.contract.nodes import Node
from producer.contract.operations import DesiredState
from producer.nodes.checks import check_last
from producer.nodes.node_methods import NodeMethods
from producer.nodes.wishes import Wish
from producer.store.desired_states import DesiredStates, of_nodes, quarantines


class WishMethods(NodeMethods):
    """Have nodes take nothing more, and take work again."""

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
