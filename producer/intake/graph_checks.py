"""Graph checks: what is known of a graph before a job is made of it; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from producer.contract.classes.catalog import Catalog, Missing
from producer.contract.classes.input_checks import find_refused
from producer.contract.classes.input_rules import InputRules
from producer.contract.classes.model_names import plain_name
from producer.contract.classes.models import base_models
from producer.contract.classes.placement import without_doubles
from producer.contract.graph.graph import Graph, template_id
from producer.contract.graph_checks import (
    GraphCheck,
    Lack,
    NodeFit,
    ParamForm,
    ParamType,
    Refusal,
)
from producer.contract.nodes import Node
from producer.intake.catalogs import FleetCatalogs
from producer.intake.cut_graphs import CutGraph
from producer.intake.param_forms import ParamForms

#: What is told of one node, and of one graph: an answer is read by a person, or fills a form.
_MOST_LACKS: Final = 50
_MOST_REFUSED: Final = 20
_MOST_PARAMS: Final = 2_000
#: Lacks for which similar names are searched, which takes up to 10 ms each.
_SEARCHED: Final = 5


def graph_check(
    graph: Graph, found: CutGraph, fleet: FleetCatalogs, nodes: Sequence[Node]
) -> GraphCheck:
    """Return what the living *nodes* say of a graph.

    Args:
        found: *graph* with its params set, cut.
    """
    fits = _Fits(found, fleet)
    told = [fits.of(node) for node in nodes]
    able = [fit.node for fit in told if fit.can_run]
    counted = able or [node.name for node in nodes if node.name in found.catalogs]
    catalogs = {found.catalogs[name].sha: found.catalogs[name] for name in counted}
    forms = ParamForms(
        found.wanted, catalogs=list(catalogs.values()), kinds=fleet.rules_of(counted)
    ).all()
    params = dict(islice(forms, _MOST_PARAMS))
    return GraphCheck(
        template=template_id(graph),
        graph_nodes=len(graph),
        runs_on=len(able),
        nodes=told,
        models=sorted({*base_models(found.wanted), *_named(params.values())}),
        params=params,
        more_params=sum(1 for _ in forms),
    )


def _named(forms: Iterable[ParamForm]) -> set[str]:
    """Return the models that a graph names elsewhere than where base models are."""
    models = (form.default for form in forms if form.type is ParamType.MODEL)
    return {plain_name(model) for model in models if isinstance(model, str)}


class _Fits:
    """Looks at each kind of node once: a fleet has many nodes and few kinds of them."""

    def __init__(self, found: CutGraph, fleet: FleetCatalogs) -> None:
        self._found = found
        self._fleet = fleet
        self._lacks: dict[str, tuple[list[Lack], int]] = {}
        self._refused: dict[tuple[str, str], list[Refusal]] = {}

    def of(self, node: Node) -> NodeFit:
        """Return what one node lacks, and refuses."""
        catalog = self._found.catalogs.get(node.name)
        fit = NodeFit(
            node=node.name,
            pool=node.pool,
            state=node.state,
            can_run=False,
            is_known=catalog is not None,
        )
        if catalog is None:
            return fit
        lacks, more = self._lacks_of(catalog)
        refuses = [] if lacks else self._refused_by(node)
        changes = {"lacks": lacks, "more_lacks": more, "refuses": refuses}
        return fit.model_copy(update={**changes, "can_run": not lacks and not refuses})

    def _lacks_of(self, catalog: Catalog) -> tuple[list[Lack], int]:
        if catalog.sha not in self._lacks:
            missing = without_doubles(catalog.missing(self._found.wanted))
            told = [
                _lack(one, is_searched=number < _SEARCHED)
                for number, one in enumerate(missing[:_MOST_LACKS])
            ]
            self._lacks[catalog.sha] = told, len(missing) - len(told)
        return self._lacks[catalog.sha]

    def _refused_by(self, node: Node) -> list[Refusal]:
        kind = (node.catalog_sha, node.rules_sha)
        if kind not in self._refused:
            rules: Sequence[InputRules] = self._fleet.rules_of([node.name])
            findings = [one for found in rules for one in find_refused(self._found.wanted, found)]
            self._refused[kind] = [
                Refusal(
                    graph_node=one.graph_node,
                    input=one.input,
                    message=one.complaint,
                    advice=one.advice,
                )
                for one in findings[:_MOST_REFUSED]
            ]
        return self._refused[kind]


def _lack(one: Missing, *, is_searched: bool) -> Lack:
    return Lack(
        graph_node=one.graph_node,
        class_type=one.class_type,
        input=one.input,
        name=one.name,
        nearest=one.nearest if is_searched else [],
    )
