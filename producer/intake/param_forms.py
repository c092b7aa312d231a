"""Param forms: which inputs of a graph a job may set, and which values the nodes take there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.files import input_files
from producer.contract.classes.input_rules import LIST, InputRule, InputRules
from producer.contract.classes.links import is_link
from producer.contract.graph.graph import Graph, literal, title_of
from producer.contract.graph_checks import ParamForm, ParamType
from producer.intake.value_rules import rules_at

#: Choices of one input, and of all together: a fleet may have thousands of models, a graph hundreds of inputs for them.
_MOST_CHOICES: Final = 2_000
_MOST_IN_ALL: Final = 20_000
_OF_RULES: Final = {
    **{kind.value: kind for kind in (ParamType.INT, ParamType.FLOAT, ParamType.STRING)},
    "BOOLEAN": ParamType.BOOLEAN,
    "COMBO": ParamType.COMBO,
    LIST: ParamType.COMBO,
}


class ParamForms:
    """Makes the forms of one graph.

    Args:
        graph: cut to what its outputs need.
        catalogs, kinds: of the nodes that count, each kind once; without rules where one of them takes anything.
    """

    def __init__(
        self, graph: Graph, *, catalogs: Sequence[Catalog], kinds: Sequence[InputRules]
    ) -> None:
        self._graph = graph
        self._catalogs = catalogs
        self._kinds = kinds
        self._choices_left = _MOST_IN_ALL
        self._files = {
            (file.graph_node, file.input)
            for catalog in [*catalogs, None]
            for file in input_files(graph, catalog)
        }

    def all(self) -> Iterator[tuple[str, ParamForm]]:
        """Yield address and form of each input that is no link, in the graph's order."""
        for graph_node, found in self._graph.items():
            for name, value in found["inputs"].items():
                if not is_link(value):
                    yield f"{graph_node}.{name}", self._form(graph_node, name, literal(value))

    def _form(self, graph_node: str, name: str, value: Any) -> ParamForm:
        found = self._graph[graph_node]
        class_type = found["class_type"]
        rule = _widest(rules_at(self._kinds, class_type, name))
        models = self._models(class_type, name)
        kind = _kind(value, rule)
        if (graph_node, name) in self._files:
            kind, models = ParamType.FILE, None
        elif models is not None:
            kind = ParamType.MODEL
        choices, more = self._told(models if models is not None else rule.choices)
        return ParamForm(
            graph_node=graph_node,
            class_type=class_type,
            input=name,
            title=title_of(found),
            type=kind,
            default=value,
            min=rule.least,
            max=rule.most,
            choices=choices,
            more_choices=more,
        )

    def _models(self, class_type: str, name: str) -> Sequence[str] | None:
        lists = [
            known.models[name]
            for catalog in self._catalogs
            if (known := catalog.classes.get(class_type)) and name in known.models
        ]
        return sorted({model for models in lists for model in models}) if lists else None

    def _told(self, choices: Sequence[Any] | None) -> tuple[list[Any] | None, int]:
        if choices is None:
            return None, 0
        told = list(choices[: min(_MOST_CHOICES, self._choices_left)])
        self._choices_left -= len(told)
        return told, len(choices) - len(told)


def _widest(rules: Sequence[InputRule]) -> InputRule:
    """Return what some kind of node takes: the bounds farthest apart, and the choices of all."""
    if not rules:
        return InputRule()
    least, most = [rule.least for rule in rules], [rule.most for rule in rules]
    lists = [rule.choices for rule in rules]
    return InputRule(
        type=rules[0].type,
        least=None if None in least else min(one for one in least if one is not None),
        most=None if None in most else max(one for one in most if one is not None),
        choices=None if None in lists else _joined(one for one in lists if one is not None),
    )


def _joined(lists: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    # By repr 1, 1.0 and True are three choices.
    found: Mapping[str, Any] = {repr(one): one for choices in lists for one in choices}
    return tuple(found.values())


def _kind(value: Any, rule: InputRule) -> ParamType:
    if known := _OF_RULES.get(rule.type):
        return known
    kinds: tuple[tuple[type, ParamType], ...] = (
        (bool, ParamType.BOOLEAN),
        (int, ParamType.INT),
        (float, ParamType.FLOAT),
        (str, ParamType.STRING),
    )
    return next((kind for cls, kind in kinds if isinstance(value, cls)), ParamType.JSON)
