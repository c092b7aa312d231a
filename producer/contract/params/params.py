"""Params: the values that a job sets in its graph, and the addresses they are set at."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from producer.contract.classes.links import is_link
from producer.contract.errors import InvalidParam
from producer.contract.graph.graph import Graph, describe, literal
from producer.contract.graph.json_values import (
    canonical,
    find_flaw,
    kind_of,
    printable,
    short,
    shown,
)
from producer.contract.params.addresses import Addresses
from producer.contract.params.values import decode_typed, fit

#: `=` that an address may hold, in a title.
_MOST_EQUALS: Final = 50
#: Bytes that JSON writes for one character at most (`\\u0000`), and characters of a number.
_BYTES_A_CHARACTER: Final = 6
_NUMBER: Final = 24
#: Limit of params of one job.
MOST_PARAMS: Final = 5_000


def parse_param(text: str, addresses: Addresses | None = None) -> tuple[str, Any]:
    """Parse `ADDRESS=VALUE` as typed on a command line; return address and value.

    VALUE is decoded as JSON if encoding would give the same text back, or if it is a quoted string;
    anything else is text.

    Args:
        addresses: of the graph. A title may contain `=`: the address ends at the first `=` before
            which it names an input of the graph, else at the first `=`.

    Raises:
        InvalidParam: there is no address.
    """
    address, value = split_address(text, addresses)
    if not address:
        raise InvalidParam(
            f"expected ADDRESS=VALUE, as in '6.text=a red fox'; got {short(text)!r}",
            field="params",
        )
    return address, decode_typed(value)


def split_address(text: str, addresses: Addresses | None = None) -> tuple[str, str]:
    """Split `ADDRESS=VALUE` as `parse_param` does; the address is empty where there is none."""
    address, equals, value = text.partition("=")
    at = len(address)
    # Bounded: an address contains only so many `=`, but a value may contain thousands.
    for _ in range(_MOST_EQUALS) if addresses and equals else ():
        if addresses and addresses.knows(text[:at].strip()):
            return text[:at].strip(), text[at + 1 :]
        at = text.find("=", at + 1)
        if at < 0:
            break
    return (address.strip() if equals else ""), value


def resolve_params(
    graph: Graph, params: Mapping[str, Any], addresses: Addresses | None = None
) -> dict[str, Any]:
    """Return *params* with addresses by graph node id, and values converted to the inputs' types.

    Idempotent: resolving the result again returns it unchanged, so a record stores it.

    Args:
        addresses: of *graph*, if already made.

    Raises:
        InvalidParam: with field `params.<address>`: an unknown address, a value that does not
            fit, or two addresses of one input.
    """
    return by_address(find_values(graph, params, addresses))


def find_values(
    graph: Graph, params: Mapping[str, Any], addresses: Addresses | None = None
) -> dict[tuple[str, str], Any]:
    """Return the same values as `resolve_params`, as `{(graph node id, input): value}`.

    Arguments and errors as of `resolve_params`.
    """
    if not params:
        return {}
    addresses = addresses or Addresses(graph)
    values: dict[tuple[str, str], Any] = {}
    written: dict[str, str] = {}
    for address, value in params.items():
        graph_node, name = addresses.find(address)
        own = f"{graph_node}.{name}"
        if own in written:
            raise InvalidParam(
                f"{printable(written[own])} and {printable(address)} set the same input of "
                f"{describe(graph, graph_node)}",
                field=f"params.{address}",
                graph_node=graph_node,
                advice="set it once",
            )
        written[own] = address
        values[graph_node, name] = _fitted(
            graph, graph_node, name, value, field=f"params.{address}"
        )
    return values


def by_address(values: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Return the result of `find_values` as a record stores it: `{"6.text": value}`."""
    return {f"{graph_node}.{name}": value for (graph_node, name), value in values.items()}


def check_count(params: Mapping[str, Any]) -> None:
    """Raise InvalidParam, naming the limit, for more than `MOST_PARAMS` params."""
    if len(params) > MOST_PARAMS:
        raise InvalidParam(
            f"{len(params):,} params are set; the limit is {MOST_PARAMS:,}",
            field="params.",
            advice="write what is the same for all jobs into the graph",
        )


def check_size(params: Mapping[str, Any], max_bytes: int) -> None:
    """Check that resolved params have at most *max_bytes* in all, as canonical JSON.

    Raises:
        InvalidParam: they have more; names the limit and the largest param.
    """
    # An upper bound first: most jobs set a seed and a text, which need no exact count.
    if sum(map(_rough_length, params.values())) * _BYTES_A_CHARACTER <= max_bytes:
        return
    sizes = {address: len(canonical(value).encode()) for address, value in params.items()}
    if sum(sizes.values()) > max_bytes:
        largest = max(sizes, key=lambda address: sizes[address])
        raise InvalidParam(
            f"the params have {sum(sizes.values()):,} bytes, of which {printable(largest)} has "
            f"{sizes[largest]:,}; the limit is {max_bytes:,} bytes (COMFYFLEET_MAX_PARAMS_BYTES)",
            field=f"params.{largest}",
            advice="hand pictures in as input files",
        )


def _rough_length(value: Any) -> float:
    if isinstance(value, str):
        return len(value)
    return (
        value.bit_length()
        if isinstance(value, int)
        else math.inf
        if value and not isinstance(value, float)
        else _NUMBER
    )


def set_params(graph: Graph, params: Mapping[str, Any]) -> Graph:
    """Return *graph* with *params* set in its inputs; changed graph nodes are copies.

    Raises:
        InvalidParam: as of `resolve_params`.
    """
    return with_values(graph, find_values(graph, params))


def with_values(graph: Graph, values: Mapping[tuple[str, str], Any]) -> Graph:
    """Return *graph* with the values of `find_values` set in its inputs; see `set_params`."""
    if not values:
        return graph
    filled = dict(graph)
    for (graph_node, name), value in values.items():
        if filled[graph_node] is graph[graph_node]:
            found = graph[graph_node]
            filled[graph_node] = {**found, "inputs": dict(found["inputs"])}
        filled[graph_node]["inputs"][name] = copy.deepcopy(value)
    return filled


def _fitted(graph: Graph, graph_node: str, name: str, value: Any, *, field: str) -> Any:
    def refuse(complaint: str, advice: str | None = None) -> NoReturn:
        raise InvalidParam(
            f"{describe(graph, graph_node)}, input {printable(name)}: {complaint}",
            field=field,
            graph_node=graph_node,
            advice=advice,
        )

    present = graph[graph_node]["inputs"][name]
    if flaw := find_flaw(value):
        refuse(flaw)
    if is_link(value):
        return value
    if is_link(present):
        refuse(_linked(graph, present), _where_it_is_set(graph, present))
    if literal(value) is not value:
        return value
    try:
        fitted = fit(literal(present), value)
    except ValueError as exc:
        refuse(f"it holds {kind_of(literal(present))}, so it takes {exc}; got {shown(value)}")
    # The value for a wrapped list is wrapped, too, or ComfyUI takes it for a broken link.
    return fitted if literal(present) is present else {"__value__": fitted}


def _linked(graph: Graph, link: list[Any]) -> str:
    source, slot = link
    there = describe(graph, source) if source in graph else f"graph node {printable(source)}"
    return f"it is linked to output {slot} of {there}; only another link [id, slot] may replace it"


def _where_it_is_set(graph: Graph, link: list[Any]) -> str | None:
    """Return the advice to set values at the link's source; None if it has none."""
    source = link[0]
    inputs = graph[source]["inputs"] if source in graph else {}
    own = [name for name, value in inputs.items() if name and not is_link(value)]
    return f"set {' or '.join(f'{source}.{short(name)}' for name in own[:3])}" if own else None
