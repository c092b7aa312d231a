"""Cache of the parsed graphs (templates) that the node's jobs are made from."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

from producer.contract.graph.graph import Graph, stored_graph
from producer.store.job_store import JobStore

#: A node's jobs come from few templates at a time; a parsed one takes about ten times its JSON.
_KEPT: Final = 16


class _Template(NamedTuple):
    graph: Graph
    content: bytes


class Templates:
    """Keeps the templates that were used last; a template never changes under its hash."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._kept: OrderedDict[str, _Template] = OrderedDict()
        self._lock = Lock()

    def graph(self, sha256: str) -> Graph:
        """Return a template; not to be written to.

        Raises:
            FleetUnreachable: Redis did not answer.
            InvalidGraph: it is gone, or no graph.
        """
        return self._template(sha256).graph

    def content(self, sha256: str) -> bytes:
        """Return a template as canonical JSON; errors as of `graph`."""
        return self._template(sha256).content

    def _template(self, sha256: str) -> _Template:
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
                return self._kept[sha256]
        content = self._store.graph(sha256)
        template = _Template(stored_graph(content), content)
        with self._lock:
            self._kept[sha256] = template
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return template
