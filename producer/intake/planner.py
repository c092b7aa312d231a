"""What a request comes to: which nodes can run it, which queue that is, and which files it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from producer.contract.classes.input_rules import InputRule
from producer.contract.classes.links import is_link
from producer.contract.classes.models import base_models
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.classes.placement import explain_nobody, who_can_run
from producer.contract.classes.shapes import shape_of
from producer.contract.graph.graph import Graph, GraphNode
from producer.contract.graph_checks import GraphCheck
from producer.contract.metadata import check_metadata
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import set_params
from producer.contract.queues import Needs
from producer.intake.catalogs import FleetCatalogs, rare_classes
from producer.intake.cut_graphs import FilledGraph, fill_graph
from producer.intake.files import matched_files
from producer.intake.graph_checks import graph_check
from producer.intake.known_plans import KnownPlan
from producer.intake.outlines import outline_of
from producer.intake.plans import Plan
from producer.intake.request import Request, as_tier
from producer.intake.value_rules import judged_by_all, rules_at, verdicts
from producer.store.node_store import NodeStore


class Planner:
    """Checks graphs against the catalogs and rules of the living nodes.

    Args:
        nodes: their records.
        max_params_bytes: of all params of a job.
    """

    def __init__(self, nodes: NodeStore, *, max_params_bytes: int) -> None:
        self._most = max_params_bytes
        self._catalogs = FleetCatalogs(nodes)

    def _fill(
        self, request: Request, graph: Graph, addresses: Addresses | None = None
    ) -> FilledGraph:
        """Set a request's params in its graph; see `fill_graph`."""
        return fill_graph(self._catalogs, request, graph, addresses, max_params_bytes=self._most)

    def plan(
        self,
        request: Request,
        graph: Graph,
        addresses: Addresses | None = None,
        *,
        is_template: bool = False,
    ) -> Plan:
        """Check all of a request except the content of its input files; errors as of `Intake.check`.

        Args:
            graph: of the request.
            addresses: of *graph*, if already made.
            is_template: whether it is one for jobs to come, which hand the files in.
        """
        as_tier(request.tier)
        filled = self._fill(request, graph, addresses)
        return self._planned(request, graph, filled, is_template=is_template)

    def plan_of_one(self, request: Request, graph: Graph) -> Plan:
        """Return the plan of a single job; what an earlier job's graph has shown of it is not worked out again."""
        as_tier(request.tier)
        filled = self._fill(request, graph)
        if request.inputs or request.pin:
            return self._planned(request, graph, filled)
        outline = outline_of(filled.graph, filled.catalogs)
        known = filled.catalogs.plans.get(outline)
        if known is None:
            plan = self._planned(request, graph, filled)
            if not plan.files:
                known = KnownPlan(plan.needs, plan.able, plan.shape, plan.needed)
                filled.catalogs.plans.put(outline, known)
            return plan
        check_metadata(request.metadata)
        wanted = {id_: found for id_, found in filled.graph.items() if id_ in known.needed}
        refused = verdicts(wanted, self._catalogs.rules_of(known.able))
        params = dict(filled.params)
        return Plan(graph, params, known.needs, [], refused, shape=known.shape, needed=known.needed)

    def _planned(
        self, request: Request, graph: Graph, filled: FilledGraph, *, is_template: bool = False
    ) -> Plan:
        found = filled.cut()
        catalogs, wanted = found.catalogs, found.wanted
        files = [] if is_template else matched_files(wanted, request.inputs, catalogs.merged)
        check_metadata(request.metadata)
        if catalogs and not who_can_run(wanted, catalogs):
            catalogs = self._catalogs.rescanned(request, wanted, catalogs)
            if not who_can_run(wanted, catalogs):
                raise explain_nobody(wanted, catalogs)
        needs = Needs.of(
            request.pool,
            models=base_models(wanted),
            classes=rare_classes(wanted, catalogs),
        )
        able = who_can_run(wanted, catalogs)
        kinds = self._catalogs.rules_of(able)
        judged = judged_by_all(wanted, kinds)
        return Plan(
            graph,
            dict(found.params),
            needs,
            files,
            verdicts(wanted, kinds),
            judged,
            shape=shape_of(wanted),
            needed=frozenset(wanted),
            able=able,
        )

    def check(self, request: Request, graph: Graph) -> GraphCheck:
        """Return what is known of a graph, with the request's params set; errors as of `Intake.check_graph`."""
        nodes = self._catalogs.living(request)
        return graph_check(graph, self._fill(request, graph).cut(), self._catalogs, nodes)

    def shape(self, request: Request, graph: Graph, params: Mapping[str, Any]) -> str:
        """Return the shape of a graph that was checked, with *params* by graph node id."""
        any_catalog = self._catalogs.of(request).merged
        changed = set_params(graph, params)
        return shape_of(cut(changed, output_graph_nodes(changed, any_catalog)))

    def rules_at(self, request: Request, class_type: str, input_: str) -> tuple[InputRule, ...]:
        """Return the rule of each kind of node for an input; empty if one accepts any value."""
        catalogs = self._catalogs.of(request)
        return rules_at(self._catalogs.rules_of(catalogs), class_type, input_)

    def decides(self, request: Request, graph_node: GraphNode, input_: str) -> bool:
        """Tell whether an input's value decides which nodes can run a graph, or which files it reads."""
        catalogs = self._catalogs.of(request)
        return is_link(graph_node["inputs"].get(input_)) or catalogs.decide(
            graph_node["class_type"], input_
        )
