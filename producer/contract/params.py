"""Params: the values that a job sets in its graph, and the addresses they are set at."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NoReturn

from producer.contract.errors import InvalidGraph
from producer.contract.graphs import Graph, describe, literal, title_of
from producer.contract.json_values import find_flaw, kind_of
from producer.contract.links import is_link
from producer.contract.param_values import decode_typed, fit

_FORMS: Final = "an address is ID.INPUT, TITLE.INPUT or CLASS.INPUT, as in 6.text"


def parse_param(text: str) -> tuple[str, Any]:
    """Read `ADDRESS=VALUE` as typed; the address ends at the first `=`.

    VALUE is decoded where it is JSON in its shortest spelling, and where it is a quoted string;
    anything else is text.

    Raises:
        InvalidGraph: there is no address.
    """
    address, equals, value = text.partition("=")
    if not equals or not address.strip():
        raise InvalidGraph(
            f"expected ADDRESS=VALUE, as in '6.text=a red fox'; got {text!r}", field="set"
        )
    return address.strip(), decode_typed(value)


def find_input(graph: Graph, address: str, *, among: str = "set") -> tuple[str, str]:
    """Return the graph node id and the input that *address* names.

    Ids go before titles (`_meta.title`), titles before classes. All three, and inputs too, may
    contain dots: the longest name that has the rest as an input is meant.

    Args:
        among: the argument of the submission that the address is in; errors carry the field
            `<among>.<address>`.

    Raises:
        InvalidGraph: nothing or more than one thing has the name, or it has no such input.
    """
    if not isinstance(address, str):
        raise InvalidGraph(
            f"an address must be text, as in 6.text, not {type(address).__name__}",
            field=f"{among}.",
        )
    field = f"{among}.{address}"
    named = list(_readings(graph, address))
    if not named:
        raise _unknown(graph, address, field)
    fitting = ((ids, name) for ids, name in named if name in graph[ids[0]]["inputs"])
    ids, name = next(fitting, named[0])
    if len(ids) > 1:
        raise InvalidGraph(
            f"{address} is ambiguous: {', '.join(describe(graph, one) for one in ids)} "
            "all have that name",
            field=field,
            advice=f"write the id: {' or '.join(f'{one}.{name}' for one in ids)}",
        )
    (graph_node,) = ids
    if name not in graph[graph_node]["inputs"]:
        raise _no_input(graph, graph_node, name, field)
    return graph_node, name


def resolve_params(graph: Graph, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return *params* with addresses by id, and values as the inputs take them.

    What it returns gives itself when resolved again, so a record may keep it.

    Raises:
        InvalidGraph: in the field `set.<address>`: an unknown address, a value that does not
            fit, or two addresses of one input.
    """
    resolved: dict[str, Any] = {}
    written: dict[str, str] = {}
    for address, value in params.items():
        graph_node, name = find_input(graph, address)
        own = f"{graph_node}.{name}"
        if own in written:
            raise InvalidGraph(
                f"{written[own]} and {address} set the same input of {describe(graph, graph_node)}",
                field=f"set.{address}",
                graph_node=graph_node,
                advice="set it once",
            )
        written[own] = address
        resolved[own] = _fitted(graph, graph_node, name, value, field=f"set.{address}")
    return resolved


def set_params(graph: Graph, params: Mapping[str, Any]) -> Graph:
    """Return a deep copy of *graph* in which the inputs hold *params*.

    Raises:
        InvalidGraph: as `resolve_params`.
    """
    filled = copy.deepcopy(graph)
    for address, value in resolve_params(graph, params).items():
        graph_node, name = find_input(graph, address)
        filled[graph_node]["inputs"][name] = copy.deepcopy(value)
    return filled


def _readings(graph: Graph, address: str) -> Iterator[tuple[list[str], str]]:
    """Yield what *address* can mean, the likeliest first, as graph node ids and an input."""
    names: tuple[Callable[[str], str | None], ...] = (
        lambda one: one,
        lambda one: title_of(graph[one]),
        lambda one: graph[one]["class_type"],
    )
    for name_of in names:
        for end in (i for i in range(len(address) - 1, 0, -1) if address[i] == "."):
            ids = [one for one in graph if name_of(one) == address[:end]]
            if ids:
                yield ids, address[end + 1 :]


def _unknown(graph: Graph, address: str, field: str) -> InvalidGraph:
    known = dict.fromkeys(
        f"{name}.{input_}"
        for one, found in graph.items()
        for name in (one, title_of(found), found["class_type"])
        for input_ in found["inputs"]
        if name
    )
    near = difflib.get_close_matches(address, known, n=3)
    return InvalidGraph(
        f"nothing in the graph has the address {address!r}",
        field=field,
        advice=f"did you mean {' or '.join(near)}?" if near else _FORMS,
    )


def _no_input(graph: Graph, graph_node: str, name: str, field: str) -> InvalidGraph:
    inputs = graph[graph_node]["inputs"]
    near = difflib.get_close_matches(name, inputs, n=1)
    return InvalidGraph(
        f"{describe(graph, graph_node)} has no input {name!r}; it has "
        f"{', '.join(inputs) or 'none at all'}",
        field=field,
        graph_node=graph_node,
        advice=f"did you mean {graph_node}.{near[0]}?" if near else None,
    )


def _fitted(graph: Graph, graph_node: str, name: str, value: Any, *, field: str) -> Any:
    def refuse(complaint: str) -> NoReturn:
        raise InvalidGraph(
            f"{describe(graph, graph_node)}, input {name}: {complaint}",
            field=field,
            graph_node=graph_node,
        )

    present = graph[graph_node]["inputs"][name]
    if flaw := find_flaw(value):
        refuse(flaw)
    if is_link(value):
        return value
    if is_link(present):
        refuse(_linked(graph, present))
    if literal(value) is not value:
        return value
    try:
        fitted = fit(literal(present), value)
    except ValueError as exc:
        refuse(f"it holds {kind_of(literal(present))}, so it takes {exc}; got {_shown(value)}")
    # A list that was wrapped must be so again, or ComfyUI takes it for a broken link.
    return fitted if literal(present) is present else {"__value__": fitted}


def _linked(graph: Graph, link: list[Any]) -> str:
    source, slot = link
    there = describe(graph, source) if source in graph else f"graph node {source}"
    return f"it is linked to output {slot} of {there}; only another link [id, slot] may replace it"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= len(_FORMS) else f"{text[: len(_FORMS)]}..."
