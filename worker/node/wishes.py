"""What a person wants of this node, and the state that the node is then in."""

from __future__ import annotations

from typing import Final

from producer.contract.nodes import NodeState
from producer.contract.operations import Desired, DesiredState

#: A word of a newer version is none that this worker can obey.
_OBEYED: Final = frozenset(DesiredState)


class Wishes:
    """Remembers what a person wants of the node, as the last beat told it."""

    def __init__(self) -> None:
        self._wish: Desired | None = None

    def on_told(self, wish: Desired | None) -> bool:
        """Take note of what is wanted now; return whether that is something else than before."""
        before = self._wish
        self._wish = wish if wish is not None and wish.state in _OBEYED else None
        return self._wish != before

    @property
    def is_none(self) -> bool:
        """Whether the node may take work."""
        return self._wish is None

    @property
    def is_pause(self) -> bool:
        """Whether what waits behind its render goes to other nodes: a drained one finishes that, too."""
        return self._wish is not None and self._wish.state != DesiredState.DRAINED

    def shown(self, state: NodeState, reason: str, *, is_busy: bool) -> tuple[NodeState, str]:
        """Return the state of the node, and the reason for it.

        Args:
            state, reason: as they are but for the wish; a node that is not well says that.
            is_busy: whether it holds jobs, which a drained one finishes.
        """
        wish = self._wish
        if wish is None or state is not NodeState.READY:
            return state, reason
        by = f" by {wish.actor}" if wish.actor else ""
        until = f", until {wish.until:%Y-%m-%d %H:%M} UTC" if wish.until else ""
        why = f": {wish.reason}" if wish.reason else ""
        said = f"{wish.state}{by}{until}{why}"
        return NodeState.DRAINING if is_busy and not self.is_pause else NodeState.PAUSED, said
