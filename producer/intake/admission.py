"""Admission of a request: checks it, and makes a submission that some node can run, or refuses it.

Nothing is stored before all of it is checked, except input files: their key is their content's hash,
so the next job with the same file reuses an upload whose job was refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from producer.contract.classes.files import FileInput
from producer.contract.classes.input_checks import check_verdicts
from producer.contract.config.settings import Settings
from producer.contract.deliver import Deliver
from producer.contract.errors import InvalidJob
from producer.contract.graph.extra_data import API_KEY, ExtraData, as_extra_data, split_extra_data
from producer.contract.graph.graph import (
    GraphDocument,
    GraphLike,
    read_graph,
    template_of,
    to_bytes,
)
from producer.contract.graph.json_values import printable
from producer.contract.graph_checks import GraphCheck
from producer.contract.jobs import InputFile
from producer.contract.submissions import Content, Submission
from producer.intake.copy_policy import checked_deliver
from producer.intake.files import InputLike, check_source
from producer.intake.input_policy import InputPolicy
from producer.intake.input_storage import InputStorage
from producer.intake.named_inputs import NamedInputs
from producer.intake.named_templates import NamedTemplates, handed_in_by_name
from producer.intake.planner import Planner
from producer.intake.request import Request, as_tier, check_names, check_within
from producer.intake.whole_graphs import GraphSplitter, Split
from producer.storage.object_store import ObjectStore
from producer.store.node_store import NodeStore
from producer.store.template_store import TemplateStore


class Intake:
    """Checks requests: the graph by itself, and against the catalogs and rules of the living nodes."""

    def __init__(
        self,
        settings: Settings,
        *,
        nodes: NodeStore,
        objects: ObjectStore,
        named: NamedInputs,
        templates: TemplateStore,
        policy: InputPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._templates = NamedTemplates(templates, self._read)
        self._splitter = GraphSplitter()
        self.planner = Planner(nodes, max_params_bytes=settings.max_params_bytes)
        self._inputs = InputStorage(settings, objects, policy or InputPolicy(), named)

    def check(self, request: Request) -> tuple[Submission, Content]:
        """Check a request, store its input files, and return the submission and its content.

        Raises:
            InvalidGraph, InvalidInput, NoNodeCanRun, InvalidJob: it is refused; names field or graph node.
            FleetUnreachable, StorageError: Redis, or S3 for input files, failed.
        """
        check_names(request)
        request = self.with_graph(request)
        start_within, run_within = self.deadlines(request)
        deliver = self.deliver(request, has_batch=False)
        document = self.read(request)
        content, extra = self.content(request, document)
        plan = self.planner.plan_of_one(request, document.graph)
        given = dict(zip(plan.params, request.params, strict=True))  # resolving keeps the order
        for file, value in plan.files:
            check_source(file, value, plan.graph, plan.params, given.__getitem__)
        check_verdicts(plan.refused, plan.graph, given)
        split = Split(plan.graph, {})  # of a template, that is what all of its jobs share
        if not request.template:
            has_params = bool(plan.params)
            split = self._splitter.split(plan.graph, needed=plan.needed, has_params=has_params)
        if split.values:
            content = content._replace(graph=to_bytes(split.template))
        submission = Submission(
            template=content.template,
            params=plan.params,
            graph_values={
                name: value for name, value in split.values.items() if name not in plan.params
            },
            handed_in=_handed_in(request, document, split),
            inputs={file.address: self.take(file, value, request) for file, value in plan.files},
            needs=plan.needs,
            metadata=dict(request.metadata),
            tier=as_tier(request.tier),
            pin=request.pin,
            owner=request.owner,
            hook=request.hook,
            deliver=deliver,
            idempotency_key=request.idempotency_key,
            start_within=start_within,
            run_within=run_within,
            extra_data=content.extra_sha,
            secrets=tuple(sorted(extra.secrets)),
            added_secrets=extra.added,
            shape=plan.shape,
        )
        return submission, content

    def with_graph(self, request: Request) -> Request:
        """Return a request with the graph itself in place of a template's name.

        Raises:
            InvalidJob: its owner has no template of this name; suggests a similar one.
        """
        return self._templates.in_place(request)

    def read(self, request: Request) -> GraphDocument:
        """Parse a request's graph, and the extra data of its file; errors as of `check`."""
        graph = request.graph
        return graph if isinstance(graph, GraphDocument) else self._read(graph)

    def _read(self, graph: GraphLike) -> GraphDocument:
        return read_graph(
            graph,
            max_bytes=self._settings.max_graph_bytes,
            max_extra_bytes=self._settings.max_extra_data_bytes,
        )

    def content(self, request: Request, document: GraphDocument) -> tuple[Content, ExtraData]:
        """Return the content stored beside the record, and its extra data; errors as of `check`."""
        given = document.extra_data
        if request.extra_data:
            given = {**given, **as_extra_data(request.extra_data)}
        extra = split_extra_data(given, max_bytes=self._settings.max_extra_data_bytes).with_key(
            self._settings.producers_api_key
        )
        return Content(document.canonical, extra.shared_json, extra.secrets_json), extra

    def secrets(self, given: Mapping[str, Any], *, wanted: Collection[str]) -> ExtraData:
        """Return the secrets for a job that is retried: *given*, and the settings' key if it had one.

        Args:
            wanted: the keys of the secrets that it had before.

        Raises:
            InvalidJob: *given* has keys that are no secrets.
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

    def check_graph(self, request: Request) -> GraphCheck:
        """Return what is known of a request's graph, with its params set; errors as of `check`, but for what nodes lack.

        Args:
            request: its pool is '' for the nodes of all pools.
        """
        check_names(replace(request, pool=request.pool or "default"))
        whole = self.with_graph(request)
        graph = self.read(whole).graph
        return self.planner.check(whole, graph)

    def deadlines(self, request: Request) -> tuple[timedelta, timedelta]:
        """Return `start_within` and `run_within` of a request, or of the settings.

        Raises:
            InvalidJob: one is no timedelta, or out of range.
        """
        start_within, run_within = request.start_within, request.run_within
        if start_within is None:
            start_within = timedelta(seconds=self._settings.start_within_s)
        if run_within is None:
            run_within = timedelta(seconds=self._settings.run_within_s)
        check_within(start_within, field="start_within")
        check_within(run_within, field="run_within")
        return start_within, run_within

    def deliver(self, request: Request, *, has_batch: bool) -> Deliver | None:
        """Return where a request wants copies put, by the policy of the settings; errors as of `check`."""
        return checked_deliver(
            request.deliver, owner=request.owner, has_batch=has_batch, settings=self._settings
        )

    def take(self, file: FileInput, value: InputLike, request: Request) -> InputFile:
        """Store an input file of a request, or check the object it names; see `InputStorage.take`."""
        return self._inputs.take(file, value, owner=request.owner, fetched=request.fetched)


def _handed_in(request: Request, document: GraphDocument, split: Split) -> str:
    """Return what an idempotency key stands for beside the params, where that is not the stored graph."""
    if request.template:
        return handed_in_by_name(request.template)
    return template_of(document.canonical) if split.values else ""
