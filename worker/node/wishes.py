"""What persons want of this node and of its pool, and the state that the node is then in."""

from __future__ import annotations

from typing import Final

from producer.contract.nodes import NodeState
from producer.contract.operations import Asked, Desired, DesiredState, Wanted

#: A word of a newer version is none that this worker can obey.
_OBEYED: Final = frozenset(DesiredState)


class Wishes:
    """Remembers what persons want of the node, as the last beat told it.

    Args:
        pool: the node's.
    """

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._wanted = Wanted()
        self._was_told = False

    def on_told(self, wanted: Wanted) -> bool:
        """Take note of what is wanted now; return whether the node's state is to be another one."""
        before = self._all
        self._wanted, self._was_told = wanted, True
        return self._all != before

    def asked(self, wanted: Wanted) -> Asked:
        """Return what somebody has asked since the last `on_told`.

        What was asked before the first of them was asked of a worker that is gone.
        """
        if not self._was_told:
            return Asked()
        last = self._wanted
        return Asked(
            clear=wanted.clear_asked not in {"", last.clear_asked},
            probe=wanted.probe_asked not in {"", last.probe_asked},
            restart=wanted.restart_asked not in {"", last.restart_asked},
            restart_now=wanted.restart_now_asked not in {"", last.restart_now_asked},
        )

    @property
    def is_none(self) -> bool:
        """Whether the node may take work."""
        return not self._all

    @property
    def is_pause(self) -> bool:
        """Whether what waits behind its render goes to other nodes: a drained one finishes that, too."""
        return any(wish.state != DesiredState.DRAINED for wish in self._all)

    def shown(self, state: NodeState, reason: str, *, is_busy: bool) -> tuple[NodeState, str]:
        """Return the state of the node, and the reason for it.

        Args:
            state, reason: as they are but for the wishes; a node that is not well says that.
            is_busy: whether it holds jobs, which a drained one finishes.
        """
        if self.is_none or state is not NodeState.READY:
            return state, reason
        wanted = self._wanted
        said = [wish.told for wish in self._all if wish is not wanted.pool]
        if wanted.pool in self._all and wanted.pool is not None:
            said.append(f"pool {self._pool} {wanted.pool.told}")
        return self._state(is_busy=is_busy), "; ".join(said)

    def _state(self, *, is_busy: bool) -> NodeState:
        if any(wish.state == DesiredState.QUARANTINED for wish in self._all):
            return NodeState.QUARANTINED
        return NodeState.DRAINING if is_busy and not self.is_pause else NodeState.PAUSED

    @property
    def _all(self) -> list[Desired]:
        wanted = (self._wanted.quarantine, self._wanted.own, self._wanted.pool)
        return [wish for wish in wanted if wish is not None and wish.state in _OBEYED]
