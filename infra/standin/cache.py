"""Cache of the previous prompt's results: a graph node that is identical is not executed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from infra.standin.catalog import Catalog
from infra.standin.graph_nodes.class_declaration import Result
from infra.standin.storage import Storage


class ResultCache:
    """Results of the previous prompt by signature: a hash of class, constants and all ancestors.

    Ids of graph nodes are not part of it, so a renumbered graph hits the cache (ComfyUI 0.3.64, 0.33.0).
    """

    def __init__(self) -> None:
        self._results: dict[str, Result] = {}

    def keep_only(self, signatures: Mapping[str, str]) -> None:
        """Drop results that the graph with these *signatures* does not use."""
        wanted = set(signatures.values())
        self._results = {key: one for key, one in self._results.items() if key in wanted}

    def find(self, signature: str) -> Result | None:
        """Return the cached result of a graph node with that signature, or None."""
        return self._results.get(signature)

    def keep(self, signature: str, result: Result) -> None:
        """Store the result for the next prompt."""
        self._results[signature] = result

    def clear(self) -> None:
        """Drop all results, as `POST /free {"free_memory": true}` does."""
        self._results.clear()


def signatures(graph: Mapping[str, Any], catalog: Catalog, storage: Storage) -> dict[str, str]:
    """Return the signature of every graph node by its id, also of those that no output needs.

    Raises:
        KeyError: a graph node has no ``inputs``; ComfyUI's executing thread ends by it, too.
    """
    found: dict[str, str] = {}

    def sign(graph_node: str, path: tuple[str, ...]) -> str:
        if graph_node in path or graph_node not in graph:
            return f"?{graph_node}"
        if graph_node not in found:
            content = graph[graph_node]
            way = (*path, graph_node)
            inputs = {
                name: [sign(value[0], way), value[1]] if is_link(value) else value
                for name, value in sorted(content["inputs"].items())
            }
            print_ = _fingerprint(content, catalog, storage)
            parts = json.dumps([content["class_type"], print_, inputs], default=str)
            found[graph_node] = hashlib.sha256(parts.encode()).hexdigest()
        return found[graph_node]

    for graph_node in graph:
        sign(graph_node, ())
    return found


def is_link(value: Any) -> bool:
    """Whether an input's value is ``[graph node id, slot]``."""
    match value:
        case [str(), int() | float()]:
            return True
    return False


def _fingerprint(content: Mapping[str, Any], catalog: Catalog, storage: Storage) -> str:
    known = catalog.find(content["class_type"])
    if known is None or known.fingerprint is None:
        return ""
    try:
        return known.fingerprint(storage, content["inputs"])
    except (OSError, KeyError, ValueError):
        return "unreadable"
