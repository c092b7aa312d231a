"""Cache of the parsed graphs (templates) that the node's jobs are made from."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

from producer.contract.graph.graph import Graph, stored_graph
from producer.store.job_store import JobStore

#: A node's jobs come from few templates at a time; a parsed one takes about ten times its JSON.
_KEPT: Final = 16


class Templates:
    """Keeps the templates that were used last; a template never changes under its hash."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._kept: OrderedDict[str, Graph] = OrderedDict()
        self._lock = Lock()

    def graph(self, sha256: str) -> Graph:
        """Return a template; not to be written to.

        Raises:
            FleetUnreachable: Redis did not answer.
            InvalidGraph: it is gone, or no graph.
        """
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
                return self._kept[sha256]
        graph = stored_graph(self._store.graph(sha256))
        with self._lock:
            self._kept[sha256] = graph
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return graph
