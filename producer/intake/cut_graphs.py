"""A graph with its params set, the part of it that its outputs need, and the catalogs of the nodes that may run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producer.contract.classes.links import check_links
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.classes.save_names import check_kept_prefixes
from producer.contract.graph.graph import Graph
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import (
    by_address,
    check_count,
    check_size,
    find_values,
    with_values,
)
from producer.intake.catalogs import Catalogs, FleetCatalogs
from producer.intake.request import Request


@dataclass(frozen=True)
class CutGraph:
    """A graph that is sound by itself.

    Args:
        catalogs, params: as of `FilledGraph`.
        wanted: what its outputs need, with the params set.
    """

    catalogs: Catalogs
    params: Mapping[str, Any]
    wanted: Graph


@dataclass(frozen=True)
class FilledGraph:
    """A graph with a request's params set; nothing else of it is checked yet.

    Args:
        catalogs: of the nodes that may take the job, by node; empty while none lives.
        params: value by resolved address, `6.text`, of the type of its input.
        graph: with the params set.
    """

    catalogs: Catalogs
    params: Mapping[str, Any]
    graph: Graph

    def cut(self) -> CutGraph:
        """Check the links, and cut it to what its outputs need.

        Raises:
            InvalidGraph, InvalidInput: links, outputs or save names are invalid.
        """
        catalog = self.catalogs.merged
        check_links(self.graph, catalog)
        wanted = cut(self.graph, output_graph_nodes(self.graph, catalog))
        check_kept_prefixes(wanted, catalog=catalog)
        return CutGraph(self.catalogs, self.params, wanted)


def fill_graph(
    fleet: FleetCatalogs,
    request: Request,
    graph: Graph,
    addresses: Addresses | None = None,
    *,
    max_params_bytes: int,
) -> FilledGraph:
    """Set a request's params in its graph.

    Args:
        addresses: of *graph*, if already made.

    Raises:
        InvalidJob: params are invalid, or its place is unknown.
        FleetUnreachable: Redis does not serve us.
    """
    catalogs = fleet.of(request)
    check_count(request.params)
    values = find_values(graph, request.params, addresses)
    params = by_address(values)
    check_size(params, max_params_bytes)
    return FilledGraph(catalogs, params, with_values(graph, values))
