"""The part of a graph that its outputs need, with its params set, and the catalogs of the nodes that may run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producer.contract.classes.catalog import Catalog
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
from producer.intake.catalogs import FleetCatalogs, merged
from producer.intake.request import Request


@dataclass(frozen=True)
class CutGraph:
    """A graph that is sound by itself.

    Args:
        catalogs: of the nodes that may take the job, by node; empty while none lives.
        any_catalog: of all that any of them can run; None while none lives.
        params: value by resolved address, `6.text`, of the type of its input.
        wanted: what its outputs need, with the params set.
    """

    catalogs: dict[str, Catalog]
    any_catalog: Catalog | None
    params: Mapping[str, Any]
    wanted: Graph


def cut_graph(
    fleet: FleetCatalogs,
    request: Request,
    graph: Graph,
    addresses: Addresses | None = None,
    *,
    max_params_bytes: int,
) -> CutGraph:
    """Set a request's params in its graph, check the links, and cut it to what its outputs need.

    Args:
        addresses: of *graph*, if already made.

    Raises:
        InvalidGraph, InvalidJob: params, links, outputs or save names are invalid, or its place is unknown.
        FleetUnreachable: Redis does not serve us.
    """
    catalogs = fleet.of(request)
    any_catalog = merged(catalogs)
    check_count(request.params)
    values = find_values(graph, request.params, addresses)
    params = by_address(values)
    check_size(params, max_params_bytes)
    changed = with_values(graph, values)
    check_links(changed, any_catalog)
    wanted = cut(changed, output_graph_nodes(changed, any_catalog))
    check_kept_prefixes(wanted, catalog=any_catalog)
    return CutGraph(catalogs, any_catalog, params, wanted)
