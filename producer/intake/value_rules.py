"""Which values of a graph every node would refuse that could run it, by the rules they announced."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.classes.input_checks import Verdicts, find_refused, judged
from producer.contract.classes.input_rules import InputRule, InputRules
from producer.contract.graph.graph import Graph


def verdicts(graph: Graph, kinds: Sequence[InputRules]) -> Verdicts:
    """Return what each kind of node would refuse in *graph*; nothing where one would take it."""
    every = []
    for rules in kinds:
        refused = find_refused(graph, rules)
        if not refused:
            return ()
        every.append(refused)
    return every


def judged_by_all(graph: Graph, kinds: Sequence[InputRules]) -> frozenset[str]:
    """Return the graph nodes of *graph* whose values every kind of node looks at."""
    return (
        frozenset.intersection(*(judged(graph, rules) for rules in kinds)) if kinds else frozenset()
    )


def rules_at(kinds: Sequence[InputRules], class_type: str, input_: str) -> tuple[InputRule, ...]:
    """Return what every kind of node says of an input; nothing where one takes whatever comes."""
    found = []
    for rules in kinds:
        known = rules.classes.get(class_type)
        rule = known.inputs.get(input_) if known else None
        if rule is None or not rule.restricts:
            return ()
        found.append(rule)
    return tuple(found)
