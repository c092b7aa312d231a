"""Addresses of inputs in a graph: finds what `6.text`, `Positive Prompt.text` or `KSampler.seed` names."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from producer.contract.errors import InvalidParam
from producer.contract.graph.graph import Graph, describe, title_of
from producer.contract.graph.json_values import printable, short

_FORMS: Final = "an address is ID.INPUT, TITLE.INPUT or CLASS.INPUT, as in 6.text"
#: Characters of an address, more than any title and input have: the time to read one is its length
#: times its dots.
_LONGEST: Final = 1_000
#: Names compared to find similar ones, and characters of each: difflib takes 10 µs or more for one,
#: growing with the square of its length.
_NAMES_COMPARED: Final = 2_000
_LONGEST_COMPARED: Final = 120
#: Such searches for one graph: of ten thousand bad rows not each needs advice.
_SEARCHES: Final = 50
#: Graph nodes of one name whose inputs are compared: each adds to the time of an address.
_TWINS_COMPARED: Final = 100
#: Names in one message.
_SHOWN: Final = 6


class Addresses:
    """Index of one graph's inputs by address: built in one pass; a lookup takes time by the address's length."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._searches_left = _SEARCHES
        titles: dict[str, list[str]] = {}
        classes: dict[str, list[str]] = {}
        for graph_node, found in graph.items():
            classes.setdefault(found["class_type"], []).append(graph_node)
            if title := title_of(found):
                titles.setdefault(_composed(title), []).append(graph_node)
        self._by_name: tuple[Mapping[str, list[str]], ...] = (
            {graph_node: [graph_node] for graph_node in graph},
            titles,
            classes,
        )

    def find(self, address: str, *, among: str = "params") -> tuple[str, str]:
        """Return the graph node id and the input that *address* names.

        Ids take precedence over titles (`_meta.title`), titles over classes. All three, and inputs
        too, may contain dots: the longest name that has the rest as an input is taken. Of several
        graph nodes with one name, only those that have the input count.

        Args:
            among: the argument of the submission that holds the address; errors have the field
                `<among>.<address>`.

        Raises:
            InvalidParam: the address names nothing, several graph nodes, or an input that is not there.
        """
        if not isinstance(address, str):
            raise InvalidParam(
                f"an address must be text, as in 6.text, not {type(address).__name__}",
                field=f"{among}.",
            )
        field = f"{among}.{address}"
        named = list(self._readings(address)) if len(address) <= _LONGEST else []
        if not named:
            raise self._unknown(address, field)
        ids, name = next((one for one in named if self._has(*one)), named[0])
        ids = self._with_input(ids, name)
        if len(ids) > 1:
            raise InvalidParam(
                f"{printable(address)} is ambiguous: "
                f"{_listed(describe(self._graph, one) for one in ids)} all have that name",
                field=field,
                advice=f"write the id: {' or '.join(f'{one}.{name}' for one in ids[:4])}",
            )
        (graph_node,) = ids
        if name not in self._graph[graph_node]["inputs"]:
            raise self._no_input(graph_node, name, field)
        return graph_node, name

    def knows(self, address: str) -> bool:
        """Tell whether *address* names at least one input."""
        return len(address) <= _LONGEST and any(self._has(*one) for one in self._readings(address))

    def _has(self, ids: list[str], name: str) -> bool:
        return any(name in self._graph[one]["inputs"] for one in ids[:_TWINS_COMPARED])

    def _with_input(self, ids: list[str], name: str) -> list[str]:
        if len(ids) > _TWINS_COMPARED:
            return ids
        return [one for one in ids if name in self._graph[one]["inputs"]] or ids[:1]

    def _readings(self, address: str) -> Iterator[tuple[list[str], str]]:
        """Yield the interpretations of *address* as (graph node ids, input), in order of precedence."""
        yield from self._read(address)
        if (composed := _composed(address)) != address:
            yield from self._read(composed)

    def _read(self, address: str) -> Iterator[tuple[list[str], str]]:
        ends = [end for end in range(len(address) - 1, 0, -1) if address[end] == "."]
        for by_name in self._by_name:
            for end in ends:
                if ids := by_name.get(address[:end]):
                    yield ids, address[end + 1 :]

    def _unknown(self, address: str, field: str) -> InvalidParam:
        known = (
            f"{name}.{input_}"
            for one, found in self._graph.items()
            for name in (one, title_of(found), found["class_type"])
            for input_ in found["inputs"]
            if name
        )
        near = self._nearest(address, known, count=3)
        return InvalidParam(
            f"nothing in the graph has the address {short(address)!r}",
            field=field,
            advice=f"did you mean {' or '.join(near)}?" if near else _FORMS,
        )

    def _no_input(self, graph_node: str, name: str, field: str) -> InvalidParam:
        inputs = self._graph[graph_node]["inputs"]
        near = self._nearest(name, inputs, count=1)
        return InvalidParam(
            f"{describe(self._graph, graph_node)} has no input {short(name)!r}; it has "
            f"{_listed(map(printable, inputs)) or 'none at all'}",
            field=field,
            graph_node=graph_node,
            advice=f"did you mean {graph_node}.{near[0]}?" if near else None,
        )

    def _nearest(self, name: str, known: Iterable[str], *, count: int) -> list[str]:
        if len(name) > _LONGEST_COMPARED or not self._searches_left:
            return []
        self._searches_left -= 1
        comparable = (one for one in known if len(one) <= _LONGEST_COMPARED)
        first = dict.fromkeys(islice(comparable, _NAMES_COMPARED))
        return difflib.get_close_matches(name, first, n=count)


def _composed(text: str) -> str:
    """Return *text* in Unicode form NFC: macOS and some editors write an umlaut as two characters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def find_input(graph: Graph, address: str, *, among: str = "params") -> tuple[str, str]:
    """Find one address, as `Addresses.find`; for many, make `Addresses` once."""
    return Addresses(graph).find(address, among=among)


def _listed(names: Iterable[str]) -> str:
    some = list(names)
    more = f", and {len(some) - _SHOWN:,} more" if len(some) > _SHOWN else ""
    return f"{', '.join(some[:_SHOWN])}{more}"
