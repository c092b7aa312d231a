"""Publishes which models the node loads next, on a thread of its own."""

from __future__ import annotations

import logging
from threading import Event, Thread

from producer.contract.errors import FleetError
from producer.store.node_store import NodeStore

_log = logging.getLogger(__name__)


class ModelsAnnouncer:
    """Publishes on its own thread: kombu's loop, where a job is taken, must not wait for Redis."""

    def __init__(self, nodes: NodeStore, *, node: str) -> None:
        self._nodes = nodes
        self._node = node
        self._models: frozenset[str] = frozenset()
        self._news = Event()
        self._stopped = False

    def __call__(self, models: frozenset[str]) -> None:
        """Publish *models* soon; only the newest are sent."""
        self._models = models
        self._news.set()

    def start(self) -> None:
        """Start the thread."""
        Thread(target=self._run, name="announcer", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._news.set()

    def _run(self) -> None:
        while self._news.wait() and not self._stopped:
            self._news.clear()
            try:
                self._nodes.say_warm(self._node, self._models)
            except FleetError as exc:
                # Others may load the same models meanwhile: slower, and no more than that.
                _log.warning("node %s loads models, which was not published: %s", self._node, exc)
            except Exception:  # noqa: BLE001 - without this thread nobody hears of any more
                _log.exception("node %s loads models, which was not published", self._node)
