"""Validation of a graph by `POST /prompt` before it is queued, and the refusal's body.

Types of errors, their keys and their order are those of ComfyUI 0.3.64 and 0.33.0. An exception that
is not caught here becomes a 500, as it does there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from infra.standin.catalog import Catalog
from infra.standin.graph_errors import Findings, Graph
from infra.standin.graph_nodes.class_declaration import GraphNodeClass
from infra.standin.refusals import Reason, error
from infra.standin.storage import Storage


class Refused(Exception):
    """The whole graph is refused; ``error`` and ``node_errors`` are the body of the 400."""

    def __init__(self, error: Reason, node_errors: dict[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.node_errors = node_errors or {}


@dataclass(frozen=True)
class Accepted:
    """The outputs that will be executed, and the errors of the others."""

    outputs: list[str]
    node_errors: dict[str, Any]


class Validator:
    """Checks graphs against the classes and files of one node."""

    def __init__(self, catalog: Catalog, storage: Storage, *, is_current: bool) -> None:
        self._catalog = catalog
        self._storage = storage
        self._is_current = is_current

    def validate(self, graph: Graph, targets: Collection[str] | None) -> Accepted:
        """Check *graph* and convert its values in place.

        Raises:
            Refused: it has no output, or none of them is valid.
        """
        outputs = [
            graph_node
            for graph_node in graph
            if self._known_class(graph, graph_node).is_output
            and (targets is None or graph_node in targets)
        ]
        if not outputs:
            raise Refused(error("prompt_no_outputs", "Prompt has no outputs"))
        findings = Findings(self._catalog, self._storage, graph, names_cycles=self._is_current)
        good = [output for output in outputs if findings.judge(output)]
        if not good:
            raise Refused(findings.summary(), findings.node_errors)
        return Accepted(good, findings.node_errors)

    def _known_class(self, graph: Graph, graph_node: str) -> GraphNodeClass:
        content = graph[graph_node]
        if "class_type" not in content:
            raise Refused(self._missing_class(graph_node, content))
        known = self._catalog.find(content["class_type"])
        if known is None:
            raise Refused(self._unknown_class(graph_node, content))
        return known

    def _missing_class(self, graph_node: str, content: Graph) -> Reason:
        details = f"Node ID '#{graph_node}'"
        if not self._is_current:
            message = "Cannot execute because a node is missing the class_type property."
            return error("invalid_prompt", message, details)
        title = content.get("_meta", {}).get("title")
        shown = title or f"ID #{graph_node}"
        message = f"Node '{shown}' has no class_type."
        return _missing_node_type(message, details, graph_node, None, title)

    def _unknown_class(self, graph_node: str, content: Graph) -> Reason:
        class_type = content["class_type"]
        details = f"Node ID '#{graph_node}'"
        if not self._is_current:
            message = f"Cannot execute because node {class_type} does not exist."
            return error("invalid_prompt", message, details)
        title = content.get("_meta", {}).get("title", class_type)
        message = f"Node '{title}' not found. The custom node may not be installed."
        return _missing_node_type(message, details, graph_node, class_type, title)


def _missing_node_type(
    message: str, details: str, graph_node: str, class_type: Any, title: Any
) -> Reason:
    named = {"node_id": graph_node, "class_type": class_type, "node_title": title}
    return error("missing_node_type", message, details, **named)
