"""What a person wants of pools: of all their nodes, and of those that join later; `producer.client.Producer` inherits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from producer.contract.arguments import names_of
from producer.contract.nodes import Pool
from producer.contract.operations import DesiredState
from producer.nodes.checks import check_known
from producer.nodes.wish_methods import WishMethods
from producer.nodes.wishes import Wish
from producer.store.desired_states import of_pools


class PoolMethods(WishMethods):
    """Have all nodes of a pool take nothing more, and take work again."""

    def pools(self) -> list[Pool]:
        """Return every pool that has nodes, or of which a person wants something, by name."""
        nodes = self.nodes()
        wishes = of_pools(self._redis).get()
        return [
            Pool(
                name=name,
                nodes=dict(Counter(str(node.state) for node in nodes if node.pool == name)),
                desired=wishes.get(name),
            )
            for name in sorted({node.pool for node in nodes} | wishes.keys())
        ]

    def drain_pools(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        actor: str = "",
        origin: str = "",
    ) -> list[Pool]:
        """Have each node of some pools do as of `drain_nodes`, and each that joins later, until they are resumed.

        Raises:
            InvalidJob: there is no such pool, or `until` is over or has no time zone.
        """
        wish = Wish(reason=reason, until=until, actor=actor, origin=origin)
        return self._want_of_pools("drain", DesiredState.DRAINED, names, wish)

    def pause_pools(
        self,
        names: Sequence[str],
        *,
        reason: str = "",
        until: datetime | None = None,
        actor: str = "",
        origin: str = "",
    ) -> list[Pool]:
        """Have each node of some pools do as of `pause_nodes`, and each that joins later, until they are resumed.

        Raises:
            InvalidJob: as of `drain_pools`.
        """
        wish = Wish(reason=reason, until=until, actor=actor, origin=origin)
        return self._want_of_pools("pause", DesiredState.PAUSED, names, wish)

    def resume_pools(
        self, names: Sequence[str], *, reason: str = "", actor: str = "", origin: str = ""
    ) -> list[Pool]:
        """Have pools take work again; a node that was itself drained, paused or quarantined stays so.

        Raises:
            InvalidJob: there is no such pool.
        """
        wish = Wish(reason=reason, actor=actor, origin=origin)
        names = self._known_pools(names)
        wishes = of_pools(self._redis)
        changed = [name for name in names if wishes.clear(name)]
        self._log("pool.resume", changed, wish)
        return self._pools_named(names)

    def _want_of_pools(
        self, verb: str, state: DesiredState, names: Sequence[str], wish: Wish
    ) -> list[Pool]:
        names = self._known_pools(names)
        wishes = of_pools(self._redis)
        for name in names:
            wishes.set(name, state, actor=wish.wanted_by, reason=wish.reason, until=wish.until)
        self._log(f"pool.{verb}", names, wish)
        return self._pools_named(names)

    def _known_pools(self, names: Sequence[str]) -> list[str]:
        known = [pool.name for pool in self.pools()]
        wanted = names_of(names, field="pool")
        check_known(wanted, known, what="pool")
        return wanted

    def _pools_named(self, names: Sequence[str]) -> list[Pool]:
        """Return these pools; one without nodes and wishes is there all the same."""
        found = {pool.name: pool for pool in self.pools()}
        return [found.get(name, Pool(name=name)) for name in names]
