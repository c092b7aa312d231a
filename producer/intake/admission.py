"""From what a producer hands in to a submission that a worker can run, or a clear refusal.

Nothing is written before all of it has been checked, but for input files: their key is their
content, so an upload whose job was never made is found again by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.classes.files import FileInput, input_files
from producer.contract.classes.input_checks import Verdicts, check_verdicts
from producer.contract.classes.input_rules import InputRule, InputRules
from producer.contract.classes.links import check_links, is_link
from producer.contract.classes.models import base_models
from producer.contract.classes.outputs import cut, output_graph_nodes
from producer.contract.classes.placement import explain_nobody, who_can_run
from producer.contract.classes.save_names import check_kept_prefixes
from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidJob
from producer.contract.graph.extra_data import API_KEY, ExtraData, as_extra_data, split_extra_data
from producer.contract.graph.graph import (
    Graph,
    GraphDocument,
    GraphNode,
    read_graph,
    template_id,
    to_bytes,
)
from producer.contract.graph.json_values import printable
from producer.contract.jobs import InputFile
from producer.contract.metadata import check_metadata
from producer.contract.nodes import Node
from producer.contract.params.params import check_count, check_size, resolve_params, with_resolved
from producer.contract.queues import Needs
from producer.contract.submissions import Content, Submission
from producer.intake.files import InputLike, matched_files
from producer.intake.input_policy import InputPolicy
from producer.intake.inputs import InputIntake
from producer.intake.request import Request, as_tier, check_names, check_place, check_within
from producer.intake.values import ValueIntake, judged_by_all, rules_at, verdicts
from producer.storage.object_store import ObjectStore
from producer.store.node_store import NodeStore

_CATALOGS_FRESH_S: Final = 5.0
#: How often nodes are asked for models that nobody has, how long that is waited for, and how
#: often their answers are looked at, s.
_RESCAN_EVERY_S: Final = 10.0
_RESCAN_WITHIN_S: Final = 2.0
_RESCAN_POLL_S: Final = 0.25


@dataclass(frozen=True)
class Plan:
    """A request that was checked, but for the content of its input files.

    Args:
        graph: as handed in, without the params.
        params: by id, as the inputs take them.
        files: what the graph reads, and what was handed in for it.
        refused: what each kind of node that could run it would refuse; empty where one takes it.
        judged: the graph nodes whose values all of them look at.
    """

    graph: Graph
    params: dict[str, Any]
    needs: Needs
    files: list[tuple[FileInput, InputLike]]
    refused: Verdicts = ()
    judged: frozenset[str] = frozenset()


class Intake:
    """Checks requests against the graph's own rules and what the living nodes can run."""

    def __init__(
        self,
        settings: Settings,
        *,
        nodes: NodeStore,
        objects: ObjectStore,
        policy: InputPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._nodes = nodes
        self._inputs = InputIntake(settings, objects, policy or InputPolicy())
        self._values = ValueIntake(nodes)
        self._catalogs: dict[str, tuple[float, dict[str, Catalog]]] = {}
        self._living: dict[str, Node] = {}
        self._rescanned_at = -_RESCAN_EVERY_S

    def check(self, request: Request) -> tuple[Submission, Content]:
        """Return the submission and what is stored beside its record.

        Raises:
            InvalidGraph, InvalidInput, NoNodeCanRun, InvalidJob: naming field or graph node.
            FleetUnreachable, StorageError: Redis, or S3 when there are input files.
        """
        check_names(request)
        start_within, run_within = self.deadlines(request)
        document = self.read(request)
        content, extra = self.content(request, document)
        plan = self.plan(request, document.graph)
        given = dict(zip(plan.params, request.params, strict=True))  # resolving keeps the order
        check_verdicts(plan.refused, plan.graph, given)
        submission = Submission(
            template=template_id(plan.graph),
            params=plan.params,
            inputs={file.address: self.take(file, value) for file, value in plan.files},
            needs=plan.needs,
            metadata=dict(request.metadata),
            tier=as_tier(request.tier),
            pin=request.pin,
            owner=request.owner,
            idempotency_key=request.idempotency_key,
            start_within=start_within,
            run_within=run_within,
            extra_data=content.extra_sha,
            secrets=tuple(sorted(extra.secrets)),
            added_secrets=extra.added,
        )
        return submission, content

    def read(self, request: Request) -> GraphDocument:
        """Read a request's graph, and what its file has beside it; errors as of `check`."""
        return read_graph(
            request.graph,
            max_bytes=self._settings.max_graph_bytes,
            max_extra_bytes=self._settings.max_extra_data_bytes,
        )

    def content(self, request: Request, document: GraphDocument) -> tuple[Content, ExtraData]:
        """Return what is stored beside the record, and what of it is secret; errors as of `check`."""
        given = document.extra_data
        if request.extra_data:
            given = {**given, **as_extra_data(request.extra_data)}
        extra = split_extra_data(given, max_bytes=self._settings.max_extra_data_bytes).with_key(
            self._settings.producers_api_key
        )
        graph = to_bytes(document.graph)
        return Content(graph, extra.shared_json, extra.secrets_json), extra

    def secrets(self, given: Mapping[str, Any], *, wanted: Collection[str]) -> ExtraData:
        """Return the secrets of a job that is made again.

        Args:
            wanted: those that it had before.

        Raises:
            InvalidJob: something else is among *given*.
        """
        extra = split_extra_data(given, max_bytes=self._settings.max_extra_data_bytes)
        if extra.shared:
            raise InvalidJob(
                f"{printable(min(extra.shared))} is no secret; a job that is made again keeps the "
                "rest of its extra_data",
                field="secrets",
            )
        is_wanted = API_KEY in wanted
        return extra.with_key(self._settings.producers_api_key if is_wanted else None)

    def plan(self, request: Request, graph: Graph) -> Plan:
        """Check all of a request but the content of its input files; errors as of `check`.

        Args:
            graph: of the request.
        """
        as_tier(request.tier)
        catalogs = self._catalogs_of(request)
        any_catalog = _merged(catalogs)
        check_count(request.params)
        params = resolve_params(graph, request.params)
        check_size(params, self._settings.max_params_bytes)
        changed = with_resolved(graph, params)
        check_links(changed, any_catalog)
        wanted = cut(changed, output_graph_nodes(changed, any_catalog))
        check_kept_prefixes(wanted, catalog=any_catalog)
        files = matched_files(wanted, request.inputs, any_catalog)
        check_metadata(request.metadata)
        if catalogs and not who_can_run(wanted, catalogs):
            catalogs = self._rescanned(request, wanted, catalogs)
            if not who_can_run(wanted, catalogs):
                raise explain_nobody(wanted, catalogs)
        needs = Needs.of(
            request.pool,
            models=base_models(wanted),
            classes=_rare_classes(wanted, catalogs),
        )
        kinds = self._kinds_of(who_can_run(wanted, catalogs))
        judged = judged_by_all(wanted, kinds)
        return Plan(graph, params, needs, files, verdicts(wanted, kinds), judged)

    def rules_at(self, request: Request, class_type: str, input_: str) -> tuple[InputRule, ...]:
        """Return what each kind of node takes in an input; nothing where one takes anything."""
        return rules_at(self._kinds_of(self._catalogs_of(request)), class_type, input_)

    def _kinds_of(self, names: Iterable[str]) -> list[InputRules]:
        return self._values.kinds(self._living[name] for name in names)

    def decides(self, request: Request, graph_node: GraphNode, input_: str) -> bool:
        """Tell whether the value of an input decides who can run a graph, or which files it reads."""
        class_type = graph_node["class_type"]
        probe: Graph = {"1": {"class_type": class_type, "inputs": {input_: "a name"}}}
        catalogs = self._catalogs_of(request)
        return (
            bool(base_models(probe) or input_files(probe, _merged(catalogs)))
            or is_link(graph_node["inputs"].get(input_))
            or any(
                input_ in found.classes[class_type].models
                for found in catalogs.values()
                if class_type in found.classes
            )
        )

    def deadlines(self, request: Request) -> tuple[timedelta, timedelta]:
        """Return within which times a job must start, and may run.

        Raises:
            InvalidJob: one of them is no time that it could be.
        """
        start_within, run_within = request.start_within, request.run_within
        if start_within is None:
            start_within = timedelta(seconds=self._settings.start_within_s)
        if run_within is None:
            run_within = timedelta(seconds=self._settings.run_within_s)
        check_within(start_within, field="start_within")
        check_within(run_within, field="run_within")
        return start_within, run_within

    def _rescanned(
        self, request: Request, wanted: Graph, catalogs: dict[str, Catalog]
    ) -> dict[str, Catalog]:
        """Return what the nodes can run once they have looked anew, should a model have come.

        A node tells of a new file by itself after minutes. It is asked now and then only, so that
        whoever mistypes a name by the thousand is refused at once.
        """
        now = time.monotonic()
        lacks = [catalog.missing(wanted) for catalog in catalogs.values()]
        may_have_come = any(all(lack.input for lack in missing) for missing in lacks)
        if not may_have_come or now - self._rescanned_at < _RESCAN_EVERY_S:
            return catalogs
        self._rescanned_at = now
        self._nodes.ask_rescan()
        while time.monotonic() - now < _RESCAN_WITHIN_S:
            time.sleep(_RESCAN_POLL_S)
            self._catalogs.pop(request.pool, None)
            found = self._catalogs_of(request)
            if who_can_run(wanted, found):
                return found
        return catalogs

    def _catalogs_of(self, request: Request) -> dict[str, Catalog]:
        """Return what the nodes that may take the job can run; empty while none lives."""
        read_at, catalogs = self._catalogs.get(request.pool, (0.0, {}))
        if not catalogs or time.monotonic() - read_at > _CATALOGS_FRESH_S:
            nodes = self._nodes.nodes()
            check_place(nodes, pool=request.pool, pin=request.pin)
            catalogs = self._nodes.catalogs(request.pool, among=nodes)
            self._catalogs[request.pool] = (time.monotonic(), catalogs)
            self._living |= {node.name: node for node in nodes}
        if request.pin:
            check_place(self._nodes.nodes(), pool=request.pool, pin=request.pin)
            return {name: found for name, found in catalogs.items() if name == request.pin}
        return catalogs

    def take(self, file: FileInput, value: InputLike) -> InputFile:
        """See `InputIntake.take`."""
        return self._inputs.take(file, value)


def _merged(catalogs: Mapping[str, Catalog]) -> Catalog | None:
    """Return what any of the nodes can run, to look classes up; None if no node lives."""
    if not catalogs:
        return None
    classes: dict[str, GraphNodeClass] = {}
    for catalog in _kinds(catalogs):
        for name, found in catalog.classes.items():
            known = classes.setdefault(name, found)
            # Versions differ in how many outputs a class has; a slot that one node knows is good.
            if (found.outputs or 0) > (known.outputs or 0):
                classes[name] = found
    return Catalog(classes)


def _rare_classes(graph: Graph, catalogs: Mapping[str, Catalog]) -> set[str]:
    """Return the classes that some living node of the pool lacks: they decide who may serve."""
    used = {node["class_type"] for node in graph.values()}
    kinds = _kinds(catalogs)
    return {name for name in used if not all(name in found.classes for found in kinds)}


def _kinds(catalogs: Mapping[str, Catalog]) -> list[Catalog]:
    """Return each catalog once: a fleet has many nodes and few kinds of them."""
    return list({catalog.sha: catalog for catalog in catalogs.values()}.values())
