"""Values that are set in a template, as records and manifests tell them. Pure.

`params` has all of them, so that whoever sets these has the graph, workers of the version before too. Where
some stood in the graph that was handed in, `own` lists the addresses of the params that were handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told(params: Mapping[str, Any], graph_values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields `params` and, where there are values of the graph, `own`."""
    if not graph_values:
        return {"params": dict(params)}
    return {"params": {**graph_values, **params}, "own": list(params)}


def told_apart(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the params that were handed in, and the values of the graph; undoes `told`."""
    values, own = fields.get("params") or {}, fields.get("own")
    if own is None or not isinstance(own, list) or not isinstance(values, dict):
        return values, {}
    graph_values = {address: value for address, value in values.items() if address not in own}
    return {name: value for name, value in values.items() if name not in graph_values}, graph_values
