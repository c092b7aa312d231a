"""Value rules: finds values in a graph that every node which could run it would refuse."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.classes.input_checks import Verdicts, find_refused, judged
from producer.contract.classes.input_rules import InputRule, InputRules
from producer.contract.graph.graph import Graph


def verdicts(graph: Graph, kinds: Sequence[InputRules]) -> Verdicts:
    """Return what each kind of node would refuse in *graph*; empty if one would refuse nothing."""
    every = []
    for rules in kinds:
        refused = find_refused(graph, rules)
        if not refused:
            return ()
        every.append(refused)
    return every


def judged_by_all(graph: Graph, kinds: Sequence[InputRules]) -> frozenset[str]:
    """Return the ids of graph nodes whose values every kind of node checks."""
    return (
        frozenset.intersection(*(judged(graph, rules) for rules in kinds)) if kinds else frozenset()
    )


def rules_at(kinds: Sequence[InputRules], class_type: str, input_: str) -> tuple[InputRule, ...]:
    """Return the rule of each kind of node for an input; empty if one accepts any value."""
    found = []
    for rules in kinds:
        known = rules.classes.get(class_type)
        rule = known.inputs.get(input_) if known else None
        if rule is None or not rule.restricts:
            return ()
        found.append(rule)
    return tuple(found)
