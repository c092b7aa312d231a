"""Graph nodes of every class of a node, their values drawn from what may be right or wrong there."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

Graph = dict[str, Any]

_ANYTHING = (
    *(None, True, False, 0, 1, -1, 5.7, 10**20, -(10**20), "", "5", " 7 ", "5.5", "1_000", "wide"),
    *({"__value__": 3}, {"__value__": [1]}, {"__value__": "euler"}, {"a": 1}, [1], ["1"], []),
)
#: Of the graph node in question, of what feeds it, and of what keeps all of it from running.
SUBJECT, SINK, OUTPUT = "1", "8", "9"
_FIRST_SOURCE = 20


class Mutator:
    """Makes graphs that no ComfyUI runs, so that it says what it thinks of one graph node.

    Args:
        info: the answer of `GET /object_info`.
    """

    def __init__(self, info: Mapping[str, Any], *, seed: int) -> None:
        self._info = info
        self._random = random.Random(seed)
        self._makers: dict[str, tuple[str, int]] = {}
        self._takers: dict[str, tuple[str, str]] = {}
        for name, found in info.items():
            for slot, kind in enumerate(found["output"]):
                if isinstance(kind, str) and _lacks_if_empty(found):
                    self._makers.setdefault(kind, (name, slot))
            self._note_sink(name, found)

    def graphs(self, name: str, count: int) -> Iterator[Graph]:
        """Yield *count* graphs about the class *name*; none if nothing could show its results."""
        found = self._info[name]
        taker = None if found["output_node"] else self._taker(found["output"])
        if taker is None and not found["output_node"]:
            return
        for _ in range(count):
            graph: Graph = {}
            inputs = self._inputs(found, graph)
            graph[SUBJECT] = {"class_type": name, "inputs": inputs}
            if taker:
                (class_type, input_), slot = taker
                graph[SINK] = {"class_type": class_type, "inputs": {input_: [SUBJECT, slot]}}
                graph[OUTPUT] = {"class_type": "PreviewAny", "inputs": {"source": [SINK, 0]}}
            elif not any(isinstance(value, list) for value in inputs.values()):
                inputs.pop(next(iter(found["input"].get("required", {})), ""), None)
            yield graph

    def _note_sink(self, name: str, found: Mapping[str, Any]) -> None:
        required = found["input"].get("required", {})
        if len(required) > 1 and found["output"] and "PreviewAny" in self._info:
            for input_, spec in required.items():
                if isinstance(spec[0], str):
                    self._takers.setdefault(spec[0], (name, input_))

    def _taker(self, outputs: list[Any]) -> tuple[tuple[str, str], int] | None:
        for slot, kind in enumerate(outputs):
            if isinstance(kind, str) and kind in self._takers:
                return self._takers[kind], slot
        return None

    def _inputs(self, found: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
        inputs = {}
        for group in ("required", "optional"):
            for name, spec in found["input"].get(group, {}).items():
                if self._random.random() < 0.9:
                    inputs[name] = self._value(spec, graph)
        return inputs

    def _value(self, spec: list[Any], graph: Graph) -> Any:
        options = spec[1] if len(spec) > 1 else {}
        dice = self._random.random()
        kind = spec[0] if isinstance(spec[0], str) else "COMBO"
        choices = options.get("options", []) if isinstance(spec[0], str) else spec[0]
        if dice < 0.25 or kind not in {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}:
            return self._link(kind if dice < 0.7 else None, graph)
        if dice < 0.5:
            return self._random.choice(_ANYTHING)
        if kind == "COMBO" and choices and isinstance(choices, list):
            choice = self._random.choice(choices)
            odd = [
                f"{choice}s",
                str(choice).upper(),
                {"__value__": choice},
                {"__value__": [choice]},
            ]
            return self._random.choice([choice, choice, *odd])
        least, most = options.get("min"), options.get("max")
        near = [bound + step for bound in (least, most) if bound is not None for step in (-1, 0, 1)]
        return self._random.choice(near or [options.get("default", 1)])

    def _link(self, kind: str | None, graph: Graph) -> Any:
        kinds = [one.strip() for one in kind.split(",")] if kind else []
        known = [one for one in kinds if one in self._makers] or [*self._makers]
        maker, slot = self._makers[self._random.choice(known)]
        source = str(_FIRST_SOURCE + len(graph))
        graph[source] = {"class_type": maker, "inputs": {}}
        return [source, slot]


def _lacks_if_empty(found: Mapping[str, Any]) -> bool:
    """Tell whether no ComfyUI runs this class without inputs, as it does one whose inputs are made as it goes."""
    kinds = [spec[0] for spec in found["input"].get("required", {}).values()]
    return any(not (isinstance(kind, str) and kind.startswith("COMFY_")) for kind in kinds)
