"""Tells attempts that the worker shuts down: whether to leave a prompt to the successor or hand the job over."""

from __future__ import annotations

from enum import Enum, auto
from threading import Event

from worker.errors import NodeLeaves


class Stopping(Exception):
    """The worker leaves; the job stays as it is for its successor on the node."""


class ShutdownMode(Enum):
    """What becomes of running prompts when the worker shuts down."""

    SUCCESSOR = auto()  #: Another worker comes for the node and takes back what runs.
    HANDOVER = auto()  #: The node leaves with it, so what runs goes elsewhere.


class Shutdown:
    """Signals the shutdown to attempts: whatever waits calls its checks.

    Args:
        mode: what becomes of a prompt that renders.
    """

    def __init__(self, node: str, *, mode: ShutdownMode = ShutdownMode.SUCCESSOR) -> None:
        self._node = node
        self._mode = mode
        self._begun = Event()
        self._grace_over = Event()

    def begin(self) -> None:
        """Begin: running prompts are left to the successor, or their jobs handed over."""
        self._begun.set()

    def end_grace(self) -> None:
        """End the grace: attempts that fetch and store are left, too."""
        self._grace_over.set()

    def check_render(self) -> None:
        """Return if a render may go on.

        Raises:
            Stopping: leave the prompt where it is.
            NodeLeaves: stop it and let the job go elsewhere.
        """
        if not self._begun.is_set():
            return
        if self._mode is ShutdownMode.HANDOVER:
            raise NodeLeaves(self._node, "the node leaves the fleet")
        raise Stopping

    def check_storing(self) -> None:
        """Return if fetching and storing may go on.

        Raises:
            Stopping: the grace is over.
        """
        if self._grace_over.is_set():
            raise Stopping
