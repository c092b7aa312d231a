"""The template that tests name, and graphs for it."""

from __future__ import annotations

from producer.contract.graph.named_graphs import NamedGraph
from tests.integration.api_server import GRAPH

PORTRAIT = NamedGraph("portrait")


def coloured(color):
    return {**GRAPH, "3": {**GRAPH["3"], "inputs": {**GRAPH["3"]["inputs"], "color": color}}}
