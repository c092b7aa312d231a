"""What is wrong with the values of a graph: what ComfyUI would refuse it for, and one thing more.

The rules, and their order, are those of `execution.validate_inputs` (0.3.64 and 0.33.0): what a node
would take is never refused here, but for the text "false" where true or false belongs, which would
run as true without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from producer.contract.classes.input_rules import LIST, InputRule, InputRules
from producer.contract.classes.links import is_link
from producer.contract.classes.model_names import loose
from producer.contract.errors import InvalidGraph, InvalidParam
from producer.contract.graph.graph import Graph, GraphNode, describe, literal
from producer.contract.graph.json_values import printable, shown
from producer.contract.near_names import near_names

#: Choices that a message names, and characters of each.
_SHOWN: Final = 5
_LONGEST: Final = 40
#: Texts that say false, and run as true: ComfyUI converts with Python's bool().
_SAY_FALSE: Final = frozenset({"false", "no", "off", "0", "f", "n"})
_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {"INT": int, "FLOAT": float}
_NUMBERS: Final = {"INT": "a whole number", "FLOAT": "a number"}
_WILD: Final = frozenset({"*", "COMFY_MATCHTYPE_V3"})


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a value, put into words where it is told: to see it is far cheaper.

    Args:
        complaint: gives what is wrong.
        advice: gives what to try, where something is known; it may search through all names.
    """

    complaint: Callable[[], str]
    advice: Callable[[], str | None] = _nothing


@dataclass(frozen=True)
class Finding:
    """One input that a node would refuse."""

    graph_node: str
    input: str
    flaw: Flaw

    @property
    def own(self) -> str:
        """The input's address by the graph node's id."""
        return f"{self.graph_node}.{self.input}"

    @property
    def complaint(self) -> str:
        """What is wrong with it."""
        return self.flaw.complaint()

    @property
    def advice(self) -> str | None:
        """What to try, where something is known."""
        return self.flaw.advice()

    def error(
        self, graph: Graph, *, field: str, more: int = 0, advises: bool = True
    ) -> InvalidGraph:
        """Return the refusal for it, and for *more* of the kind."""
        kind = InvalidParam if field.startswith(("params.", "inputs.")) else InvalidGraph
        others = f"; {more:,} more input{'s' * (more > 1)} would be refused, too" * bool(more)
        return kind(
            f"{describe(graph, self.graph_node)}, input {printable(self.input)}: "
            f"{self.complaint}{others}",
            field=field,
            graph_node=self.graph_node,
            advice=self.advice if advises else None,
        )


#: What each kind of node finds wrong.
Verdicts = Sequence[Sequence[Finding]]


def refusal(verdicts: Verdicts, *, replaced: Collection[str] = ()) -> Sequence[Finding]:
    """Return what is wrong for every kind of node, as the one sees it that objects least.

    Args:
        verdicts: of every kind that could run the graph; a kind that takes it finds nothing.
        replaced: addresses, by id, of inputs whose values are not those that will run.
    """
    left = [[one for one in found if one.own not in replaced] for found in verdicts]
    return min(left, key=len, default=())


def check_verdicts(
    verdicts: Verdicts,
    graph: Graph,
    given: Mapping[str, str],
    *,
    replaced: Collection[str] = (),
) -> None:
    """Refuse what `refusal` returns.

    Args:
        given: address by id → the address that the submission has it at.

    Raises:
        InvalidGraph: for the first, with the number of the others; InvalidParam where the submission sets it.
    """
    if found := refusal(verdicts, replaced=replaced):
        first, *others = found
        field = f"params.{given[first.own]}" if first.own in given else "graph"
        raise first.error(graph, field=field, more=len(others))


def find_refused(graph: Graph, rules: InputRules) -> list[Finding]:
    """Return what a node of these rules would refuse in *graph*."""
    wanted = judged(graph, rules)
    return [
        finding
        for graph_node in graph
        if graph_node in wanted
        for finding in _of_graph_node(graph, graph_node, rules)
    ]


def judged(graph: Graph, rules: InputRules) -> frozenset[str]:
    """Return the graph nodes whose values a node looks at: those that outputs need.

    ComfyUI follows the inputs that a class declares, and no others.
    """
    ahead = [
        graph_node
        for graph_node, found in graph.items()
        if (known := rules.classes.get(found["class_type"])) and known.is_output
    ]
    seen: set[str] = set()
    while ahead:
        graph_node = ahead.pop()
        if graph_node in seen or graph_node not in graph:
            continue
        known = rules.classes.get(graph[graph_node]["class_type"])
        if known is None:
            continue
        seen.add(graph_node)
        inputs = graph[graph_node]["inputs"]
        ahead += [inputs[name][0] for name in known.inputs if is_link(inputs.get(name))]
    return frozenset(seen)


def flaw_of(value: Any, rule: InputRule) -> Flaw | None:
    """Return what is wrong with a value that is no link, and what to try; None if it will do."""
    if isinstance(value, list):
        return Flaw(
            lambda: f"{shown(value)} is a list that is no link",
            lambda: 'write it {"__value__": [...]}',
        )
    value = literal(value)
    if rule.type == "BOOLEAN":
        return _flaw_of_truth(value)
    if convert := _CONVERSIONS.get(rule.type):
        try:
            number = convert(value)
        except (TypeError, ValueError, OverflowError):
            return Flaw(lambda: f"{shown(value)} is not {_NUMBERS[rule.type]}{_range(rule)}")
        return _flaw_of_number(value, number, rule)
    return _flaw_of_choice(value, rule) if rule.choices is not None else None


def _of_graph_node(graph: Graph, graph_node: str, rules: InputRules) -> Iterator[Finding]:
    found = graph[graph_node]
    inputs = found["inputs"]
    for name, rule in rules.classes[found["class_type"]].inputs.items():
        if name not in inputs:
            if rule.is_required:
                advice = partial(_near_input, found, graph_node, name)
                yield Finding(graph_node, name, Flaw(lambda: "is required, and not there", advice))
        elif is_link(inputs[name]):
            if flaw := _flaw_of_link(graph, inputs[name], rule, rules):
                yield Finding(graph_node, name, flaw)
        elif flaw := flaw_of(inputs[name], rule):
            yield Finding(graph_node, name, flaw)


def _near_input(found: GraphNode, graph_node: str, name: str) -> str:
    near = near_names(name, found["inputs"])
    return (
        f"is {printable(near[0], most=_LONGEST)} meant for it?" if near else _left_out(graph_node)
    )


def _left_out(graph_node: str) -> str:
    return (
        "the editor exports no input whose source is muted or not connected: connect it and "
        f"export again, or take graph node {printable(graph_node, most=_LONGEST)} out"
    )


def _flaw_of_link(graph: Graph, link: list[Any], rule: InputRule, rules: InputRules) -> Flaw | None:
    source, slot = link
    known = rules.classes.get(graph[source]["class_type"]) if source in graph else None
    if not rule.type or known is None or known.outputs is None or type(slot) is not int:
        return None
    if not 0 <= slot < len(known.outputs) or _fits(known.outputs[slot], rule.type):
        return None
    outputs = known.outputs
    return Flaw(
        lambda: (
            f"it takes {_wanted(rule)}; output {slot} of {describe(graph, source)} is "
            f"{printable(outputs[slot])}"
        ),
        lambda: _fitting(outputs, rule),
    )


def _wanted(rule: InputRule) -> str:
    return "a choice, and no link" if rule.type == LIST else printable(rule.type)


def _fitting(outputs: Sequence[str], rule: InputRule) -> str | None:
    fitting = [str(n) for n, kind in enumerate(outputs) if _fits(kind, rule.type)]
    return f"its output {' or '.join(fitting[:_SHOWN])} would fit" if fitting else None


def _fits(given: str, taken: str) -> bool:
    if given == taken:
        return True
    kinds, wanted = ({one.strip() for one in kind.split(",")} for kind in (given, taken))
    return bool(kinds & wanted or _WILD & (kinds | wanted))


def _flaw_of_truth(value: Any) -> Flaw | None:
    if not isinstance(value, str) or value.strip().lower() not in _SAY_FALSE:
        return None
    return Flaw(
        lambda: f"the text {shown(value)} would run as true", lambda: "write false, without quotes"
    )


def _flaw_of_number(value: Any, number: float, rule: InputRule) -> Flaw | None:
    if rule.least is not None and number < rule.least:
        return Flaw(lambda: f"{shown(value)} is too small{_range(rule)}")
    if rule.most is not None and number > rule.most:
        return Flaw(lambda: f"{shown(value)} is too large{_range(rule)}")
    return None


def _range(rule: InputRule) -> str:
    if rule.least is None and rule.most is None:
        return ""
    if rule.most is None:
        return f"; it takes {rule.least} and more"
    if rule.least is None:
        return f"; it takes up to {rule.most}"
    return f"; it takes {rule.least} to {rule.most}"


def _flaw_of_choice(value: Any, rule: InputRule) -> Flaw | None:
    choices = rule.choices or ()
    many = value if rule.takes_many and isinstance(value, list) else [value]
    wrong = next(((one,) for one in many if one not in choices), None)
    if wrong is None:
        return None
    return Flaw(partial(_no_choice, wrong[0], choices), partial(_near_choice, wrong[0], choices))


def _no_choice(value: Any, choices: Sequence[Any]) -> str:
    names = ", ".join(printable(str(one), most=_LONGEST) for one in choices[:_SHOWN])
    more = f" and {len(choices) - _SHOWN} more" if len(choices) > _SHOWN else ""
    return f"{shown(value)} is none of its choices: {names}{more}"


def _near_choice(value: Any, choices: Sequence[Any]) -> str | None:
    texts = {loose(one): one for one in choices if isinstance(one, str)}
    if isinstance(value, str):
        near = near_names(loose(value), texts)
    else:
        near = [str(value)] if str(value) in texts else []
    return f"did you mean {shown(texts[near[0]])}?" if near else None
